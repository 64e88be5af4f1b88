"""Tickets from a database, by SQLAlchemy."""

import os
import re
from typing import TYPE_CHECKING

from ticket_sentiment.errors import TicketSentimentError, Unavailable, reason
from ticket_sentiment.params import SqlSource
from ticket_sentiment.tickets.sources.raw import RawTable

if TYPE_CHECKING:
    from sqlalchemy.exc import SQLAlchemyError

# Of SQLSTATE, what passes by itself: connections, deadlocks, resources, locks, a server that stops or starts.
PASSING = ("08", "40", "53", "55P03", "57")
# What a driver says of a connection: of its text only these words are passed on, as an address is a secret.
UNREACHED = re.compile(
    "connection refused|time(?:d out|out expired)|name or service not known|could not translate host name"
    "|no route to host|network is unreachable|authentication failed|too many (?:clients|connections)"
    "|unable to open database file",
    re.IGNORECASE,
)
# What a server that is there says to an address that a person must correct.
TURNED_AWAY = re.compile(
    r"authentication failed|no password supplied|access denied|unknown database"
    r"|(?:role|database) \S+ does not exist",
    re.IGNORECASE,
)
NOT_THERE = re.compile(r"no such (?:table|column): (\S+)")  # SQLite's; others have an SQLSTATE for it
COLON = re.compile(r"(?<![:\w\\]):(\w+)(?![:\w])")  # what SQLAlchemy takes for a parameter: ours has none
BUSY = ("SQLITE_BUSY", "SQLITE_LOCKED")


def read_sql(source: SqlSource) -> RawTable:
    """The rows of the query. The transaction is rolled back: a source is only read.

    Raises:
        Unavailable: the database cannot be reached, or went away meanwhile.
        TicketSentimentError: the environment variable is not set, the driver is missing, or the database
            refuses the query. No message holds the URL, which holds a password, or a value of a row.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    url = os.environ.get(source.url_env, "")
    if not url:
        raise TicketSentimentError(
            f"{source.url_env} is not set: put the database URL into it, as tickets.source.url_env says"
        )
    try:
        engine = sa.create_engine(url)
    except (NoSuchModuleError, ModuleNotFoundError) as error:  # the first is an ArgumentError
        missing = getattr(error, "name", None) or url.partition(":")[0]
        raise TicketSentimentError(
            f"no database driver for {source.url_env} ({missing}): install it, e.g. `pip install psycopg`"
        ) from None
    except (ArgumentError, ValueError):
        raise TicketSentimentError(
            f"{source.url_env} holds no SQLAlchemy URL: expected dialect://user:password@host/database"
        ) from None
    connected = False
    try:
        with engine.connect() as connection:
            connected = True
            result = connection.execute(sa.text(COLON.sub(r"\\:\1", source.query)))
            if not result.returns_rows:
                raise TicketSentimentError("tickets.source.query returns no table: a SELECT is expected")
            names, rows = list(result.keys()), result.fetchall()
            connection.rollback()
    except SQLAlchemyError as error:
        kind = Unavailable if _may_pass(error, connected) else TicketSentimentError
        raise kind(
            f"the database of {source.url_env} did not answer tickets.source.query "
            f"({reason(error)}{_words(error, source.query)}): check the URL, the network and the query"
        ) from None
    finally:
        engine.dispose()
    if not rows:
        raise TicketSentimentError("tickets.source.query returned no rows: check the query")
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    twice = [name for name in columns if names.count(name) > 1]
    return RawTable("tickets.source.query", columns, range(1, len(rows) + 1), twice=twice)


def _may_pass(error: "SQLAlchemyError", connected: bool) -> bool:
    """Whether the database is away just now, or only busy; not where it refuses the query.

    The class alone does not say it: a missing table is an OperationalError, too, of SQLite, and of MySQL a
    missing column.
    """
    from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError

    if not isinstance(error, DBAPIError):
        return False
    if not connected and TURNED_AWAY.search(str(error.orig)):
        return False
    if not connected or error.connection_invalidated:
        return error.connection_invalidated or isinstance(error, OperationalError | InterfaceError)
    state = getattr(error.orig, "sqlstate", None) or ""
    return state.startswith(PASSING) or getattr(error.orig, "sqlite_errorname", "").startswith(BUSY)


def _words(error: "SQLAlchemyError", query: str) -> str:
    """What helps of the driver's text. The rest may quote a cell: a value that cannot be cast, say."""
    said = str(getattr(error, "orig", error))
    absent = NOT_THERE.search(said)
    if absent and absent[1] in query:  # the query's own word, not a row's
        return f": {absent[0]}"
    unreached = UNREACHED.search(said)
    return f": {unreached[0].lower()}" if unreached else ""

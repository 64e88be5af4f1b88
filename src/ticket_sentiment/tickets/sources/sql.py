"""Tickets from a database, by SQLAlchemy."""

import os

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import SqlSource
from ticket_sentiment.tickets.sources.raw import RawTable


def read_sql(source: SqlSource) -> RawTable:
    """The rows of the query. The transaction is rolled back: a source is only read.

    Raises:
        TicketSentimentError: the environment variable is not set, the driver is missing, the database
            cannot be reached or refuses the query. The message never holds the URL, which holds a password.
    """
    import sqlalchemy as sa
    from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError, SQLAlchemyError

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
    try:
        with engine.connect() as connection:
            result = connection.execute(sa.text(source.query))
            if not result.returns_rows:
                raise TicketSentimentError("tickets.source.query returns no table: a SELECT is expected")
            names, rows = list(result.keys()), result.fetchall()
            connection.rollback()
    except SQLAlchemyError as error:
        driver = error.orig if isinstance(error, DBAPIError) else error
        reason = str(driver).splitlines()[0] if str(driver) else type(driver).__name__
        raise TicketSentimentError(
            f"the database of {source.url_env} did not answer tickets.source.query "
            f"({type(driver).__name__}: {reason[:200]}): check the URL, the network and the query"
        ) from None
    finally:
        engine.dispose()
    if not rows:
        raise TicketSentimentError("tickets.source.query returned no rows: check the query")
    columns = {name: [row[index] for row in rows] for index, name in enumerate(names)}
    return RawTable("tickets.source.query", columns, range(1, len(rows) + 1))

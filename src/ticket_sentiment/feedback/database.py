"""The event database for those who only read it: found or not there, never made, never silently away."""

import contextlib
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from ticket_sentiment.errors import TicketSentimentError, reason
from ticket_sentiment.events.database import READING, open_engine
from ticket_sentiment.events.migrations import migrate
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.params import Events

STATEMENT_S = 600  # a month of predictions may take longer than a request may wait


class NoEventDatabase(TicketSentimentError):
    """No service has made the event database that params.yaml names."""


def event_url(settings: Events, environ: Mapping[str, str] = os.environ) -> str:
    """Where the event database is: the variable that `url_env` names goes before `url`.

    Raises:
        NoEventDatabase: the SQLite file of params.yaml is not there: no service has answered a ticket.
        TicketSentimentError: the variable names an SQLite file that is not there.
    """
    named = environ.get(settings.url_env)
    url = named or settings.url
    path = _sqlite_file(url)
    if path is None or path.is_file():
        return url
    if named:
        raise TicketSentimentError(
            f"{settings.url_env} names an SQLite file that is not there: correct it or start the service"
        )
    raise NoEventDatabase(
        f"there is no event database yet ({path}): the service makes it; where it keeps it elsewhere, set "
        f"events.url or {settings.url_env}"
    )


def _sqlite_file(url: str) -> Path | None:
    """The file of an SQLite URL; None of another one, or of one that `open_engine` refuses."""
    try:
        parsed = sa.make_url(url)
    except SQLAlchemyError:
        return None
    return Path(parsed.database) if parsed.get_backend_name() == "sqlite" and parsed.database else None


@contextlib.contextmanager
def reading_events(url: str) -> Iterator[sa.Connection]:
    """A connection that sees one state of the database; what it cannot do is an error without a secret.

    Args:
        url: of `event_url`.

    Raises:
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: the URL is wrong.
    """
    engine = open_engine(url, durable=False)
    try:
        migrate(engine)  # a service of another version, or one killed at its first start, may have made it
        with engine.connect() as connection:
            connection = connection.execution_options(**READING)
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {STATEMENT_S * 1000}")
            yield connection
    except SQLAlchemyError as error:
        raise EventStoreUnavailable(
            f"the event database does not answer ({reason(error)}): check events.url and the database, "
            "and try again"
        ) from None
    finally:
        engine.dispose()

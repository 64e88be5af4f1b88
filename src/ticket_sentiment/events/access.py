"""The event database of one process, which may be away for a while: its schema, and one error for that."""

import contextlib
import logging
import os
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import (
    DataError,
    DBAPIError,
    IntegrityError,
    OperationalError,
    SQLAlchemyError,
    StatementError,
)

from ticket_sentiment.errors import TicketSentimentError, reason
from ticket_sentiment.events.database import READING, open_engine
from ticket_sentiment.events.migrations import migrate
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.params import Events

logger = logging.getLogger(__name__)

READ_S = 300  # that a sum over many rows may take; what a service asks for may take database.WAIT_S
HANG_S = 20  # after which a service's call that is not back counts as lost: several times database.WAIT_S
T = TypeVar("T")
CHUNK = 500  # values of one query: SQLite takes at most 32,766 parameters, older ones 999
INSERT = {"sqlite": sqlite.insert, "postgresql": postgresql.insert}


def url_of(settings: Events, environ: Mapping[str, str] = os.environ) -> str:
    """Of the event database: the variable that `events.url_env` names goes before `events.url`."""
    return environ.get(settings.url_env) or settings.url


def chunks(values: Sequence[T]) -> Iterator[Sequence[T]]:
    """As many of the values as one query takes, and the next ones."""
    return (values[start : start + CHUNK] for start in range(0, len(values), CHUNK))


def is_about_a_row(error: SQLAlchemyError) -> bool:
    """Whether a row was refused, by the database or before it, and not the whole call."""
    if isinstance(error, DBAPIError):
        return isinstance(error, DataError | IntegrityError)
    return isinstance(error, StatementError)


def clock(connection: sa.Connection) -> datetime:
    """The database's own time now, not at the transaction's begin, which may have waited for a lock."""
    if connection.dialect.name == "sqlite":
        text = connection.exec_driver_sql("SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')").scalar_one()
        return datetime.fromisoformat(text).replace(tzinfo=UTC)
    found: datetime = connection.execute(sa.select(sa.func.clock_timestamp())).scalar_one()
    return found


class Database:
    """Connections whose commits are on the disk, to a database whose schema is up to date.

    A PostgreSQL server that is away, or a file that another process locks, is no error on construction: a
    service must be able to start without. The schema is then made at the first call that gets through.

    Attributes:
        engine: of connections; see `reading`, `writing` and `answering`.
        insert: makes an INSERT that knows `on_conflict_do_nothing`.
        ready: whether the database answered when it was last asked.
    """

    def __init__(self, url: str) -> None:
        """Open it and bring its schema up to date.

        Args:
            url: see `database.open_engine`.

        Raises:
            TicketSentimentError: the URL is wrong, the file cannot be opened, or the schema cannot be made.
        """
        self.engine = open_engine(url, durable=True)
        self.insert = INSERT[self.engine.dialect.name]
        self.ready = False
        self._calls: dict[object, float] = {}  # when those began that are out
        self._schema_lock = threading.Lock()
        try:
            self._make_ready()
        except SQLAlchemyError as error:
            self._refuse_unless_away(error)
            logger.warning("the event database is away (%s); starting without", reason(error))

    @property
    def hangs(self) -> bool:
        """Whether a call has been out for longer than HANG_S, as with a frozen server."""
        return min(list(self._calls.values()), default=float("inf")) < time.monotonic() - HANG_S

    def close(self) -> None:
        """Disconnect."""
        self.engine.dispose()

    @contextlib.contextmanager
    def answering(self, consequence: str) -> Iterator[None]:
        """Makes of each failure one error without a secret; the next call then checks the schema first.

        Args:
            consequence: what is not known or not done when the database does not answer.

        Raises:
            EventStoreUnavailable: the database does not answer.
            sqlalchemy.exc.SQLAlchemyError: it refuses a row.
        """
        call = object()
        self._calls[call] = time.monotonic()
        try:
            self._make_ready()
            yield
        except SQLAlchemyError as error:
            if is_about_a_row(error):
                raise
            self.ready = False
            raise EventStoreUnavailable(
                f"the event database does not answer ({reason(error)}): {consequence}; try again"
            ) from None
        finally:
            del self._calls[call]

    @contextlib.contextmanager
    def writing(self, consequence: str) -> Iterator[sa.Connection]:
        """A transaction that is committed at the end; arguments and errors as of `answering`."""
        with self.answering(consequence), self.engine.begin() as connection:
            yield connection

    @contextlib.contextmanager
    def reading(self, consequence: str) -> Iterator[sa.Connection]:
        """A transaction that writes nothing and waits for no writer; arguments, errors as of `answering`."""
        with self.answering(consequence), self.engine.connect() as connection:
            yield connection.execution_options(**READING)

    @contextlib.contextmanager
    def counting(self, consequence: str) -> Iterator[sa.Connection]:
        """As `reading`, of sums over many rows, which may take READ_S."""
        with self.reading(consequence) as connection:
            if connection.dialect.name == "postgresql":
                connection.execution_options(isolation_level="REPEATABLE READ")
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = {1000 * READ_S}")
            yield connection

    def _make_ready(self) -> None:
        if self.ready:
            return
        with self._schema_lock:
            if not self.ready:
                migrate(self.engine)
                self.ready = True

    def _refuse_unless_away(self, error: SQLAlchemyError) -> None:
        code = reason(error)
        away = isinstance(error, OperationalError) and (
            self.engine.dialect.name == "postgresql" or "SQLITE_BUSY" in code or "SQLITE_LOCKED" in code
        )
        if not away:
            raise TicketSentimentError(
                f"events.url: the database cannot be opened or its schema made ({code}): see that it is "
                "writable and holds no tables of others"
            ) from None

"""Connections to the event database: SQLite or PostgreSQL, bounded waits, and errors that tell no secret."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import ArgumentError, DisconnectionError, NoSuchModuleError

from ticket_sentiment.errors import TicketSentimentError

CONNECT_S = 3
WAIT_S = 5  # for a lock, a statement, a free connection
_POOL = 4
# What a process keeps of a PostgreSQL server, where each counts against `max_connections`, and how many more
# it may have for a moment. An engine that is not durable writes with one thread, in the background.
_KEPT, _MORE = 2, 2
READING: dict[str, Any] = {"reading": True}  # execution options of a connection that writes nothing


def open_engine(url: str, *, durable: bool) -> sa.Engine:
    """An engine for the event database; it does not connect yet.

    Args:
        url: of SQLAlchemy: `sqlite:///folder/file.db` or `postgresql+psycopg://user:password@host/database`.
        durable: whether a commit also survives a power cut. Without, the last moments before one may be
            missing; neither loses a commit when only the process is killed. An engine that is not durable is
            for one thread.

    Raises:
        TicketSentimentError: the URL is none, names another database, or its driver is not installed.
            The message does not repeat the URL.
    """
    try:
        parsed = sa.make_url(url)
        backend = parsed.get_backend_name()
        if backend == "sqlite":
            return _sqlite(parsed, durable)
        if backend == "postgresql":
            return _postgresql(parsed, durable)
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise TicketSentimentError(
            "events.url: expected sqlite:///folder/file.db or postgresql+psycopg://user:password@host/database"
        ) from None
    except ImportError as error:
        raise TicketSentimentError(
            f"events.url: the driver {error.name} is not installed; postgresql+psycopg:// is the one that is"
        ) from None
    raise TicketSentimentError("events.url: expected SQLite or PostgreSQL")


def _sqlite(url: sa.URL, durable: bool) -> sa.Engine:
    if (
        url.get_driver_name() != "pysqlite"
        or not url.database
        or url.database.startswith((":memory:", "file:"))
    ):
        raise TicketSentimentError("events.url: SQLite needs a file, sqlite:///folder/file.db")
    path = Path(url.database).absolute()  # a later change of folder must not lead to another file
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TicketSentimentError(
            f"events.url: the folder of the database cannot be made ({error.strerror}): "
            "choose one that is writable"
        ) from None
    engine = sa.create_engine(
        url.set(database=str(path)),
        connect_args={"timeout": WAIT_S},
        pool_size=_POOL,
        pool_timeout=WAIT_S,
        hide_parameters=True,
    )

    def connected(connection: sqlite3.Connection, record: Any) -> None:
        connection.isolation_level = None  # `begun` opens transactions, not the driver
        _use_wal(connection)
        connection.execute(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
        connection.execute("PRAGMA secure_delete=ON")  # what is deleted, by age or on demand, is overwritten
        record.info["file"] = _identity(path)

    def checked_out(_: Any, record: Any, __: Any) -> None:
        # A connection to a file that was deleted or replaced works, and what it writes is lost.
        if record.info.get("file") != _identity(path):
            raise DisconnectionError("the file was replaced")

    def begun(connection: sa.Connection) -> None:
        # Taking the write lock first makes a second writer wait; upgrading a read would fail at once.
        reading = connection.get_execution_options().get("reading")
        connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")

    sa.event.listen(engine, "connect", connected)
    sa.event.listen(engine, "checkout", checked_out)
    sa.event.listen(engine, "begin", begun)
    return engine


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch the file to write-ahead logging. Several that try at once do not wait for each other: retry."""
    deadline = time.monotonic() + WAIT_S
    while True:
        try:
            (mode,) = connection.execute("PRAGMA journal_mode=WAL").fetchone()
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.02)
            continue
        if mode != "wal":
            raise TicketSentimentError(
                "events.url: the file system does not support SQLite's write-ahead log: "
                "use a local disk, or PostgreSQL"
            )
        return


def truncate_log(engine: sa.Engine) -> bool:
    """Write SQLite's log into the file and empty it; False where somebody reads there for longer than WAIT_S.

    Args:
        engine: of `open_engine`, to SQLite.
    """
    with contextlib.closing(engine.raw_connection()) as connection:
        busy, *_ = connection.cursor().execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    return not busy


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        status = os.stat(path)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _postgresql(url: sa.URL, durable: bool) -> sa.Engine:
    arguments = {"connect_timeout": CONNECT_S}
    if url.get_driver_name() == "psycopg":
        # Milliseconds until a server that went without a word counts as gone.
        arguments["tcp_user_timeout"] = WAIT_S * 1000
        # A machine that dies after it took a question is asked whether it lives, or its answer is waited for.
        arguments |= {"keepalives_idle": WAIT_S, "keepalives_interval": WAIT_S}
    engine = sa.create_engine(
        url,
        connect_args=arguments,
        pool_size=_KEPT if durable else 1,
        max_overflow=_MORE if durable else 0,
        pool_timeout=WAIT_S,
        pool_pre_ping=True,
        pool_recycle=1800,
        hide_parameters=True,
    )

    def connected(connection: Any, _: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET statement_timeout = {WAIT_S * 1000}")
            cursor.execute(f"SET synchronous_commit = {'on' if durable else 'off'}")
        connection.commit()

    sa.event.listen(engine, "connect", connected)
    return engine

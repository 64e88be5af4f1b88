"""A database that goes away and comes back: predictions wait, then drop with a count; feedback is refused."""

import logging
import os
import socket
import sqlite3
import time
from pathlib import Path

import psycopg
import pytest

from tests.events.events import EXPOSURE, STATE, feedback, prediction
from tests.support.servers import PostgresServer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events import access, database
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import EventStoreUnavailable

SECRET = PostgresServer.PASSWORD


def wait_until_refused(store: EventStore) -> EventStoreUnavailable:
    with pytest.raises(EventStoreUnavailable, match="does not answer") as caught:
        store.feedback(feedback("refused"))
    return caught.value


def test_a_database_that_answers_and_takes_nothing_is_not_available(postgres, open_store, caplog):
    """A full disk, or a standby: reads go on, and say nothing against it."""
    name, url = "a_standby", postgres.url("a_standby")
    with psycopg.connect(postgres.url().replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        store = open_store(url)
        assert store.predicted(prediction(request_id="before")) and store.flush(10) and store.available

        def become(setting: str) -> None:
            admin.execute(f"ALTER DATABASE {name} SET default_transaction_read_only = {setting}")
            admin.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")

        become("on")
        assert store.predicted(prediction(request_id="later")) and not store.flush(1)
        for _ in range(5):
            assert store.rollout_state() is None, "it answers"
            assert not store.available
            time.sleep(0.2)
        assert caplog.text.count("predictions wait") == 1, "an outage is logged when it begins"
        become("off")
        assert store.flush(20) and store.available


def test_a_database_that_says_nothing_is_not_available(postgres, open_store, monkeypatch):
    """Its kernel still acknowledges what is sent, so that no connection ends."""
    monkeypatch.setattr(access, "HANG_S", 0.5)
    with psycopg.connect(postgres.url().replace("+psycopg", ""), autocommit=True) as admin:
        admin.execute("CREATE DATABASE frozen")
    store = open_store(postgres.url("frozen"))
    assert store.predicted(prediction(request_id="before")) and store.flush(10) and store.available
    postgres.freeze()
    try:
        assert store.predicted(prediction(request_id="frozen")) and not store.flush(1.5)
        assert not store.available
    finally:
        postgres.thaw()
    assert store.flush(20) and store.available
    assert (store.written, store.dropped) == (2, 0)


def test_a_host_that_dies_while_it_works_is_asked_whether_it_lives(postgres, open_store):
    """Without, its answer is waited for as long as the system's two hours."""
    store = open_store(postgres.url())
    with store._durable.connect() as connection:
        wire = socket.socket(fileno=os.dup(connection.connection.dbapi_connection.fileno()))
        with wire:
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE) == database.WAIT_S
            assert wire.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == 1000 * database.WAIT_S


def test_postgresql_goes_away_and_comes_back(postgres, request, open_store, rows, caplog):
    caplog.set_level(logging.DEBUG)
    url = postgres.url()
    store = open_store(url, queue=5)
    assert store.feedback(feedback("before")).created
    assert store.set_rollout_state(STATE, 0)
    postgres.stop()
    try:
        start = time.monotonic()
        taken = [store.predicted(prediction(request_id=f"away {number}")) for number in range(8)]
        assert time.monotonic() - start < 2, "a request does not wait for a database"
        assert taken == [True] * 5 + [False] * 3
        assert not store.flush(1)
        refused = wait_until_refused(store)
        assert time.monotonic() - start < 20
        with pytest.raises(EventStoreUnavailable, match="rollout state is unknown"):
            store.rollout_state()
        with pytest.raises(EventStoreUnavailable):
            store.set_rollout_state(STATE, 0)
        assert (store.written, store.dropped, store.queued, store.available) == (0, 3, 5, False)
        late = open_store(url)
        assert not late.available and late.predicted(prediction(request_id="late"))
        with pytest.raises(EventStoreUnavailable):
            late.rollout_state()
    finally:
        postgres.start()
    assert store.flush(20) and late.flush(20)
    assert store.feedback(feedback("refused")).created, "what was refused was not stored"
    assert store.rollout_state() == STATE == late.rollout_state()
    assert (store.written, store.dropped, late.written) == (5, 3, 1)
    stored = {row["request_id"] for row in rows(url, "SELECT request_id FROM predictions")}
    assert stored == {"late", *(f"away {number}" for number in range(5))}
    assert SECRET not in caplog.text + str(refused) and "127.0.0.1" not in str(refused)
    assert caplog.text.count("does not answer") <= 2, "an outage is logged when it begins, not at each try"
    assert "answers again" in caplog.text


def test_a_restart_between_two_calls_is_not_noticed(postgres, open_store):
    store = open_store(postgres.url())
    store.feedback(feedback("1", ticket_id="restart"))
    store.predicted(prediction())
    assert store.flush(10)
    postgres.stop()
    postgres.start()
    assert store.feedback(feedback("2", ticket_id="restart")).created
    store.predicted(prediction())
    assert store.flush(10)
    assert store.dropped == 0


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(database, "WAIT_S", 0.3)
    return tmp_path / "var" / "events.db"


def test_a_locked_sqlite_file_refuses_feedback_in_time_and_recovers(file, open_store, rows):
    url = f"sqlite:///{file}"
    store = open_store(url, queue=2)
    other = sqlite3.connect(file, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    start = time.monotonic()
    assert "SQLITE_BUSY" in str(wait_until_refused(store))
    assert time.monotonic() - start < 3
    assert [store.predicted(prediction(request_id=str(number))) for number in range(3)] == [True, True, False]
    assert not store.flush(0.6)
    late = open_store(url)  # starts all the same
    assert not late.available
    other.execute("ROLLBACK")
    assert store.flush(20)
    assert store.feedback(feedback("1")).created and late.feedback(feedback("2")).created
    assert (store.written, store.dropped) == (2, 1)
    assert len(rows(url, "SELECT * FROM predictions")) == 2


def test_a_sqlite_file_that_is_deleted_is_made_anew_not_written_to_in_secret(file, open_store, rows):
    url = f"sqlite:///{file}"
    store = open_store(url)
    store.feedback(feedback("before"))
    for name in os.listdir(file.parent):
        (file.parent / name).unlink()
    # One call may fail, when it meets the file without its tables; what is acknowledged is there.
    try:
        store.feedback(feedback("after"))
    except EventStoreUnavailable:
        assert store.feedback(feedback("after")).created
    store.predicted(prediction())
    store.exposed(EXPOSURE)
    assert store.flush(20)
    assert [row["event_id"] for row in rows(url, "SELECT event_id FROM feedback")] == ["after"]
    assert len(rows(url, "SELECT * FROM predictions")) == 1


def test_feedback_survives_a_stop_of_the_disk(file, open_store, monkeypatch):
    """A folder in the file's place stands in for a volume that is gone."""
    url = f"sqlite:///{file}"
    store = open_store(url)
    moved = file.parent.with_name("moved")
    file.parent.rename(moved)
    file.parent.write_text("no folder")
    wait_until_refused(store)
    file.parent.unlink()
    moved.rename(file.parent)
    assert store.feedback(feedback("1")).created


def test_a_file_that_is_no_database_is_refused_at_once(tmp_path):
    path = tmp_path / "events.db"
    path.write_text("no database, but long enough for SQLite to look at its first hundred bytes" * 3)
    with pytest.raises(TicketSentimentError, match=r"events\.url.*SQLITE_NOTADB"):
        EventStore(f"sqlite:///{path}", 10, False)


def test_tables_of_another_program_are_refused_and_left_alone(url, rows):
    import sqlalchemy as sa

    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.exec_driver_sql("CREATE TABLE feedback (stars INTEGER)")
    engine.dispose()
    with pytest.raises(TicketSentimentError, match=r"events\.url.*tables of others") as caught:
        EventStore(url, 10, False)
    assert SECRET not in str(caught.value)
    assert rows(url, "SELECT stars FROM feedback") == []

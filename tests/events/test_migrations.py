from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from tests.events.events import PREDICTION, STATE, change, state
from ticket_sentiment.events import database, schema
from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.database import open_engine
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.migrations import MIGRATIONS, migrate
from ticket_sentiment.events.rows import prediction_row


@pytest.fixture
def engine(url):
    engine = open_engine(url, durable=True)
    yield engine
    engine.dispose()


def test_the_migrated_tables_are_those_that_the_code_uses(engine):
    assert migrate(engine) == len(MIGRATIONS)
    inspector = sa.inspect(engine)
    for table in schema.metadata.tables.values():
        columns = {column["name"]: column["nullable"] for column in inspector.get_columns(table.name)}
        assert columns == {column.name: column.nullable for column in table.columns}
        key = inspector.get_pk_constraint(table.name)["constrained_columns"]
        assert key == [column.name for column in table.primary_key]


def test_a_second_time_changes_nothing(engine, url, rows):
    migrate(engine)
    before = rows(url, "SELECT * FROM event_schema")
    assert migrate(engine) == len(MIGRATIONS)
    assert rows(url, "SELECT * FROM event_schema") == before


def test_workers_at_the_same_moment_wait_for_each_other(url, rows):
    engines = [open_engine(url, durable=True) for _ in range(8)]
    for engine in engines:
        engine.connect().close()  # connecting takes longer than migrating
    together = Barrier(len(engines))

    def work(engine: sa.Engine) -> int:
        together.wait()
        return migrate(engine)

    with ThreadPoolExecutor(len(engines)) as pool:
        assert list(pool.map(work, engines)) == [len(MIGRATIONS)] * len(engines)
    assert len(rows(url, "SELECT * FROM event_schema")) == len(MIGRATIONS)
    for engine in engines:
        engine.dispose()


def test_the_next_version_is_added_to_what_is_there(engine, url, rows, open_store):
    store = open_store(url)
    store.predicted(PREDICTION)
    assert store.flush(10)
    more = (*MIGRATIONS, ("ALTER TABLE predictions ADD COLUMN queue_ms DOUBLE PRECISION",))
    assert migrate(engine, more) == len(MIGRATIONS) + 1
    assert rows(url, "SELECT request_id, queue_ms FROM predictions") == [
        {"request_id": "r-1", "queue_ms": None}
    ]
    # The version before goes on beside it, also when it starts again.
    assert migrate(engine) == len(MIGRATIONS) + 1
    store.predicted(PREDICTION)
    assert store.flush(10)
    again = open_store(url)
    again.predicted(PREDICTION)
    assert again.flush(10)
    assert (store.written, again.written) == (2, 1)


def test_a_migration_that_fails_leaves_nothing_behind(engine, url, rows):
    broken = (*MIGRATIONS, ("CREATE TABLE half (x INTEGER)", "THIS IS NO SQL"))
    with pytest.raises(SQLAlchemyError):
        migrate(engine, broken)
    assert sa.inspect(engine).get_table_names() == []
    assert migrate(engine) == len(MIGRATIONS)


LATER = ("unit", "text_chars", "capital_share", "non_ascii_share", "channel")
OLD = [column for column in schema.predictions.columns if column.name not in LATER]


def old_row(**changes) -> dict:
    """As the code of version 1 writes it, which knows nothing of units."""
    return {k: v for k, v in prediction_row(PREDICTION, "w", 0, False).items() if k not in LATER} | changes


def old_insert(connection: sa.Connection, **changes) -> None:
    names = ", ".join(column.name for column in OLD)
    values = ", ".join(f":{column.name}" for column in OLD)
    typed = [sa.bindparam(column.name, type_=column.type) for column in OLD]
    statement = sa.text(f"INSERT INTO predictions ({names}) VALUES ({values})").bindparams(*typed)
    connection.execute(statement, old_row(**changes))


def test_a_database_of_version_1_keeps_its_rows(engine, url, rows, open_store):
    assert migrate(engine, MIGRATIONS[:1]) == 1
    with engine.begin() as connection:
        old_insert(connection)
        connection.execute(schema.rollout_states.insert(), asdict(STATE))
    before = rows(url, "SELECT * FROM predictions")
    ledger = Ledger(url)
    assert rows(url, "SELECT * FROM predictions") == [row | dict.fromkeys(LATER) for row in before]
    applied = rows(url, "SELECT version FROM event_schema ORDER BY version")
    assert [row["version"] for row in applied] == list(range(1, len(MIGRATIONS) + 1))
    assert ledger.current() == Entry(STATE, None) and not ledger.current().on
    assert ledger.change(state(2, 0.5), change("adopt", rollout=2), 1).on
    ledger.close()


def test_a_service_of_version_1_goes_on_beside_the_new_schema(engine, url, rows, open_store):
    ledger, store = Ledger(url), open_store(url)
    store.predicted(PREDICTION)
    assert store.flush(10)
    assert migrate(engine, MIGRATIONS[:1]) == len(MIGRATIONS), "it starts, and leaves the newer schema alone"
    with engine.begin() as connection:
        old_insert(connection)
        # Both may set a state, whoever comes first.
        connection.execute(schema.rollout_states.insert(), asdict(STATE))
    with pytest.raises(LedgerConflict):
        ledger.change(state(1, None), change("adopt", rollout=None), 0)
    ledger.change(state(2, None), change("adopt", rollout=None), 1)
    assert {row["writer"] for row in rows(url, "SELECT writer FROM predictions")} > {"w"}
    ledger.close()


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_an_index_may_take_longer_than_any_other_statement(url, monkeypatch):
    monkeypatch.setattr(database, "WAIT_S", 1)
    engine = open_engine(url, durable=True)
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SHOW statement_timeout").scalar() == "1s"
    slow = (*MIGRATIONS, ("SELECT pg_sleep(1.3)",))
    assert migrate(engine, slow) == len(slow)
    with engine.connect() as connection, pytest.raises(SQLAlchemyError):
        connection.exec_driver_sql("SELECT pg_sleep(1.3)")
    engine.dispose()

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
import sqlalchemy as sa
from sqlalchemy.exc import SQLAlchemyError

from tests.events.events import PREDICTION
from ticket_sentiment.events import schema
from ticket_sentiment.events.database import open_engine
from ticket_sentiment.events.migrations import MIGRATIONS, migrate


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

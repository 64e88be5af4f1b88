import itertools
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.store import EventStore

_number = itertools.count()


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Of an empty database, of each kind in turn."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/var/events.db"
    server = request.getfixturevalue("postgres")
    name = f"t{os.getpid()}_{next(_number)}"
    with sa.create_engine(server.url(), isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return server.url(name)


@pytest.fixture
def open_store() -> Iterator[Callable[..., EventStore]]:
    """`open_store(url)`; closed after the test."""
    stores = []

    def run(url: str, queue: int = 1000, store_text: bool = False) -> EventStore:
        stores.append(EventStore(url, queue, store_text))
        return stores[-1]

    yield run
    for store in stores:
        store.close(1)


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    made = Ledger(url)
    yield made
    made.close()


@pytest.fixture
def rows() -> Callable[[str, str], list[dict]]:
    """`rows(url, "SELECT ...")`: by a connection that knows nothing of the store."""

    def run(url: str, query: str) -> list[dict]:
        engine = sa.create_engine(url)
        try:
            with engine.connect() as connection:
                return [dict(row) for row in connection.exec_driver_sql(query).mappings()]
        finally:
            engine.dispose()

    return run

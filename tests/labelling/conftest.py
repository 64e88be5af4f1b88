"""An event database with answered tickets, and the files beside it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from tests.events.conftest import open_store, rows, url
from tests.events.events import NOON, prediction
from tests.tickets.conftest import params
from ticket_sentiment.events.store import EventStore

__all__ = ["open_store", "params", "rows", "url"]


@pytest.fixture
def store(url, open_store) -> EventStore:
    return open_store(url, 10_000, True)


@pytest.fixture
def answered(store) -> Callable[..., None]:
    """`answered("T-1", p=(0.2, 0.3, 0.5), minutes=5, shadow=False, ...)`: one answer, stored."""

    def run(ticket_id, p=(0.1, 0.2, 0.7), minutes=0, **fields):
        label = ("negative", "neutral", "positive")[p.index(max(p))]
        values = {"request_id": f"r-{ticket_id}", "shadow": False, "text": f"text of {ticket_id}"} | fields
        store.predicted(
            prediction(
                at=NOON + timedelta(minutes=minutes),
                ticket_id=ticket_id,
                probabilities=p,
                confidence=max(p),
                label=label,
                **values,
            )
        )
        assert store.flush(10)

    return run

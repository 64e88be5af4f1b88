from datetime import timedelta

import pytest

from tests.events.events import EXPOSURE, NOON, change, feedback, look, prediction, state
from ticket_sentiment.events import retention
from ticket_sentiment.events.retention import Purged, purge
from ticket_sentiment.events.types import EventStoreUnavailable, Failure
from ticket_sentiment.params import Events

SETTINGS = Events(url="sqlite:///x", url_env="X", queue=1, store_text=True, keep_days=100, keep_text_days=10)
NOW = NOON + timedelta(days=500)


@pytest.fixture
def filled(url, ledger, open_store):
    """Events of 1, 50 and 150 days ago, each in epochs 1 and 3."""
    store = open_store(url, store_text=True)
    for days in (1, 50, 150):
        for epoch in (1, 3):
            at = NOW - timedelta(days=days)
            store.predicted(prediction(at=at, epoch=epoch, request_id=f"{days} {epoch}", text="hello"))
            store.exposed(EXPOSURE._replace(at=at, epoch=epoch, unit=f"{days}"))
            store.failed(Failure(at, f"{days} {epoch}", "u", "champion", epoch, "internal"))
    store.feedback(feedback("1"))
    assert store.flush(10)
    ledger.change(state(1, None), change("adopt", rollout=None), 0)
    ledger.change(state(2, None), change("adopt", rollout=None), 1)
    return store


def kept(rows, url):
    return {row["request_id"] for row in rows(url, "SELECT request_id FROM predictions")}


def test_what_is_old_goes_and_what_people_said_stays(url, ledger, filled, rows):
    assert purge(ledger.database, SETTINGS, NOW) == Purged(predictions=2, exposures=2, failures=2, texts=2)
    assert kept(rows, url) == {"1 1", "1 3", "50 1", "50 3"}
    assert {row["request_id"] for row in rows(url, "SELECT request_id FROM failures")} == kept(rows, url)
    assert {row["unit"] for row in rows(url, "SELECT unit FROM exposures")} == {"1", "50"}
    texts = rows(url, "SELECT request_id FROM predictions WHERE text IS NOT NULL")
    assert {row["request_id"] for row in texts} == {"1 1", "1 3"}
    assert len(rows(url, "SELECT * FROM feedback")) == 1 and len(ledger.history(9)) == 2
    assert purge(ledger.database, SETTINGS, NOW) == Purged(0, 0, 0, 0)


def test_the_rollout_that_is_on_keeps_its_events_but_not_its_texts(url, ledger, filled, rows):
    ledger.change(state(3, 0.0), change("start", rollout=3), 2)
    ledger.change(state(4, 0.5), change("advance", rollout=3), 3)
    ledger.look(look(3))
    assert purge(ledger.database, SETTINGS, NOW) == Purged(predictions=1, exposures=1, failures=1, texts=3)
    assert kept(rows, url) == {"1 1", "1 3", "50 1", "50 3", "150 3"}
    ledger.change(state(5, None), change("stop", rollout=None), 4)
    assert purge(ledger.database, SETTINGS, NOW) == Purged(predictions=1, exposures=1, failures=1, texts=0)
    assert len(ledger.looks(3)) == 1


def test_a_rollout_that_the_ledger_does_not_know_keeps_its_events_too(url, ledger, filled, rows):
    assert filled.set_rollout_state(state(3, 0.0), 2) and filled.set_rollout_state(state(4, 0.5), 3)
    purge(ledger.database, SETTINGS, NOW)
    assert kept(rows, url) == {"1 1", "1 3", "50 1", "50 3", "150 3"}


def test_much_goes_in_small_transactions(url, ledger, filled, rows, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 3)
    for number in range(10):
        filled.predicted(prediction(at=NOON, request_id=str(number), text="hello"))
    assert filled.flush(10)
    assert purge(ledger.database, SETTINGS, NOW).predictions == 12
    assert len(kept(rows, url)) == 4


def test_a_purge_that_is_stopped_goes_on_where_it_was(url, ledger, filled, rows, monkeypatch):
    monkeypatch.setattr(retention, "BATCH", 1)
    asked = iter(range(99))
    began = retention._began

    def away(connection):
        if next(asked) == 1:
            raise EventStoreUnavailable("away")
        return began(connection)

    monkeypatch.setattr(retention, "_began", away)
    with pytest.raises(EventStoreUnavailable):
        purge(ledger.database, SETTINGS, NOW)
    assert len(kept(rows, url)) == 5
    assert purge(ledger.database, SETTINGS, NOW).predictions == 1


def test_a_clock_that_jumped_forward_deletes_nothing(url, ledger, filled, rows):
    jumped = NOW + timedelta(days=400)
    assert purge(ledger.database, SETTINGS, jumped) == Purged(0, 0, 0, 0)
    ledger.change(state(3, 0.0), change("start", rollout=3), 2)
    ledger.look(look(3, at=jumped))  # just before, by the same clock
    assert purge(ledger.database, SETTINGS, jumped) == Purged(0, 0, 0, 0)
    assert len(kept(rows, url)) == 6
    assert purge(ledger.database, SETTINGS, jumped + timedelta(days=1)).predictions == 3

import itertools
import logging
import multiprocessing
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from tests.events.events import (
    DIGEST,
    EXPOSURE,
    NOON,
    PREDICTION,
    STATE,
    feedback,
    open_only,
    prediction,
    race,
)
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.migrations import MIGRATIONS
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import (
    EventStoreUnavailable,
    Failure,
    Feedback,
    FeedbackConflict,
    FeedbackResult,
)
from ticket_sentiment.params import Events

ROOT = Path(__file__).parents[2]


def processes(count: int) -> ProcessPoolExecutor:
    return ProcessPoolExecutor(count, mp_context=multiprocessing.get_context("spawn"))


def test_a_prediction_is_kept_with_all_it_carries_but_the_text(url, open_store, rows):
    store = open_store(url)
    assert store.predicted(PREDICTION)
    assert store.flush(10)
    (row,) = rows(url, "SELECT * FROM predictions")
    assert str(row.pop("at")).startswith("2026-11-01 12:00:00")
    assert len(row.pop("writer")) == 32
    assert row == {
        "sequence": 0, "request_id": "r-1", "ticket_id": "T-1", "customer": "0123456789abcdef",
        "arm": "challenger", "epoch": 3, "bundle_digest": DIGEST, "model_version": "7", "label": "positive",
        "p_negative": 0.125, "p_neutral": 0.25, "p_positive": 0.625, "confidence": 0.625, "abstain": False,
        "cached": True, "backend": "cpu", "latency_ms": 1.5, "shadow": False, "text": None,
        "unit": None, "channel": None, "text_chars": 37, "capital_share": 0.0, "non_ascii_share": 0.0,
    }  # fmt: skip
    assert (store.written, store.dropped, store.queued) == (1, 0, 0)


def test_a_failure_is_kept_with_all_it_carries(url, open_store, rows):
    store = open_store(url)
    failure = Failure(NOON, "r-1", "0123456789abcdef", "challenger", 3, "internal")
    assert store.failed(failure) and store.predicted(prediction(unit="0123456789abcdef"))
    assert store.flush(10)
    (row,) = rows(url, "SELECT * FROM failures")
    assert str(row.pop("at")).startswith("2026-11-01 12:00:00") and len(row.pop("writer")) == 32
    assert row == {
        "sequence": 0, "request_id": "r-1", "unit": "0123456789abcdef", "arm": "challenger", "epoch": 3,
        "code": "internal",
    }  # fmt: skip
    assert rows(url, "SELECT sequence, unit FROM predictions") == [
        {"sequence": 1, "unit": "0123456789abcdef"}
    ]
    store.failed(failure._replace(at=datetime(2026, 11, 1)))  # without a zone: it harms no other
    store.failed(failure._replace(request_id="r-2"))
    assert store.flush(10)
    assert (store.written, store.dropped) == (3, 1)


def test_a_text_is_kept_masked_when_it_is_to_be_kept(url, open_store, rows):
    store = open_store(url, store_text=True)
    store.predicted(PREDICTION)
    assert store.flush(10)
    assert rows(url, "SELECT text FROM predictions") == [{"text": "my number is [PHONE], thanks"}]


def test_a_channel_is_kept_masked_as_that_of_a_collected_ticket(url, open_store, rows):
    store = open_store(url)
    store.predicted(prediction(request_id="1", channel="email"))
    store.predicted(prediction(request_id="2", channel="call from +44 20 7946 0958"))
    store.predicted(prediction(request_id="3", channel="half \ud800"))
    assert store.flush(10)
    found = rows(url, "SELECT channel FROM predictions ORDER BY request_id")
    assert [row["channel"] for row in found] == ["email", "call from [PHONE]"]
    assert store.dropped == 1


def test_the_shape_of_a_text_is_kept_where_the_text_is_not(url, open_store, rows):
    store = open_store(url)
    store.predicted(prediction(request_id="1", text="IT IS naïve"))
    store.predicted(prediction(request_id="2", text=None))
    assert store.flush(10)
    found = rows(
        url, "SELECT text, text_chars, capital_share, non_ascii_share FROM predictions ORDER BY request_id"
    )
    names = ("text", "text_chars", "capital_share", "non_ascii_share")
    assert [tuple(row[name] for name in names) for row in found] == [
        (None, 11, pytest.approx(4 / 9), pytest.approx(1 / 11)),
        (None, None, None, None),
    ]


def test_many_predictions_arrive_once_and_in_order(url, open_store, rows):
    store = open_store(url, queue=5000)
    for number in range(1700):
        assert store.predicted(prediction(request_id=str(number)))
    assert store.flush(20)
    stored = rows(url, "SELECT request_id FROM predictions ORDER BY sequence")
    assert [row["request_id"] for row in stored] == [str(number) for number in range(1700)]
    assert store.written == 1700


@pytest.mark.parametrize(
    "changes",
    [
        {"ticket_id": "a\0b"},
        {"ticket_id": "half \ud83d"},
        {"at": datetime(2026, 11, 1)},
        {"latency_ms": float("nan")},
        {"probabilities": (0.5, 0.5)},
        {"label": None},
        {"epoch": 2**70},
    ],
)
def test_an_event_that_cannot_be_stored_harms_no_other(url, open_store, rows, changes, caplog):
    store = open_store(url)
    for event in (prediction(request_id="before"), prediction(**changes), prediction(request_id="after")):
        store.predicted(event)
    assert store.flush(10)
    assert {row["request_id"] for row in rows(url, "SELECT request_id FROM predictions")} == {
        "before",
        "after",
    }
    assert (store.written, store.dropped) == (2, 1)
    assert "T-1" not in caplog.text and "7946" not in caplog.text


def test_the_first_exposure_of_an_epoch_counts(url, open_store, rows):
    first, second = open_store(url), open_store(url)
    for _ in range(3):
        assert first.exposed(EXPOSURE)
    assert first.queued <= 1, "a repeat is not even queued"
    assert first.flush(10)
    assert second.exposed(EXPOSURE._replace(at=NOON + timedelta(hours=1))) and second.flush(10)
    assert second.exposed(EXPOSURE._replace(epoch=4, arm="challenger")) and second.flush(10)
    stored = rows(url, "SELECT epoch, arm, at FROM exposures ORDER BY epoch")
    assert [(row["epoch"], row["arm"]) for row in stored] == [(3, "champion"), (4, "challenger")]
    assert str(stored[0]["at"]).startswith("2026-11-01 12")


def test_a_dropped_exposure_is_tried_again(open_store, tmp_path, rows):
    url = f"sqlite:///{tmp_path}/e.db"
    store = open_store(url, queue=1)
    store._writer._capacity = 0
    assert not store.exposed(EXPOSURE)
    store._writer._capacity = 1
    assert store.exposed(EXPOSURE) and store.flush(10)
    assert len(rows(url, "SELECT * FROM exposures")) == 1


def test_feedback_is_idempotent(url, open_store, rows):
    store = open_store(url)
    assert store.feedback(feedback("1")) == FeedbackResult(created=True, label="negative")
    assert store.feedback(feedback("1")) == FeedbackResult(created=False, label="negative")
    # A caller without a clock of its own sends the same event at another time.
    assert not store.feedback(feedback("1", minutes=5)).created
    assert len(rows(url, "SELECT * FROM feedback")) == 1
    assert store.feedback(feedback("1", source="csat")).created
    assert store.feedback(feedback("1", ticket_id="T-2")).created


def test_an_event_that_comes_again_with_another_label_is_refused(url, open_store, rows):
    store = open_store(url)
    store.feedback(feedback("1"))
    with pytest.raises(FeedbackConflict, match="event_id"):
        store.feedback(feedback("1", "positive"))
    assert [row["label"] for row in rows(url, "SELECT label FROM feedback")] == ["negative"]


def test_the_latest_label_wins_in_every_order_and_the_history_stays(url, open_store, rows):
    store = open_store(url)
    events = [feedback("1", "negative", 1), feedback("2", "neutral", 2), feedback("3", "positive", 2)]
    for number, order in enumerate(itertools.permutations(events)):
        results = [store.feedback(event._replace(ticket_id=f"T-{number}")) for event in order]
        assert all(result.created for result in results)
        assert results[-1].label == "positive", "the tie at minute 2 goes to the greater event id"
    assert len(rows(url, "SELECT * FROM feedback WHERE ticket_id = 'T-5'")) == 3


def test_times_of_other_zones_are_compared_as_moments(url, open_store):
    store = open_store(url)
    east = timezone(timedelta(hours=9))
    store.feedback(feedback("1", "negative", at=datetime(2026, 11, 1, 20, 30, tzinfo=east)))  # 11:30 UTC
    assert (
        store.feedback(feedback("2", "positive", at=datetime(2026, 11, 1, 12, tzinfo=UTC))).label
        == "positive"
    )


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"ticket_id": ""}, "ticket_id"),
        ({"source": "x" * 201}, "source"),
        ({"event_id": "a\0canary"}, "event_id"),
        ({"ticket_id": "\udc00canary"}, "ticket_id"),
        ({"label": "canary"}, "label"),
        ({"at": datetime(2026, 11, 1)}, "time zone"),
        ({"at": datetime.now(UTC) + timedelta(hours=1)}, "future"),
    ],
)
def test_bad_feedback_is_refused_with_the_field(tmp_path, open_store, rows, changes, named):
    url = f"sqlite:///{tmp_path}/e.db"
    with pytest.raises(TicketSentimentError, match=named) as caught:
        open_store(url).feedback(feedback("1")._replace(**changes))
    assert "canary" not in str(caught.value)
    assert rows(url, "SELECT * FROM feedback") == []


@pytest.mark.parametrize(
    "at", [datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23))), datetime(1999, 12, 31, tzinfo=UTC)]
)
def test_feedback_of_no_time_that_could_be_is_refused(url, open_store, rows, at):
    store = open_store(url)
    with pytest.raises(TicketSentimentError, match="at: lies before the year 2000"):
        store.feedback(feedback("1", at=at))
    assert store.feedback(feedback("2", at=datetime(2000, 1, 1, tzinfo=UTC))).created
    assert len(rows(url, "SELECT * FROM feedback")) == 1


def test_feedback_that_the_database_itself_refuses_is_an_error_for_people(url, open_store, rows, monkeypatch):
    monkeypatch.setattr(Feedback, "check", lambda self: None)
    store = open_store(url)
    with pytest.raises(TicketSentimentError, match="the database refuses a field") as caught:
        store.feedback(feedback("1", at=datetime(1, 1, 1, tzinfo=timezone(timedelta(hours=23)))))
    assert not isinstance(caught.value, EventStoreUnavailable)
    with pytest.raises(TicketSentimentError, match="the database refuses a field") as caught:
        store.feedback(feedback("1", None, source="canary"))
    assert "canary" not in str(caught.value)
    assert rows(url, "SELECT * FROM feedback") == []


def test_feedback_from_many_threads_is_kept_once(url, open_store, rows):
    store = open_store(url)
    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(lambda number: store.feedback(feedback(str(number % 10))), range(40)))
    assert sum(result.created for result in results) == 10
    assert len(rows(url, "SELECT * FROM feedback")) == 10


@pytest.fixture
def opened(url: str) -> Iterator[list[int]]:
    """How many connections to this database are open, after each that this process opened or closed."""
    held: set[int] = set()
    seen, lock, name = [0], threading.Lock(), sa.make_url(url).database

    def connected(connection: Any, _: object) -> None:
        if connection.info.dbname == name:
            with lock:
                held.add(id(connection))
                seen.append(len(held))

    def closed(connection: Any, _: object) -> None:
        with lock:
            held.discard(id(connection))
            seen.append(len(held))

    sa.event.listen(sa.Pool, "connect", connected)
    sa.event.listen(sa.Pool, "close", closed)
    yield seen
    sa.event.remove(sa.Pool, "connect", connected)
    sa.event.remove(sa.Pool, "close", closed)


@pytest.mark.parametrize("url", ["postgresql"], indirect=True)
def test_a_worker_holds_few_connections_of_a_server_that_all_pods_share(url, opened, open_store):
    """docs/operations.md tells what `max_connections` must be from these numbers."""
    store, seen = open_store(url), opened
    for number in range(400):
        store.predicted(prediction(request_id=str(number)))

    def busy(number: int) -> None:
        store.feedback(feedback(str(number)))
        store.rollout_state()

    with ThreadPoolExecutor(12) as pool:
        for call in [pool.submit(busy, number) for number in range(400)]:
            call.result()
    assert store.flush(10)
    assert 3 <= max(seen) <= 5
    assert seen[-1] <= 3


def test_feedback_and_predictions_at_the_same_time(url, open_store, rows):
    store = open_store(url, queue=100_000)
    for number in range(3000):
        store.predicted(prediction(request_id=str(number)))
    for number in range(20):
        store.feedback(feedback(str(number)))
    assert store.flush(30)
    assert rows(url, "SELECT count(*) AS n FROM predictions") == [{"n": 3000}]
    assert rows(url, "SELECT count(*) AS n FROM feedback") == [{"n": 20}]
    assert store.dropped == 0


def test_acknowledged_feedback_outlives_a_killed_process(url, rows):
    child = subprocess.Popen(
        [sys.executable, "-m", "tests.events.events", url], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    acknowledged = [child.stdout.readline() for _ in range(25)]
    child.kill()
    acknowledged += child.stdout.read().splitlines(keepends=True)
    child.wait()
    numbers = {line.strip() for line in acknowledged if line.endswith("\n")}
    assert len(numbers) >= 25
    assert numbers <= {row["event_id"] for row in rows(url, "SELECT event_id FROM feedback")}


def test_workers_that_start_at_once_make_one_schema(url, rows):
    with processes(6) as pool:
        assert all(pool.map(open_only, [url] * 6))
    versions = [row["version"] for row in rows(url, "SELECT version FROM event_schema ORDER BY version")]
    assert versions == list(range(1, len(MIGRATIONS) + 1))


def test_a_state_comes_back_as_it_was_set(url, open_store):
    store = open_store(url)
    assert store.rollout_state() is None
    assert store.set_rollout_state(STATE, 0)
    assert store.rollout_state() == STATE
    last = replace(STATE, epoch=2, challenger=None, challenger_share=0.0, shadow=False)
    assert store.set_rollout_state(last, 1)
    assert open_store(url).rollout_state() == last


def test_a_state_is_set_only_on_the_epoch_it_was_made_for(url, open_store, rows):
    store = open_store(url)
    assert not store.set_rollout_state(replace(STATE, epoch=2), 1), "there is no first state"
    assert store.set_rollout_state(STATE, 0)
    assert not store.set_rollout_state(replace(STATE, salt="another"), 0)
    with pytest.raises(TicketSentimentError, match="epoch: expected 2"):
        store.set_rollout_state(replace(STATE, epoch=3), 1)
    assert store.rollout_state() == STATE
    assert len(rows(url, "SELECT * FROM rollout_states")) == 1


def test_of_processes_that_set_a_state_at_once_one_wins(url, open_store):
    store = open_store(url)
    store.set_rollout_state(STATE, 0)
    with processes(6) as pool:
        won = list(pool.map(race, [url] * 6, range(6)))
    assert sum(won) == 1
    assert store.rollout_state().salt == f"by {won.index(True)}"


def test_of_threads_that_set_a_state_at_once_one_wins(url, open_store):
    store = open_store(url)
    for epoch in range(15):
        tries = [replace(STATE, epoch=epoch + 1, salt=f"{epoch} {number}") for number in range(4)]
        with ThreadPoolExecutor(4) as pool:
            won = list(pool.map(lambda state: store.set_rollout_state(state, epoch), tries))  # noqa: B023
        assert sum(won) == 1
        assert store.rollout_state() == tries[won.index(True)]


def test_closing_stores_what_waits(url, rows):
    store = EventStore(url, 1000, False)
    for _ in range(700):
        store.predicted(PREDICTION)
    assert store.close(20)
    assert rows(url, "SELECT count(*) AS n FROM predictions") == [{"n": 700}]
    assert not store.predicted(PREDICTION)
    assert store.dropped == 1


def test_the_variable_goes_before_the_url_of_params(tmp_path, rows):
    settings = Events(
        url=f"sqlite:///{tmp_path}/file.db", url_env="EVENTS", queue=5, store_text=False, keep_days=1,
        keep_text_days=1,
    )  # fmt: skip
    EventStore.open(settings, {}).close(1)
    EventStore.open(settings, {"EVENTS": f"sqlite:///{tmp_path}/variable.db"}).close(1)
    EventStore.open(settings, {"EVENTS": ""}).close(1)
    assert {path.name for path in tmp_path.glob("*.db")} == {"file.db", "variable.db"}


def test_a_prediction_costs_its_request_microseconds(tmp_path, open_store):
    store = open_store(f"sqlite:///{tmp_path}/e.db", queue=100_000)
    start = time.perf_counter()
    for _ in range(5000):
        store.predicted(PREDICTION)
    assert (time.perf_counter() - start) / 5000 < 100e-6


def test_nothing_of_an_event_is_logged(tmp_path, open_store, caplog):
    caplog.set_level(logging.DEBUG)
    store = open_store(f"sqlite:///{tmp_path}/e.db", store_text=True)
    store.predicted(PREDICTION)
    store.feedback(feedback("canary-event"))
    assert store.flush(10)
    assert not any(word in caplog.text for word in ("7946", "T-1", "canary-event"))

"""What bounds batches and feedback, and who waits for how long."""

import asyncio
import json
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support.front import Service, run
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.types import Feedback, FeedbackResult
from ticket_sentiment.params import Keys

FEEDBACK = {"ticket_id": "1", "label": "neutral", "event_id": "1"}


def wait_with_feedback(service: Service, go_on: threading.Event) -> None:
    """Let the event database answer only when `go_on` is set."""

    def slow(event: Feedback) -> FeedbackResult:
        go_on.wait(10)
        return FeedbackResult(True, event.label)

    service.store.feedback = slow


def test_feedback_that_waits_for_a_slow_database_leaves_the_places_of_tickets_free() -> None:
    go_on = threading.Event()

    async def test(service: Service) -> None:
        wait_with_feedback(service, go_on)
        patient = {"x-request-timeout-ms": "9000"}
        many = [asyncio.create_task(service.ask(FEEDBACK, "/v1/feedback", **patient)) for _ in range(24)]
        await asyncio.sleep(0.05)
        assert (await service.ask({"text": "a"})).status == 200
        refused = [await task for task in many if task.done()]
        assert [reply.code for reply in refused] == ["events_unavailable"] * 8
        assert all(b"retry-after" in reply.headers for reply in refused)
        go_on.set()
        replies = await asyncio.gather(*many)
        assert sum(reply.status == 200 for reply in replies) == 16
        assert (await service.ask(FEEDBACK, "/v1/feedback")).status == 200

    try:
        run(test, max_in_flight=64)
    finally:
        go_on.set()


def test_feedback_keeps_to_the_deadline_and_a_place_is_free_when_the_thread_is_done() -> None:
    go_on = threading.Event()

    async def test(service: Service) -> None:
        wait_with_feedback(service, go_on)
        started = time.monotonic()
        impatient = {"x-request-timeout-ms": "100"}
        replies = await asyncio.gather(
            *(service.ask(FEEDBACK, "/v1/feedback", **impatient) for _ in range(8))
        )
        assert time.monotonic() - started < 2
        assert {(reply.status, reply.code) for reply in replies} == {(503, "events_unavailable")}
        assert "did not answer in time" in json.loads(replies[0].body)["error"]["message"]
        begin = time.monotonic()
        assert (await service.ask(FEEDBACK, "/v1/feedback")).code == "events_unavailable"
        assert time.monotonic() - begin < 1  # there is no place for it to wait in
        go_on.set()
        while (await service.ask(FEEDBACK, "/v1/feedback")).status != 200:
            assert time.monotonic() - begin < 10
            await asyncio.sleep(0.01)

    try:
        run(test, max_in_flight=32)
    finally:
        go_on.set()


def slow_clean(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    def clean(text: str) -> str:
        time.sleep(seconds)
        return text

    monkeypatch.setattr("ticket_sentiment.serving.scoring.clean", clean)


async def turns(task: asyncio.Task[Any]) -> int:
    """How often others have their turn until a task is done."""
    number = 0
    while not task.done():
        await asyncio.sleep(0)
        number += 1
    return number


def test_a_batch_of_equal_tickets_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 40}
        asked = service.ask(body, "/v1/classify/batch", **{"x-request-timeout-ms": "9000"})
        batch = asyncio.create_task(asked)
        assert await turns(batch) >= 10
        results = json.loads(batch.result().body)["results"]
        assert [item["label"] for item in results] == ["positive"] * 40

    slow_clean(monkeypatch, 0.01)
    run(test, cache=PredictionCache(10, 60.0))


def test_what_a_batch_has_not_begun_at_its_deadline_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 40}
        reply = await service.ask(body, "/v1/classify/batch", **{"x-request-timeout-ms": "100"})
        results = json.loads(reply.body)["results"]
        assert results[0]["label"] == "positive"
        assert results[-1]["error"]["code"] == "deadline_exceeded"

    slow_clean(monkeypatch, 0.02)
    run(test, cache=PredictionCache(10, 60.0))


def test_more_batches_than_may_be_in_progress_are_refused() -> None:
    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}, {"text": "b"}]}
        replies = await asyncio.gather(*(service.ask(body, "/v1/classify/batch") for _ in range(5)))
        assert sorted(reply.status for reply in replies) == [200, 200, 503, 503, 503]
        refused = [reply for reply in replies if reply.status == 503]
        assert all(b"retry-after" in reply.headers for reply in refused)
        assert (await service.ask(body, "/v1/classify/batch")).status == 200

    run(test, FakeClassifier(seconds=0.01), max_batches=2)


PATIENT = {"x-request-timeout-ms": "20000"}


def batch_of(count: int) -> dict[str, Any]:
    return {"tickets": [{"text": f"ticket {number}"} for number in range(count)]}


@pytest.mark.parametrize("threaded", [False, True], ids=["CPU", "GPU"])
def test_as_many_batches_as_may_be_in_progress_are_answered_whole(threaded: bool) -> None:
    async def test(service: Service) -> None:
        many = [service.ask(batch_of(64), "/v1/classify/batch", **PATIENT) for _ in range(8)]
        for reply in await asyncio.gather(*many):
            results = json.loads(reply.body)["results"]
            assert [item.get("label") for item in results] == ["positive"] * 64

    model = FakeClassifier(max_batch=32 if threaded else 1, seconds=0.002)
    run(test, model, threaded=threaded, max_batches=8, max_queue=64)


def test_a_batch_waits_for_room_while_single_tickets_fill_the_queue() -> None:
    async def test(service: Service) -> None:
        singles = [asyncio.create_task(service.ask({"text": "a"}, **PATIENT)) for _ in range(4)]
        await asyncio.sleep(0)
        reply = await service.ask(batch_of(5), "/v1/classify/batch", **PATIENT)
        results = json.loads(reply.body)["results"]
        assert [item.get("label") for item in results] == ["positive"] * 5
        assert [task.result().status for task in singles] == [200] * 4
        late = await service.ask(batch_of(5), "/v1/classify/batch", **{"x-request-timeout-ms": "40"})
        results = json.loads(late.body)["results"]
        assert results[0]["label"] == "positive"
        assert results[-1]["error"]["code"] in ("deadline_exceeded", "overloaded")

    run(test, FakeClassifier(seconds=0.02), max_queue=4)


def test_a_batch_that_waits_beside_longer_ones_keeps_what_it_has_at_its_deadline() -> None:
    async def test(service: Service) -> None:
        many = [service.ask(batch_of(64), "/v1/classify/batch", **PATIENT) for _ in range(7)]
        batches = asyncio.gather(*many)
        reply = await service.ask(batch_of(64), "/v1/classify/batch", **{"x-request-timeout-ms": "300"})
        assert reply.status == 200
        results = json.loads(reply.body)["results"]
        assert results[0]["label"] == "positive"
        assert results[-1]["error"]["code"] == "deadline_exceeded"
        await batches
        assert not service.store.failures
        assert max(event.latency_ms for event in service.store.predictions) < 100  # each its own

    run(test, FakeClassifier(seconds=0.005), max_batches=8)


def test_batches_of_slow_tickets_leave_single_ones_their_place() -> None:
    """A model of 10 ms, and half of an objective of 100 ms to wait in: two batches alone would fill that."""

    async def test(service: Service) -> None:
        service.engine.text_seconds = 0.01
        many = [service.ask(batch_of(20), "/v1/classify/batch", **PATIENT) for _ in range(8)]
        batches = asyncio.gather(*many)
        statuses = []
        while not batches.done():
            await asyncio.sleep(0.02)
            statuses.append((await service.ask({"text": "a"})).status)
        assert len(statuses) > 10
        assert set(statuses) == {200}
        await batches

    run(test, FakeClassifier(seconds=0.01), max_batches=8)


def test_a_batch_that_is_refused_is_told_when_the_bucket_holds_all_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPDESK_KEY", "0123456789abcdef")
    headers = {"x-api-key": "0123456789abcdef"}

    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 4}
        assert (await service.ask(body, "/v1/classify/batch", **headers)).status == 200
        refused = await service.ask(body, "/v1/classify/batch", **headers)
        assert (refused.status, refused.code) == (429, "rate_limited")
        await asyncio.sleep(0.2)
        assert (await service.ask({"text": "a"}, **headers)).status == 200
        again = await service.ask(body, "/v1/classify/batch", **headers)
        assert again.status == 429  # after the first token the rest is refused: the whole is asked for
        await asyncio.sleep(float(again.headers[b"retry-after"]))
        assert (await service.ask(body, "/v1/classify/batch", **headers)).status == 200

    keys = Keys(environment=["HELPDESK_KEY"], file=None, rate=20.0, burst=4)
    run(test, home=tmp_path, api_keys=keys)


class SlowRedis:
    """Stands for a shared cache that takes its time."""

    def __init__(self) -> None:
        self.go_on = asyncio.Event()

    async def get(self, digest: str, key: str) -> Answer | None:
        await self.go_on.wait()
        return None

    def store(self, digest: str, key: str, answer: Answer) -> None:
        """Keeps nothing."""


def test_who_waits_for_another_computation_keeps_its_own_deadline() -> None:
    redis = SlowRedis()

    async def test(service: Service) -> None:
        impatient = {"x-request-timeout-ms": "100"}
        leader = asyncio.create_task(service.ask({"text": "a"}, **{"x-request-timeout-ms": "9000"}))
        follower = await service.ask({"text": "a"}, **impatient)
        assert (follower.status, follower.code) == (504, "deadline_exceeded")
        alone = await service.ask({"text": "b"}, **impatient)
        assert (alone.status, alone.code) == (504, "deadline_exceeded")
        redis.go_on.set()
        assert (await leader).status == 200

    run(test, cache=PredictionCache(10, 60.0, redis))


def test_feedback_that_hangs_does_not_hold_up_the_stop() -> None:
    go_on = threading.Event()

    async def test(service: Service) -> None:
        service.store.feedback = lambda event: go_on.wait(20)  # type: ignore[assignment, return-value]
        reply = await service.ask(FEEDBACK, path="/v1/feedback", **{"x-request-timeout-ms": "50"})
        assert reply.code == "events_unavailable"
        start = time.monotonic()
        service.routes.close()
        assert time.monotonic() - start < 5
        go_on.set()

    run(test)

"""The front in this process, with models and databases that misbehave."""

import asyncio
import json
import logging
import threading
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackResult
from ticket_sentiment.params import Keys, load_params
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving.arms import Arms
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.front import Front
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.limiter import RateLimiter
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.routes import Routes
from ticket_sentiment.serving.scoring import Scorer

SERVE = load_params().serve
CANARY = "zanzibar"


class Store:
    """Stands for the event store: keeps predictions in a list, and its feedback is away."""

    def __init__(self) -> None:
        self.predictions: list[Any] = []
        self.exposures: list[Any] = []

    def predicted(self, event: Any) -> bool:
        self.predictions.append(event)
        return True

    def exposed(self, event: Any) -> bool:
        self.exposures.append(event)
        return True

    def feedback(self, event: Feedback) -> FeedbackResult:
        raise EventStoreUnavailable("away")


class Reply:
    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, {}, b""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message["body"]

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


class Service:
    """A front and what is behind it."""

    def __init__(
        self,
        *models: FakeClassifier,
        cache: PredictionCache | None = None,
        home: Path = Path(),
        **changes: Any,
    ) -> None:
        serve = SERVE.model_copy(update=changes)
        self.store, self.metrics = Store(), Metrics(None, serve.objective_ms)
        self.engine = Engine(serve.max_queue, serve.max_shadow_queue, serve.objective_ms / 1000)
        self.arms, self.cache = Arms(models), PredictionCache(0, 1.0) if cache is None else cache
        scorer = Scorer(self.arms, self.engine, self.store, self.cache, self.metrics, serve.abstain_below)
        self.routes = Routes(serve, scorer, self.store, self.metrics)
        keys = ApiKeys(serve.api_keys, home)
        limiter = RateLimiter(home / "rates", 1, serve.api_keys.rate, serve.api_keys.burst) if keys else None
        self.front = Front(serve, self.routes.by_path, keys, limiter, self.metrics)

    def value(self, name: str, **labels: str) -> float:
        """Of a metric; 0 where it has no such series."""
        return self.metrics.registry.get_sample_value(f"ticket_sentiment_{name}", labels) or 0.0

    async def ask(
        self,
        body: Any,
        path: str = "/v1/classify",
        leaves_after: float | None = None,
        **headers: str,
    ) -> Reply:
        """A request; its caller leaves after so many seconds."""
        reply = Reply()
        pending = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> dict[str, Any]:
            if pending:
                return pending.pop()
            await asyncio.sleep(3600 if leaves_after is None else leaves_after)
            return {"type": "http.disconnect"}

        sent = {"content-type": "application/json", **headers}
        scope = {
            "path": path,
            "method": "POST",
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        await self.front(scope, receive, reply.send)
        return reply


def run(
    test: Callable[[Service], Awaitable[None]],
    model: FakeClassifier | None = None,
    *others: FakeClassifier,
    **changes: Any,
) -> None:
    async def main() -> None:
        service = Service(model or FakeClassifier(), *others, **changes)
        await asyncio.wait_for(test(service), 20)
        assert service.front.in_flight == 0
        assert service.engine.pending == 0

    asyncio.run(main())


def test_overload_is_refused_at_once_with_a_time_to_come_back() -> None:
    async def test(service: Service) -> None:
        replies = await asyncio.gather(
            *(service.ask({"text": f"text {n}"}, **{"x-request-timeout-ms": "9000"}) for n in range(10))
        )
        assert sorted(reply.status for reply in replies) == [200] * 4 + [503] * 6
        for reply in replies:
            if reply.status == 503:
                assert reply.code == "overloaded"
                assert int(reply.headers[b"retry-after"]) >= 1
        assert len(service.store.predictions) == 4

    run(test, FakeClassifier(seconds=0.02), max_queue=4)


def test_more_requests_than_may_be_begun_are_refused() -> None:
    async def test(service: Service) -> None:
        replies = await asyncio.gather(*(service.ask({"text": f"text {n}"}) for n in range(5)))
        assert sorted(reply.status for reply in replies) == [200, 200, 503, 503, 503]

    run(test, max_in_flight=2)


def test_a_deadline_that_passes_is_answered_and_the_model_not_asked() -> None:
    model = FakeClassifier(seconds=0.05)

    async def test(service: Service) -> None:
        first, second = await asyncio.gather(
            service.ask({"text": "first"}),
            service.ask({"text": "second"}, **{"x-request-timeout-ms": "20"}),
        )
        assert first.status == 200
        assert (second.status, second.code) == (504, "deadline_exceeded")
        assert model.seen == ["first"]

    run(test, model)


def test_work_of_a_caller_who_has_gone_is_not_run_and_not_answered() -> None:
    model = FakeClassifier(seconds=0.02)

    async def test(service: Service) -> None:
        replies = await asyncio.gather(
            service.ask({"text": "first"}),
            service.ask({"text": "second"}),
            service.ask({"text": "gone"}, leaves_after=0.0),
            service.ask({"text": "last"}),
        )
        assert [reply.status for reply in replies] == [200, 200, 0, 200]
        assert model.seen == ["first", "second", "last"]
        assert service.front.callers_gone == 1

    run(test, model)


def test_a_batch_at_its_deadline_has_the_answers_that_were_ready() -> None:
    async def test(service: Service) -> None:
        tickets = [{"text": f"text {n}"} for n in range(20)]
        reply = await service.ask(
            {"tickets": tickets}, "/v1/classify/batch", **{"x-request-timeout-ms": "100"}
        )
        assert reply.status == 200
        results = json.loads(reply.body)["results"]
        assert len(results) == 20
        late = [item["error"]["code"] for item in results if "error" in item]
        assert 0 < len(late) < 20
        assert set(late) <= {"deadline_exceeded", "overloaded"}

    run(test, FakeClassifier(seconds=0.02))


def test_a_failing_model_is_a_500_without_the_text_and_harms_no_other_ticket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(service: Service) -> None:
        reply = await service.ask({"text": f"poison {CANARY}"})
        assert (reply.status, reply.code) == (500, "internal")
        assert CANARY.encode() not in reply.body
        tickets = [{"text": "a"}, {"text": f"poison {CANARY}"}, {"text": "b"}]
        reply = await service.ask({"tickets": tickets}, "/v1/classify/batch")
        assert [item.get("label") for item in json.loads(reply.body)["results"]] == [
            "positive",
            None,
            "positive",
        ]

    run(test)
    assert "ValueError" in caplog.text
    assert CANARY not in caplog.text


def test_a_failure_of_our_own_is_a_500_without_the_text_and_in_a_batch_of_its_ticket_alone(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(text: str) -> str:
        if CANARY in text:
            raise RuntimeError(f"cannot clean {text}")
        return text

    async def test(service: Service) -> None:
        reply = await service.ask({"text": CANARY}, **{"x-request-id": "r-7"})
        assert (reply.status, reply.code) == (500, "internal")
        tickets = [{"text": "a"}, {"text": CANARY, "ticket_id": "t"}, {"text": "b"}]
        reply = await service.ask({"tickets": tickets}, "/v1/classify/batch")
        first, bad, last = json.loads(reply.body)["results"]
        assert first["label"] == last["label"] == "positive"
        assert (bad["ticket_id"], bad["error"]["code"]) == ("t", "internal")

    monkeypatch.setattr("ticket_sentiment.serving.scoring.clean", fail)
    run(test)
    assert "RuntimeError" in caplog.text
    assert "test_front.py" in caplog.text
    assert CANARY not in caplog.text


def test_feedback_is_not_acknowledged_when_it_is_not_stored() -> None:
    async def test(service: Service) -> None:
        reply = await service.ask({"ticket_id": "1", "label": "neutral", "event_id": "1"}, "/v1/feedback")
        assert (reply.status, reply.code) == (503, "events_unavailable")
        assert b"retry-after" in reply.headers

    run(test)


def test_while_draining_answers_close_their_connection() -> None:
    async def test(service: Service) -> None:
        assert b"connection" not in (await service.ask({"text": "a"})).headers
        service.front.draining = True
        reply = await service.ask({"text": "a"})
        assert (reply.status, reply.headers[b"connection"]) == (200, b"close")

    run(test)


def test_what_is_recorded_of_a_ticket() -> None:
    async def test(service: Service) -> None:
        await service.ask({"text": "mail me@example.com", "ticket_id": "t", "customer_id": CANARY})
        (event,) = service.store.predictions
        assert (event.ticket_id, event.label, event.arm, event.shadow) == ("t", "positive", "champion", False)
        assert event.text == "mail [EMAIL]"
        assert (event.probabilities, event.confidence, event.epoch) == ((0.1, 0.2, 0.7), 0.7, 0)
        assert CANARY not in repr(event)
        assert len(event.customer) == 16
        assert not service.store.exposures  # nothing is on trial

    run(test)


def test_the_access_log_names_the_request_and_nothing_of_the_ticket(
    caplog: pytest.LogCaptureFixture,
) -> None:
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"

    async def test(service: Service) -> None:
        await service.ask(
            {"text": CANARY, "ticket_id": CANARY, "customer_id": CANARY},
            **{"x-request-id": "r-1", "traceparent": f"00-{trace}-00f067aa0ba902b7-01"},
        )
        for _ in range(300):
            await service.ask({})

    with caplog.at_level(logging.INFO):
        run(test, access_log="all")
    lines = [record.fields for record in caplog.records if record.name == "ticket_sentiment.access"]
    assert (
        lines[0].items() >= {"status": 200, "request_id": "r-1", "trace_id": trace, "arm": "champion"}.items()
    )
    assert len(lines) <= 201  # a hundred a second
    assert CANARY not in repr(lines)


def test_recording_never_fails_an_answer(caplog: pytest.LogCaptureFixture) -> None:
    async def test(service: Service) -> None:
        def fail(event: Any) -> bool:
            raise RuntimeError(f"cannot store {event.text}")

        service.store.predicted = fail
        assert (await service.ask({"text": CANARY})).status == 200

    run(test)
    assert "RuntimeError" in caplog.text
    assert CANARY not in caplog.text


def on_trial(share: float = 1.0) -> RolloutState:
    return RolloutState(1, "s", "a" * 64, "b" * 64, share, False, datetime(2026, 1, 1, tzinfo=UTC))


def test_a_challenger_that_fails_is_counted_as_the_challenger_and_was_met(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(service: Service) -> None:
        service.arms.apply(on_trial())
        reply = await service.ask({"text": "poison", "customer_id": "c"})
        assert reply.status == 500
        labels = {"route": "classify", "arm": "challenger", "backend": "fake"}
        assert service.value("requests_total", code="500", **labels) == 1
        assert service.value("request_seconds_count", **labels) == 1
        (exposure,) = service.store.exposures
        assert (exposure.arm, exposure.epoch) == ("challenger", 1)
        assert not service.store.predictions
        batch = {"tickets": [{"text": "poison", "customer_id": "d"}]}
        assert (await service.ask(batch, "/v1/classify/batch")).status == 200
        assert service.value("requests_total", route="batch", arm="", backend="", code="200") == 1
        assert len(service.store.exposures) == 2

    with caplog.at_level(logging.INFO):
        run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64), access_log="errors")
    (line,) = [record.fields for record in caplog.records if record.name == "ticket_sentiment.access"]
    assert (line["status"], line["arm"]) == (500, "challenger")


FEEDBACK = {"ticket_id": "1", "label": "neutral", "event_id": "1"}


def test_feedback_that_waits_for_a_slow_database_leaves_the_places_of_tickets_free() -> None:
    go_on = threading.Event()

    async def test(service: Service) -> None:
        def slow(event: Feedback) -> FeedbackResult:
            go_on.wait(10)
            return FeedbackResult(True, event.label)

        service.store.feedback = slow
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
        run(test, max_in_flight=24)
    finally:
        go_on.set()


def test_feedback_keeps_to_the_deadline_and_a_place_is_free_when_the_thread_is_done() -> None:
    go_on = threading.Event()

    async def test(service: Service) -> None:
        def slow(event: Feedback) -> FeedbackResult:
            go_on.wait(10)
            return FeedbackResult(True, event.label)

        service.store.feedback = slow
        started = time.monotonic()
        impatient = {"x-request-timeout-ms": "100"}
        replies = await asyncio.gather(
            *(service.ask(FEEDBACK, "/v1/feedback", **impatient) for _ in range(16))
        )
        assert time.monotonic() - started < 2
        assert {(reply.status, reply.code) for reply in replies} == {(503, "events_unavailable")}
        assert "did not answer in time" in json.loads(replies[0].body)["error"]["message"]
        go_on.set()
        assert (await service.ask(FEEDBACK, "/v1/feedback")).status == 200

    try:
        run(test)
    finally:
        go_on.set()


def slow_clean(monkeypatch: pytest.MonkeyPatch, seconds: float) -> None:
    def clean(text: str) -> str:
        time.sleep(seconds)
        return text

    monkeypatch.setattr("ticket_sentiment.serving.scoring.clean", clean)


async def longest_pause(task: asyncio.Task[Any]) -> float:
    """How long the loop was at most without a turn, until a task is done."""
    longest, last = 0.0, time.monotonic()
    while not task.done():
        await asyncio.sleep(0)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    return longest


def test_a_batch_of_equal_tickets_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 40}
        asked = service.ask(body, "/v1/classify/batch", **{"x-request-timeout-ms": "9000"})
        batch = asyncio.create_task(asked)
        assert await longest_pause(batch) < 0.2
        results = json.loads(batch.result().body)["results"]
        assert [item["label"] for item in results] == ["positive"] * 40

    slow_clean(monkeypatch, 0.01)
    run(test, cache=PredictionCache(10, 60.0))


def test_what_a_batch_has_not_begun_at_its_deadline_is_not_begun(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 40}
        started = time.monotonic()
        reply = await service.ask(body, "/v1/classify/batch", **{"x-request-timeout-ms": "100"})
        assert time.monotonic() - started < 0.6
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


def test_a_batch_larger_than_the_burst_costs_a_full_bucket_and_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HELPDESK_KEY", "0123456789abcdef")
    headers = {"x-api-key": "0123456789abcdef"}

    async def test(service: Service) -> None:
        body = {"tickets": [{"text": "a"}] * 8}
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

    async def get(self, digest: str, key: str) -> Answer | None:
        await asyncio.sleep(0.5)
        return None

    def store(self, digest: str, key: str, answer: Answer) -> None:
        """Keeps nothing."""


def test_who_waits_for_another_computation_keeps_its_own_deadline() -> None:
    async def test(service: Service) -> None:
        started = time.monotonic()
        impatient = {"x-request-timeout-ms": "100"}
        leader = asyncio.create_task(service.ask({"text": "a"}))
        follower = await service.ask({"text": "a"}, **impatient)
        assert (follower.status, follower.code) == (504, "deadline_exceeded")
        alone = await service.ask({"text": "b"}, **impatient)
        assert (alone.status, alone.code) == (504, "deadline_exceeded")
        assert time.monotonic() - started < 0.45
        assert (await leader).status == 200

    run(test, cache=PredictionCache(10, 60.0, SlowRedis()))

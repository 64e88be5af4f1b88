"""The front in this process, with models and databases that misbehave."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackResult
from ticket_sentiment.params import load_params
from ticket_sentiment.serving.arms import Arms
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.front import Front
from ticket_sentiment.serving.keys import ApiKeys
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

    def __init__(self, model: FakeClassifier, **changes: Any) -> None:
        serve = SERVE.model_copy(update=changes)
        self.store, self.metrics = Store(), Metrics(None, serve.objective_ms)
        self.engine = Engine(serve.max_queue, serve.max_shadow_queue, serve.objective_ms / 1000)
        scorer = Scorer(
            Arms([model]), self.engine, self.store, PredictionCache(0, 1.0), self.metrics, serve.abstain_below
        )
        routes = Routes(serve, scorer, self.store, self.metrics)
        self.front = Front(serve, routes.by_path, ApiKeys(serve.keys, Path()), None, self.metrics)

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
    test: Callable[[Service], Awaitable[None]], model: FakeClassifier | None = None, **changes: Any
) -> None:
    async def main() -> None:
        service = Service(model or FakeClassifier(), **changes)
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


def test_a_failure_of_our_own_is_a_500_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    async def test(service: Service) -> None:
        def fail(event: Any) -> bool:
            raise RuntimeError(f"cannot store {event.text}")

        service.store.predicted = fail
        reply = await service.ask({"text": CANARY}, **{"x-request-id": "r-7"})
        assert (reply.status, reply.code) == (500, "internal")

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

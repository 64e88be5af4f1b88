"""The front in this process, with models and databases that misbehave."""

import asyncio
import json
import logging
import time
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.front import Service, run
from tests.support.serving import FakeClassifier
from ticket_sentiment.rollout.state import RolloutState

CANARY = "zanzibar"


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
            *(service.ask({"text": f"text {n}"}) for n in range(4)),
            service.ask({"text": "gone"}, leaves_after=0.0),
            service.ask({"text": "last"}),
        )
        assert [reply.status for reply in replies] == [200] * 4 + [0, 200]
        assert model.seen == [*(f"text {n}" for n in range(4)), "last"]
        assert service.front.callers_gone == 1

    run(test, model)


def test_the_channel_that_a_caller_names_is_recorded() -> None:
    async def test(service: Service) -> None:
        await service.ask({"text": "one", "channel": "email"})
        await service.ask(
            {"tickets": [{"text": "two", "channel": "chat"}, {"text": "three"}]}, "/v1/classify/batch"
        )
        assert [event.channel for event in service.store.predictions] == ["email", "chat", None]
        refused = await service.ask({"text": "four", "channel": "x" * 61})
        assert (refused.status, refused.code) == (422, "invalid_field")

    run(test)


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


def test_an_answer_that_an_arm_owed_is_recorded_as_its_failure() -> None:
    async def test(service: Service) -> None:
        service.arms.apply(on_trial())
        reply = await service.ask({"text": "poison", "customer_id": "c"}, **{"x-request-id": "r-1"})
        assert reply.status == 500
        (failure,), (exposure,) = service.store.failures, service.store.exposures
        assert (failure.request_id, failure.unit, failure.arm, failure.epoch, failure.code) == (
            "r-1", exposure.unit, "challenger", 1, "internal",
        )  # fmt: skip
        batch = {"tickets": [{"text": "poison", "ticket_id": "t"}, {"text": "good", "customer_id": "c"}]}
        assert (await service.ask(batch, "/v1/classify/batch")).status == 200
        assert [event.unit for event in service.store.failures] == [
            failure.unit, service.store.exposures[1].unit,
        ]  # fmt: skip
        (answered,) = service.store.predictions
        assert answered.unit == failure.unit != answered.customer
        assert not service.cache.enabled

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64))


def test_a_text_on_which_the_unseen_challenger_fails_is_recorded_as_its_failure() -> None:
    """It is in no pair: without it a challenger would be judged by the texts that it can read."""

    async def test(service: Service) -> None:
        service.arms.apply(replace(on_trial(0.0), shadow=True))
        for text in ("poison for one", "good"):
            assert (await service.ask({"text": text, "customer_id": "c"})).status == 200
        while service.engine.shadow_pending:
            await asyncio.sleep(0.001)
        (failure,), unseen = service.store.failures, [e for e in service.store.predictions if e.shadow]
        assert (failure.arm, failure.code, failure.epoch) == ("challenger", "unseen", 1)
        assert failure.unit == service.store.exposures[0].unit and len(unseen) == 1

    harmless = FakeClassifier("a" * 64)
    harmless.poison = "nothing is"
    run(test, harmless, FakeClassifier("b" * 64))


def test_a_ticket_of_a_batch_has_its_own_time_and_one_that_was_not_begun_no_failure() -> None:
    """Else its place in the batch is measured, which is of neither arm."""

    async def test(service: Service) -> None:
        service.arms.apply(on_trial(0.5))
        tickets = [{"text": f"text {n}", "customer_id": f"c{n}"} for n in range(20)]
        began = time.monotonic()
        await service.ask({"tickets": tickets}, "/v1/classify/batch", **{"x-request-timeout-ms": "20000"})
        took = 1000 * (time.monotonic() - began)
        latencies = [event.latency_ms for event in service.store.predictions]
        assert len(latencies) == 20
        assert sum(latencies) <= took * service.engine.width, "so many at a time, each counted once"
        tickets = [{"text": f"other {n}", "customer_id": f"c{n}"} for n in range(40)]
        await service.ask({"tickets": tickets}, "/v1/classify/batch", **{"x-request-timeout-ms": "50"})
        assert len(service.store.predictions) < 60
        assert len(service.store.failures) <= service.engine.width

    run(test, FakeClassifier("a" * 64, seconds=0.005), FakeClassifier("b" * 64, seconds=0.01))


def test_a_challenger_that_is_too_slow_has_failed_too() -> None:
    async def test(service: Service) -> None:
        service.arms.apply(on_trial())
        replies = await asyncio.gather(
            *(
                service.ask({"text": f"text {n}", "customer_id": f"c{n}"}, **{"x-request-timeout-ms": "60"})
                for n in range(3)
            )
        )
        late = [reply for reply in replies if reply.status == 504]
        assert late and len(service.store.failures) == len(late)
        assert {event.code for event in service.store.failures} == {"deadline_exceeded"}

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64, seconds=0.05))


def test_a_deadline_that_the_caller_s_task_meets_is_a_failure_and_a_caller_that_left_none() -> None:
    """Where the model runs in a thread, the wait is cut off by a timer, and by a caller that leaves."""

    async def test(service: Service) -> None:
        service.arms.apply(on_trial())
        forever = asyncio.get_running_loop().create_future()
        service.engine.submit = lambda *_: asyncio.shield(forever)
        service.scorer.may_wait = lambda _: True
        asked = {"text": "text", "customer_id": "c"}
        reply = await service.ask(asked, **{"x-request-timeout-ms": "40"})
        assert (reply.status, [event.code for event in service.store.failures]) == (
            504,
            ["deadline_exceeded"],
        )
        await service.ask(asked, leaves_after=0.02)
        assert len(service.store.failures) == 1
        forever.cancel()

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64, max_batch=4))


def test_what_no_arm_owed_is_no_failure() -> None:
    async def test(service: Service) -> None:
        asked = {"text": "poison", "customer_id": "c"}
        assert (await service.ask(asked)).status == 500  # nothing is on trial
        service.arms.apply(on_trial())
        assert (await service.ask({"text": "poison"})).status == 500  # nobody was assigned
        assert (await service.ask({**asked, "text": "nothing"})).status == 422
        assert (await service.ask({**asked, "text": " "})).status == 422
        replies = await asyncio.gather(
            *(service.ask({"text": f"t {n}", "customer_id": "c"}) for n in range(9))
        )
        assert 503 in {reply.status for reply in replies}
        assert not service.store.failures

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64, seconds=0.005), max_queue=4)


def test_a_failure_that_cannot_be_recorded_changes_no_answer() -> None:
    async def test(service: Service) -> None:
        def fail(event: Any) -> bool:
            raise RuntimeError("no")

        service.store.failed = fail
        service.arms.apply(on_trial())
        reply = await service.ask({"text": "poison", "customer_id": "c"})
        assert (reply.status, reply.code) == (500, "internal")

    run(test, FakeClassifier("a" * 64), FakeClassifier("b" * 64))


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

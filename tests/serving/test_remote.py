"""Hybrid routing: what goes to the other service, and that whatever becomes of it the ticket is answered."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.front import SERVE, Reply, Service, run
from tests.support.remote import Impostor, Line, good, http, listening
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Remote as RemoteSettings
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving import remote as module
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.settings import remote_address

URGENT = {"text": "my invoice", "priority": "urgent"}
KEY = "k" * 16
LOCAL, REMOTE = "f" * 64, "e" * 64


def settings(**changes: Any) -> RemoteSettings:
    # Five seconds: a busy machine must not look like a slow service where that is not what is tested.
    return SERVE.remote.model_copy(update={"timeout_ms": 5000, "min_batch": 4, "max_batch": 3} | changes)


def gpu(digest: str = REMOTE, version: str = "1") -> FakeClassifier:
    model = FakeClassifier(digest)
    model.backend, model.version = "CUDAExecutionProvider", version
    return model


class Pair:
    """A service here, and the other one behind a line."""

    def __init__(self, here: Service, there: Service, line: Line) -> None:
        self.here, self.there, self.line = here, there, line

    async def ask(self, body: Any = URGENT, path: str = "/v1/classify", **headers: str) -> Any:
        """The answer, which there must be."""
        headers.setdefault("x-request-timeout-ms", "20000")
        reply = await self.here.ask(body, path, **headers)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    async def batch(self, *tickets: Any) -> list[Any]:
        return (await self.ask({"tickets": tickets}, "/v1/classify/batch"))["results"]

    def calls(self, outcome: str) -> float:
        return self.here.value("remote_requests_total", outcome=outcome)


@contextlib.asynccontextmanager
async def pair(
    *there: FakeClassifier,
    here: tuple[FakeClassifier, ...] = (),
    cache: PredictionCache | None = None,
    key: str | None = None,
    home: Path = Path(),
    over_there: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Pair]:
    other = Service(*(there or (gpu(),)), home=home, **(over_there or {}))
    async with listening(other) as port, Line(port) as line:
        service = Service(
            *(here or (FakeClassifier(LOCAL),)), cache=cache, remote_url=line.url, remote_key=key,
            remote=settings(**changes), timeout_ms=20_000,
        )  # fmt: skip
        try:
            yield Pair(service, other, line)
        finally:
            assert service.remote is not None
            await service.remote.close()
        assert service.front.in_flight == service.engine.pending == 0
        assert service.remote._calls == 0


def between(test: Callable[[Pair], Awaitable[None]], *there: FakeClassifier, **changes: Any) -> None:
    async def main() -> None:
        async with pair(*there, **changes) as made:
            await asyncio.wait_for(test(made), 30)

    asyncio.run(main())


def routes(results: list[Any]) -> list[str]:
    return [result["route"] for result in results]


def test_urgent_tickets_go_there_and_the_rest_stays() -> None:
    async def test(made: Pair) -> None:
        urgent = await made.ask(URGENT | {"ticket_id": "7"})
        assert (urgent["route"], urgent["backend"]) == ("remote", "CUDAExecutionProvider")
        assert (urgent["bundle_digest"], urgent["model_version"], urgent["ticket_id"]) == (REMOTE, "1", "7")
        normal = await made.ask({"text": "my invoice"})
        assert (normal["route"], normal["backend"], normal["bundle_digest"]) == ("local", "fake", LOCAL)
        assert made.calls("answered") == made.here.value("remote_seconds_count") == 1
        assert made.here.scorer.remote_answers == 1
        labels = {"route": "classify", "arm": "champion", "backend": "CUDAExecutionProvider", "code": "200"}
        assert made.here.value("requests_total", **labels) == 1

    between(test)


def test_it_is_recorded_here_once_and_nothing_over_there() -> None:
    async def test(made: Pair) -> None:
        ticket = URGENT | {"text": "ask a.b@example.com", "ticket_id": "7", "customer_id": "c"}
        await made.ask(ticket, **{"x-request-id": "r-1"})
        (event,) = made.here.store.predictions
        assert (event.bundle_digest, event.model_version, event.backend) == (
            REMOTE, "1", "CUDAExecutionProvider",
        )  # fmt: skip
        assert (event.request_id, event.ticket_id, event.shadow) == ("r-1", "7", False)
        assert made.there.store.predictions == made.there.store.exposures == []
        assert made.there.value("predicted_total", arm="champion", label="positive") == 0
        assert made.here.value("predicted_total", arm="champion", label="positive") == 1

    between(test)


def test_what_is_sent_is_masked_and_names_neither_ticket_nor_customer() -> None:
    async def test() -> None:
        async with Impostor(lambda body: http(good(body))) as other:
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote_key=KEY, remote=settings())
            trace = "00-" + "1" * 32 + "-" + "2" * 16 + "-01"
            ticket = URGENT | {"text": "Hello,\nask a@b.com", "ticket_id": "T-7", "customer_id": "C-9"}
            reply = await service.ask(
                ticket, **{"x-request-id": "r-1", "traceparent": trace, "x-request-timeout-ms": "20000"}
            )
            assert json.loads(reply.body)["route"] == "remote"
            ((head,), (body,)) = other.heads, other.bodies
            assert body == {"ticket_id": body["ticket_id"], "text": "ask [EMAIL]", "priority": "urgent"}
            assert body["ticket_id"].isdecimal()
            assert "t-7" not in head and "c-9" not in head
            assert f"authorization: bearer {KEY}" in head
            assert "x-ticket-sentiment-forwarded: 1\r\n" in head
            assert "x-request-id: r-1\r\n" in head and f"traceparent: {trace}\r\n" in head
            sent_ms = int(head.split("x-request-timeout-ms: ")[1].split("\r\n")[0])
            assert 0 < sent_ms <= 5000
            await service.remote.close()

    asyncio.run(test())


def test_a_large_batch_goes_there_in_calls_of_the_size_that_it_takes() -> None:
    async def test(made: Pair) -> None:
        tickets = [{"text": f"invoice {n}", "ticket_id": str(n)} for n in range(8)]
        results = await made.batch(*tickets)
        assert routes(results) == ["remote"] * 8
        assert [result["ticket_id"] for result in results] == [str(n) for n in range(8)]
        assert made.calls("answered") == 3
        assert sorted(made.there.arms.split.champion.seen) == [f"invoice {n}" for n in range(8)]
        assert made.here.arms.split.champion.seen == []
        assert [event.ticket_id for event in made.here.store.predictions] == [str(n) for n in range(8)]
        small = await made.batch(*tickets[:3])
        assert routes(small) == ["local"] * 3

    between(test)


def test_only_the_urgent_tickets_of_a_small_batch_go_there() -> None:
    async def test(made: Pair) -> None:
        results = await made.batch({"text": "a"}, URGENT, {"text": "b"})
        assert routes(results) == ["local", "remote", "local"]

    between(test)


def test_what_the_cache_knows_is_not_sent_and_does_not_make_a_batch_large() -> None:
    async def test(made: Pair) -> None:
        known = [{"text": f"invoice {n}"} for n in range(4)]
        for ticket in known:
            await made.ask(ticket)
        results = await made.batch(*known, {"text": "new"})
        assert routes(results) == ["local"] * 5
        assert [result["cached"] for result in results] == [True] * 4 + [False]
        results = await made.batch(*known, *({"text": f"other {n}"} for n in range(4)))
        assert routes(results) == ["local"] * 4 + ["remote"] * 4
        assert sorted(made.there.arms.split.champion.seen) == [f"other {n}" for n in range(4)]
        assert (await made.ask(known[0] | {"priority": "urgent"}))["route"] == "local"

    between(test, cache=PredictionCache(100, 60))


def test_its_answers_are_never_kept_under_the_digest_of_the_bundle_here() -> None:
    async def test(made: Pair) -> None:
        assert (await made.ask())["route"] == "remote"
        normal = await made.ask({"text": URGENT["text"]})
        assert (normal["bundle_digest"], normal["cached"], normal["route"]) == (LOCAL, False, "local")
        assert (await made.ask({"text": URGENT["text"]}))["cached"] is True

    between(test, cache=PredictionCache(100, 60))


def test_a_bad_ticket_of_a_large_batch_harms_no_other() -> None:
    async def test(made: Pair) -> None:
        texts = ["a", "b", "", "c", "nothing", "d"]
        results = await made.batch(*({"text": text} for text in texts), {"wrong": 1})
        codes = [result["error"]["code"] if "error" in result else result["route"] for result in results]
        assert codes == ["remote", "remote", "empty_text", "remote", "empty_text", "remote", "invalid_field"]

    between(test)


def test_a_ticket_that_fails_over_there_is_answered_here() -> None:
    broken = gpu()

    def fail(texts: Any) -> Any:
        raise RuntimeError("the card is gone")

    broken.answers = fail

    async def test(made: Pair) -> None:
        results = await made.batch(*({"text": f"invoice {n}"} for n in range(6)))
        assert routes(results) == ["fallback"] * 6
        assert {result["bundle_digest"] for result in results} == {LOCAL}
        assert made.here.scorer.remote_fallbacks == 6

    between(test, broken)


def test_killed_in_the_middle_of_a_call_it_is_left_alone_then_tried_once_and_taken_again() -> None:
    async def test(made: Pair) -> None:
        made.line.delay = 30.0
        asking = asyncio.create_task(made.ask())
        while made.line.connections == 0:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        made.line.down = True
        made.line.cut()
        assert (await asking)["route"] == "fallback"
        assert (await made.ask())["route"] == "fallback"
        assert made.calls("unreachable") == 2
        assert made.here.remote.available is False
        tried = made.line.connections
        assert routes([await made.ask() for _ in range(5)]) == ["fallback"] * 5
        assert (made.line.connections, made.calls("open")) == (tried, 5)
        made.here.remote._breaker._until = 0  # the pause is over, and it is still away
        assert (await made.ask())["route"] == "fallback"
        assert made.line.connections > tried and made.here.remote.available is False
        made.line.down, made.line.delay = False, 0.0
        made.here.remote._breaker._until = 0
        assert routes([await made.ask(), await made.ask()]) == ["remote"] * 2
        assert made.here.remote.available is True

    between(test, breaker_failures=2, breaker_pause_s=600)


def test_half_open_lets_one_call_try_while_the_others_are_answered_here() -> None:
    async def test(made: Pair) -> None:
        made.line.down = True
        await made.ask()
        made.line.down, made.line.delay = False, 0.3
        made.here.remote._breaker._until = 0
        answers = await asyncio.gather(*(made.ask() for _ in range(8)))
        assert sorted(routes(answers)) == ["fallback"] * 7 + ["remote"]

    between(test, breaker_failures=1, breaker_pause_s=600)


def test_a_slow_one_costs_its_time_limit_and_then_nothing() -> None:
    async def test(made: Pair) -> None:
        made.line.delay = 30.0
        answers = [await made.ask() for _ in range(4)]
        assert routes(answers) == ["fallback"] * 4
        assert (made.calls("timeout"), made.calls("open")) == (3, 1)

    between(test, timeout_ms=100, breaker_failures=3, breaker_pause_s=600)


def test_a_slow_one_is_given_up_in_time_to_keep_the_callers_deadline() -> None:
    async def test(made: Pair) -> None:
        made.line.delay = 30.0
        answer = await made.ask(**{"x-request-timeout-ms": "900"})
        assert answer["route"] == "fallback"
        tickets = [{"text": f"invoice {n}"} for n in range(6)]
        results = await made.ask(
            {"tickets": tickets}, "/v1/classify/batch", **{"x-request-timeout-ms": "900"}
        )
        assert routes(results["results"]) == ["fallback"] * 6
        assert made.calls("cut_short") == 3
        assert made.here.remote.available, "a caller in a hurry is no sign of a slow service"

    between(test, breaker_failures=1)


def test_a_caller_without_time_for_both_is_answered_here_at_once() -> None:
    async def test(made: Pair) -> None:
        made.here.scorer.engine.text_seconds = 0.1  # twice of which the other service never gets
        answer = await made.ask(**{"x-request-timeout-ms": "250"})
        assert answer["route"] == "fallback"
        assert (made.calls("no_time"), made.line.connections) == (1, 0)

    between(test)


def test_a_slow_one_holds_up_nobody_else() -> None:
    async def test(made: Pair) -> None:
        made.line.delay = 30.0
        urgent = asyncio.create_task(made.ask())
        mixed = asyncio.create_task(made.batch({"text": "a"}, URGENT, {"text": "b"}))
        while made.line.connections < 2:
            await asyncio.sleep(0.01)
        assert (await made.ask({"text": URGENT["text"]}))["route"] == "local"  # the same text, too
        while made.here.engine.runs < 3:  # those of the batch that stay do not wait for the one that went
            await asyncio.sleep(0.01)
        assert not urgent.done() and not mixed.done()
        made.line.cut()
        assert (await urgent)["route"] == "fallback"
        assert routes(await mixed) == ["local", "fallback", "local"]

    between(test, timeout_ms=20_000, cache=PredictionCache(100, 60))


def test_beyond_so_many_calls_it_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_CALLS", 2)

    async def test(made: Pair) -> None:
        made.line.delay = 0.5
        answers = await asyncio.gather(*(made.ask() for _ in range(5)))
        assert sorted(routes(answers)) == ["fallback"] * 3 + ["remote"] * 2
        assert made.calls("full") == 3

    between(test)


def test_a_caller_who_leaves_ends_the_call_and_says_nothing_of_the_service() -> None:
    async def test(made: Pair) -> None:
        made.line.delay = 30.0
        await made.here.ask(URGENT, leaves_after=0.2, **{"x-request-timeout-ms": "20000"})
        assert made.here.front.callers_gone == 1
        assert (made.calls("abandoned"), made.here.remote.available) == (1, True)

    between(test, breaker_failures=1)


def without(name: str) -> Callable[[dict[str, Any]], bytes]:
    return lambda body: http({key: value for key, value in good(body).items() if key != name})


def changed(**changes: object) -> Callable[[dict[str, Any]], bytes]:
    return lambda body: http(good(body, **changes))


NAN = {"negative": float("nan"), "neutral": 0.2, "positive": 0.7}


@pytest.mark.parametrize(
    ("answering", "outcome"),
    [
        (lambda _: http(b"<html>"), "garbage"),
        (lambda _: http([]), "garbage"),
        (lambda _: http(b"[" * 1000), "garbage"),
        (lambda _: http(b"\x1f\x8b\x08", "200 OK", "Content-Encoding: gzip"), "garbage"),
        (changed(probabilities={"negative": 0.5, "neutral": 0.7, "positive": 0.8}), "garbage"),
        (changed(probabilities={"negative": -0.5, "neutral": 0.7, "positive": 0.8}), "garbage"),
        (changed(probabilities={"negative": 0.3, "positive": 0.7}), "garbage"),
        (changed(probabilities=NAN), "garbage"),
        (changed(probabilities=[0.1, 0.2, 0.7]), "garbage"),
        (changed(label="happy"), "garbage"),
        (changed(label="negative"), "garbage"),
        (changed(bundle_digest="../e"), "garbage"),
        (changed(backend='x"} 1'), "garbage"),
        (changed(ticket_id="another"), "garbage"),
        (changed(cached="yes"), "garbage"),
        (without("model_version"), "garbage"),
        (changed(padding="x" * 10_000), "garbage"),
        (changed(model_version="2"), "mismatch"),
        (lambda _: b"", "unreachable"),
        (lambda _: b"SSH-2.0-OpenSSH\r\n", "unreachable"),
        (lambda body: http(good(body))[:-9], "unreachable"),
        (lambda _: http({"error": 1}, "500 Internal Server Error"), "error"),
        (lambda _: http(b"", "502 Bad Gateway"), "error"),
        (lambda _: http(b"", "503 Service Unavailable", "Retry-After: 3"), "error"),
        (lambda _: http(b"", "504 Gateway Timeout"), "timeout"),
        (lambda _: http(b"", "429 Too Many Requests", "Retry-After: 3"), "busy"),
        (lambda _: http(b"", "403 Forbidden"), "refused"),
        (lambda _: http(b"", "413 Content Too Large"), "refused"),
        (lambda _: http(b"", "302 Found", "Location: http://127.0.0.1:9/"), "refused"),
        (lambda _: http(b"", "409 Conflict"), "mismatch"),
    ],
)
def test_whatever_it_answers_the_ticket_is_answered_here(
    answering: Callable[[dict[str, Any]], bytes], outcome: str, caplog: pytest.LogCaptureFixture
) -> None:
    asked = []

    async def test() -> None:
        async with Impostor(answering) as other:
            limits = settings(breaker_failures=1, breaker_pause_s=600)
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote=limits)
            for _ in range(2):
                reply = await service.ask(URGENT | {"text": "zanzibar"}, **{"x-request-timeout-ms": "20000"})
                answer = json.loads(reply.body)
                assert (answer["route"], answer["bundle_digest"]) == ("fallback", LOCAL)
            assert service.value("remote_requests_total", outcome=outcome) >= 1
            assert service.remote._breaker.open is (outcome in module._FAILED)
            await service.remote.close()
        asked.append(len(other.heads))

    asyncio.run(test())
    again = b" 413 " in answering({"ticket_id": "1"})  # it is this ticket's fault, not the service's
    assert asked == [2 if again else 1]
    assert "zanzibar" not in caplog.text


@pytest.mark.parametrize(
    ("results", "outcome"),
    [
        (lambda tickets: tickets[:-1], "garbage"),
        (lambda tickets: tickets[::-1], "garbage"),
        (lambda tickets: [*tickets[:-1], {"error": "?"}], "garbage"),
        (
            lambda tickets: [*tickets[:-1], {"ticket_id": "1", "error": {"code": "model_not_loaded"}}],
            "mismatch",
        ),
    ],
)
def test_a_batch_that_it_answers_wrong_is_answered_here(results: Callable[[Any], Any], outcome: str) -> None:
    async def test() -> None:
        async with Impostor(
            lambda body: http({"results": results([good(ticket) for ticket in body["tickets"]])})
        ) as other:
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote=settings(max_batch=9))
            tickets = [{"text": f"invoice {n}"} for n in range(5)]
            reply = await service.ask({"tickets": tickets}, "/v1/classify/batch")
            assert routes(json.loads(reply.body)["results"]) == ["fallback"] * 5
            assert service.value("remote_requests_total", outcome=outcome) == 1
            await service.remote.close()

    asyncio.run(test())


def test_tickets_that_it_refuses_are_answered_here_and_the_others_there() -> None:
    def some(body: Any) -> bytes:
        refused = {"ticket_id": "x", "error": {"code": "overloaded", "message": "-"}}
        return http({"results": [refused, *(good(ticket) for ticket in body["tickets"][1:])]})

    async def test() -> None:
        async with Impostor(some) as other:
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote=settings(max_batch=9))
            reply = await service.ask({"tickets": [{"text": "a"}] * 4}, "/v1/classify/batch")
            assert routes(json.loads(reply.body)["results"]) == ["fallback", "remote", "remote", "remote"]
            await service.remote.close()

    asyncio.run(test())


def test_it_is_left_alone_for_as_long_as_it_asks() -> None:
    answers = [http(b"", "429 Too Many Requests", "Retry-After: 7")]

    async def test() -> None:
        async with Impostor(lambda body: answers.pop() if answers else http(good(body))) as other:
            service = Service(FakeClassifier(LOCAL), remote_url=other.url, remote=settings())
            for _ in range(3):
                await service.ask(URGENT)
            assert service.value("remote_requests_total", outcome="resting") == 2
            assert 5 < service.remote._rest_until - time.monotonic() <= 7
            service.remote._rest_until = 0.0
            assert json.loads((await service.ask(URGENT)).body)["route"] == "remote"
            await service.remote.close()

    asyncio.run(test())


def test_another_version_is_a_miss_that_is_said_once_and_asked_for_again_later(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async def test(made: Pair) -> None:
        answers = [await made.ask() for _ in range(3)]
        assert routes(answers) == ["fallback"] * 3
        assert {answer["bundle_digest"] for answer in answers} == {LOCAL}
        assert (made.calls("mismatch"), made.calls("mismatch_known")) == (1, 2)
        assert made.here.remote.available
        made.there.arms.split.champion.version = "1"  # it is replaced
        made.here.remote._missing["1"] = 0.0
        assert (await made.ask())["route"] == "remote"

    between(test, gpu(version="2"))
    assert caplog.text.count("does not hold version 1") == 1


def on_trial(share: float = 0.5) -> RolloutState:
    return RolloutState(1, "salt", LOCAL, "d" * 64, share, False, datetime.now(UTC))


def challenger() -> FakeClassifier:
    model = FakeClassifier("d" * 64)
    model.version = "2"
    return model


def test_each_arm_is_answered_by_its_own_version_without_a_state_over_there() -> None:
    async def test(made: Pair) -> None:
        state = on_trial()
        made.here.arms.apply(state)
        for n in range(8):
            customer = f"customer-{n}"
            answer = await made.ask(URGENT | {"customer_id": customer})
            arm = assign(customer, None, state)
            version, digest = {"champion": ("1", REMOTE), "challenger": ("2", "c" * 64)}[arm]
            assert (answer["arm"], answer["model_version"], answer["bundle_digest"]) == (arm, version, digest)
            assert answer["route"] == "remote"
        assert len(made.here.store.exposures) == 8 and not made.there.store.exposures
        tickets = [{"text": f"invoice {n}", "customer_id": f"customer-{n}"} for n in range(8)]
        results = await made.batch(*tickets)
        assert [result["arm"] for result in results] == [
            assign(f"customer-{n}", None, state) for n in range(8)
        ]
        assert routes(results) == ["remote"] * 8

    between(test, gpu(), gpu("c" * 64, "2"), here=(FakeClassifier(LOCAL), challenger()))


def test_on_trial_no_arm_goes_to_a_service_that_holds_only_one() -> None:
    async def test(made: Pair) -> None:
        state = on_trial(1.0)
        made.here.arms.apply(state)
        assert (await made.ask(URGENT | {"customer_id": "c"}))["arm"] == "challenger"
        made.here.arms.apply(RolloutState(2, "salt", LOCAL, "d" * 64, 0.0, False, datetime.now(UTC)))
        answer = await made.ask(URGENT | {"customer_id": "c"})
        assert (answer["arm"], answer["route"]) == ("champion", "fallback")
        assert (made.calls("mismatch"), made.calls("mismatch_known")) == (1, 1)

    between(test, here=(FakeClassifier(LOCAL), challenger()))


def test_two_services_that_name_each_other_make_no_circle() -> None:
    async def test(made: Pair) -> None:
        async with listening(made.here) as port:
            back = Service(gpu(), remote_url=f"http://127.0.0.1:{port}", remote=settings())
            async with listening(back) as other:
                made.line.target = other
                assert (await made.ask())["bundle_digest"] == REMOTE
                assert back.scorer.remote_answers == back.scorer.remote_fallbacks == 0
            await back.remote.close()

    between(test)


def closed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, forwarders: list[str]) -> dict[str, Any]:
    monkeypatch.setenv("FRONT_KEY", KEY)
    keys = SERVE.api_keys.model_copy(
        update={"environment": ["FRONT_KEY"], "forwarders": forwarders, "rate": 0.01, "burst": 2}
    )
    return {"home": tmp_path, "over_there": {"api_keys": keys}}


def test_with_keys_only_a_forwarder_suppresses_records_and_it_pays_no_rate(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(made: Pair) -> None:
        assert routes([await made.ask() for _ in range(5)]) == ["remote"] * 5

    between(test, key=KEY, **closed(monkeypatch, tmp_path, ["FRONT_KEY"]))


def test_a_key_that_is_no_forwarder_is_refused_and_what_was_asked_not_done(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    async def test(made: Pair) -> None:
        assert routes([await made.ask(), await made.ask()]) == ["fallback"] * 2
        assert (made.calls("refused"), made.calls("resting")) == (1, 1)
        headers = {"x-ticket-sentiment-forwarded": "1"}
        reply: Reply = await made.there.ask({"text": "a"}, **headers, **{"x-api-key": KEY})
        assert (reply.status, reply.code) == (403, "not_forwarder")
        assert (await made.there.ask({"text": "a"}, **headers)).code == "missing_key"
        assert made.there.arms.split.champion.seen == []

    between(test, key=KEY, **closed(monkeypatch, tmp_path, []))


def test_a_forwarder_that_is_no_key_stops_the_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    keys = closed(monkeypatch, tmp_path, ["FRONT_KYE"])["over_there"]["api_keys"]
    with pytest.raises(TicketSentimentError, match=r"forwarders: no key is named FRONT_KYE \(FRONT_KEY\)"):
        ApiKeys(keys, tmp_path)


def test_a_version_that_is_asked_for_and_not_loaded_is_refused() -> None:
    async def test(service: Service) -> None:
        reply = await service.ask({"text": "a"}, **{"x-ticket-sentiment-forwarded": "9\xff"})
        assert (reply.status, reply.code) == (409, "model_not_loaded")

    run(test)


def test_the_address_of_the_other_service() -> None:
    def of(url: str, key: str = "") -> Any:
        environment = {"TICKET_SENTIMENT_REMOTE_URL": url, "TICKET_SENTIMENT_REMOTE_KEY": key}
        return remote_address(SERVE.remote, environment)

    assert remote_address(SERVE.remote, {}) is of("") is None
    assert of("http://gpu:3000/") == ("http://gpu:3000", None)
    assert of("https://gpu.example/sentiment", "secret") == ("https://gpu.example/sentiment", "secret")
    for url in (
        "gpu:3000",
        "ftp://gpu",
        "http://",
        "http://u:s3cret@gpu",
        "http://gpu:x",
        "http://g\nh",
        "http://g?s3cret",
    ):
        with pytest.raises(TicketSentimentError, match="TICKET_SENTIMENT_REMOTE_URL holds no URL") as raised:
            of(url)
        assert "s3cret" not in str(raised.value)
    with pytest.raises(TicketSentimentError, match="TICKET_SENTIMENT_REMOTE_KEY holds no API key"):
        of("http://gpu", "a\r\nb")

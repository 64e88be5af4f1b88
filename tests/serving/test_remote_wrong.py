"""The other service answers what it should not: the ticket is answered here."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.support.front import Service
from tests.support.hybrid import LOCAL, URGENT, routes, settings
from tests.support.remote import Impostor, good, http
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.serving import remote as module


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
        (lambda tickets: [{"ticket_id": "1", "error": {"code": "overloaded"}}] * len(tickets), "error"),
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


class CountingCache(PredictionCache):
    """Knows nothing, and how many ask at once."""

    now = most = 0

    async def look_up(self, key: str, digest: str) -> Answer | None:
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return None


def test_of_a_large_batch_a_few_are_looked_up_at_a_time() -> None:
    """A shared cache takes sixteen at once and knows nothing of the others."""
    cache = CountingCache(10, 60.0)

    async def test() -> None:
        async with Impostor(lambda body: http({"results": [good(one) for one in body["tickets"]]})) as other:
            service = Service(
                FakeClassifier(LOCAL), cache=cache, remote_url=other.url, remote=settings(max_batch=64)
            )
            tickets = [{"text": f"invoice {n}"} for n in range(40)]
            reply = await service.ask({"tickets": tickets}, "/v1/classify/batch")
            assert routes(json.loads(reply.body)["results"]) == ["remote"] * 40
            assert 4 <= cache.most <= 8
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

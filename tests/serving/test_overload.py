"""What an overloaded worker spends on those whom it refuses."""

import asyncio
import json

import pytest

from tests.support.front import Service, run
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache


@pytest.mark.parametrize("cached", [False, True])
def test_a_ticket_is_refused_unread_unless_a_cache_may_have_its_answer(cached: bool) -> None:
    async def main() -> None:
        cache = PredictionCache(100 if cached else 0, 60.0)
        service = Service(FakeClassifier(), cache=cache, max_queue=0 if not cached else 1)
        if cached:
            assert (await service.ask({"text": "great"})).status == 200
            service.engine._max_queue = 0
        reply = await service.ask({"text": "great"})
        assert (reply.status, b"retry-after" in reply.headers) == ((200, False) if cached else (503, True))
        unread = await service.ask({"text": 7})  # which a reader would refuse with 422
        assert unread.code == ("invalid_field" if cached else "overloaded")

    asyncio.run(main())


def test_who_said_how_long_it_waits_is_let_in_while_there_is_a_place() -> None:
    async def test(service: Service) -> None:
        service.engine.text_seconds = 1.0
        first = asyncio.ensure_future(service.ask({"text": "great 1"}))
        await asyncio.sleep(0)
        assert (await service.ask({"text": "great 2"})).code == "overloaded"
        assert (await service.ask({"text": "great 3"}, **{"x-request-timeout-ms": "9000"})).status == 200
        assert (await first).status == 200

    run(test, FakeClassifier(seconds=0.02))


def test_a_ticket_that_was_shed_is_no_quick_answer_of_an_arm() -> None:
    async def test(service: Service) -> None:
        service.engine._max_queue = 0
        assert (await service.ask({"text": "great"})).code == "overloaded"
        labels = {"route": "classify", "backend": ""}
        assert service.value("request_seconds_count", arm="", **labels) == 1
        assert service.value("requests_total", arm="", code="503", **labels) == 1
        assert (await service.ask({"text": "poison"})).code == "overloaded"
        service.engine._max_queue = 1
        assert (await service.ask({"text": "poison"})).code == "internal"
        labels = {"route": "classify", "backend": FakeClassifier.backend}
        assert service.value("request_seconds_count", arm="champion", **labels) == 1, "its arm failed"

    run(test, cache=PredictionCache(100, 60.0))


def test_an_urgent_ticket_waits_in_nobody_s_place_who_asked_the_same_before() -> None:
    async def test(service: Service) -> None:
        texts = [f"great {number}" for number in range(8)]
        others = [asyncio.create_task(service.ask({"text": text})) for text in texts]
        await asyncio.sleep(0)
        urgent = await service.ask({"text": texts[-1], "priority": "urgent"})
        assert json.loads(urgent.body)["cached"] is False
        seen = service.arms.split.champion.seen
        assert texts[-1] in seen and len(seen) < len(texts)
        assert {reply.status for reply in await asyncio.gather(*others)} == {200}

    run(test, FakeClassifier(seconds=0.005), cache=PredictionCache(100, 60.0))

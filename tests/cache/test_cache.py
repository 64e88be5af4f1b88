import asyncio
from collections.abc import Awaitable, Callable

import pytest

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import CacheCounts, PredictionCache
from ticket_sentiment.params import Cache

A, B = "a" * 64, "b" * 64


class Model:
    """Counts how often it is asked, and how often at once."""

    def __init__(self, seconds: float = 0.01) -> None:
        self.calls = self.running = self.most = 0
        self.seconds = seconds
        self.failures: list[BaseException] = []

    async def __call__(self) -> Answer:
        self.calls += 1
        number = self.calls
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await asyncio.sleep(self.seconds)
            if self.failures:
                raise self.failures.pop(0)
            return Answer("neutral", (0.1, 0.8, 0.1), f"call_{number}")
        finally:
            self.running -= 1


def run(test: Callable[[], Awaitable[None]]) -> None:
    async def bounded() -> None:
        async with asyncio.timeout(10):
            await test()

    asyncio.run(bounded())


def test_a_second_question_is_a_hit():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model()
        first = await cache.get_or_compute("k", A, model)
        second = await cache.get_or_compute("k", A, model)
        assert (first[1], second[1], model.calls) == (False, True, 1)
        assert first[0] is second[0]
        assert cache.counts == CacheCounts(hits=1, misses=1)

    run(test)


def test_another_bundle_or_key_shares_nothing():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model()
        answers = [await cache.get_or_compute(key, digest, model) for key in "kl" for digest in (A, B)]
        assert model.calls == 4 and not any(cached for _, cached in answers)

    run(test)


def test_a_stampede_of_equal_misses_computes_once():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model()
        answers = await asyncio.gather(*(cache.get_or_compute("k", A, model) for _ in range(100)))
        assert model.calls == 1
        assert len({id(answer) for answer, _ in answers}) == 1
        assert sum(cached for _, cached in answers) == 99
        assert cache.counts == CacheCounts(misses=1, shared=99)
        assert not cache._flights

    run(test)


def test_other_keys_do_not_wait():
    async def test() -> None:
        cache, model = PredictionCache(100, 60), Model()
        await asyncio.gather(*(cache.get_or_compute(str(number), A, model) for number in range(20)))
        assert model.most == 20

    run(test)


def test_who_is_urgent_waits_for_nobody_who_is_not_and_others_wait_for_him():
    async def test() -> None:
        cache, patient, urgent = PredictionCache(10, 60), Model(3600), Model()
        waiting = asyncio.create_task(cache.get_or_compute("k", A, patient))
        await asyncio.sleep(0)
        answers = await asyncio.gather(
            *(cache.get_or_compute("k", A, urgent, urgent=first) for first in (True, True, False))
        )
        assert (patient.calls, urgent.calls) == (1, 1)
        assert {answer.backend for answer, _ in answers} == {"call_1"}
        assert (await cache.get_or_compute("k", A, patient))[1]
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert not cache._flights

    run(test)


def test_a_leader_that_fails_has_its_own_error_and_a_follower_tries():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model()
        model.failures = [ArithmeticError("of the first"), ArithmeticError("of the second")]
        results = await asyncio.gather(
            *(cache.get_or_compute("k", A, model) for _ in range(50)), return_exceptions=True
        )
        failed = [result for result in results if isinstance(result, BaseException)]
        assert sorted(map(str, failed)) == ["of the first", "of the second"]
        assert model.calls == 3 and model.most == 1
        assert {result[0].backend for result in results if not isinstance(result, BaseException)} == {
            "call_3"
        }
        assert cache.counts == CacheCounts(misses=1, shared=47)

    run(test)


def test_an_error_is_not_cached():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model()
        model.failures = [ArithmeticError()]
        with pytest.raises(ArithmeticError):
            await cache.get_or_compute("k", A, model)
        assert len(cache._local) == 0 and not cache._flights
        assert (await cache.get_or_compute("k", A, model))[1] is False

    run(test)


def test_a_cancelled_leader_takes_nobody_with_it():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model(0.05)
        tasks = [asyncio.create_task(cache.get_or_compute("k", A, model)) for _ in range(10)]
        await asyncio.sleep(0.01)
        tasks[0].cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert isinstance(results[0], asyncio.CancelledError)
        assert model.calls == 2
        assert {result[0].backend for result in results[1:]} == {"call_2"}

    run(test)


def test_a_cancelled_follower_takes_nobody_with_it():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model(0.05)
        tasks = [asyncio.create_task(cache.get_or_compute("k", A, model)) for _ in range(10)]
        await asyncio.sleep(0.01)
        for task in tasks[3:6]:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
        assert [isinstance(result, asyncio.CancelledError) for result in results] == [
            3 <= n < 6 for n in range(10)
        ]
        assert model.calls == 1

    run(test)


def test_a_follower_keeps_its_own_deadline():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model(0.3)
        leader = asyncio.create_task(cache.get_or_compute("k", A, model))
        await asyncio.sleep(0.01)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await cache.get_or_compute("k", A, model)
        assert (await leader)[0].backend == "call_1"

    run(test)


def test_when_all_are_cancelled_nothing_runs_on():
    async def test() -> None:
        cache, model = PredictionCache(10, 60), Model(5)
        tasks = [asyncio.create_task(cache.get_or_compute("k", A, model)) for _ in range(5)]
        await asyncio.sleep(0.01)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        assert (model.running, cache._flights, len(cache._local)) == (0, {}, 0)

    run(test)


def test_it_holds_no_more_than_its_entries_and_forgets_the_least_used():
    async def test() -> None:
        cache, model = PredictionCache(3, 60), Model(0)
        for key in "abcad":  # b is now the one that was not used for longest
            await cache.get_or_compute(key, A, model)
        assert len(cache._local) == 3
        assert [(await cache.get_or_compute(key, A, model))[1] for key in "acdb"] == [True, True, True, False]

    run(test)


def test_an_answer_grows_old():
    async def test() -> None:
        cache, model = PredictionCache(3, 0.05), Model(0)
        await cache.get_or_compute("k", A, model)
        await asyncio.sleep(0.1)
        assert (await cache.get_or_compute("k", A, model))[1] is False

    run(test)


def test_without_entries_it_is_off():
    async def test() -> None:
        settings = Cache(entries=0, ttl_s=60.0, redis_url_env="REDIS", redis_timeout_ms=50.0)
        cache, model = PredictionCache.open(settings, {"REDIS": "redis://127.0.0.1:1/0"}), Model()
        results = await asyncio.gather(*(cache.get_or_compute("k", A, model) for _ in range(5)))
        assert model.calls == 5 and not any(cached for _, cached in results)
        assert cache.counts.misses == 5 and cache.shared_available is None
        await cache.close()

    run(test)

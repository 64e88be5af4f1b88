"""The shared cache against a real redis-server: there, away, slow, back, and with rubbish in it."""

import asyncio
import logging

import pytest
import redis

from tests.cache.test_cache import A, B, Model, run
from tests.support.servers import RedisServer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Cache


@pytest.fixture
def server(tmp_path):
    server = RedisServer(tmp_path)
    yield server
    server.thaw()
    server.stop()


def cache_of(url: str, timeout_ms: float = 3000.0, ttl_s: float = 60.0) -> PredictionCache:
    settings = Cache(entries=100, ttl_s=ttl_s, redis_url_env="REDIS", redis_timeout_ms=timeout_ms)
    return PredictionCache.open(settings, {"REDIS": url})


def keys(server: RedisServer) -> list[bytes]:
    with redis.Redis.from_url(server.url) as client:
        return client.keys()


async def shared(server: RedisServer, count: int = 1) -> None:
    """Wait until answers have been stored, which happens after they were given."""
    async with asyncio.timeout(5):
        while len(await asyncio.to_thread(keys, server)) < count:
            await asyncio.sleep(0.01)


def test_processes_share_answers_under_one_bundle(server):
    async def test() -> None:
        one, two, model = cache_of(server.url), cache_of(server.url), Model()
        answer, cached = await one.get_or_compute("k", A, model)
        await shared(server)
        again, hit = await two.get_or_compute("k", A, model)
        assert (cached, hit, model.calls, again) == (False, True, 1, answer)
        assert (two.counts.hits, two.counts.misses) == (1, 0)
        assert not (await two.get_or_compute("k", B, model))[1], "another bundle's answer"
        assert (await two.get_or_compute("k", A, model))[1] and two.counts.hits == 2
        assert one.errors == two.errors == 0
        await one.close()
        await two.close()

    run(test)


def test_shared_answers_grow_old(server):
    async def test() -> None:
        cache = cache_of(server.url, ttl_s=100)
        await cache.get_or_compute("k", A, Model())
        await shared(server)
        with redis.Redis.from_url(server.url) as client:
            assert 0 < client.pttl(keys(server)[0]) <= 100_000
        await cache.close()

    run(test)


def test_errors_are_not_shared(server):
    async def test() -> None:
        cache, model = cache_of(server.url), Model()
        model.failures = [ArithmeticError()]
        with pytest.raises(ArithmeticError):
            await cache.get_or_compute("k", A, model)
        await asyncio.sleep(0.1)
        assert keys(server) == []
        await cache.close()

    run(test)


@pytest.mark.parametrize("value", [b"\x80\x04K\x01.", b"{}", b'{"key":"another"}', b"\xff\xfe"])
def test_rubbish_is_a_miss_and_is_replaced(server, value):
    async def test() -> None:
        cache, model = cache_of(server.url), Model()
        await cache.get_or_compute("k", A, model)
        await shared(server)
        with redis.Redis.from_url(server.url) as client:
            client.set(keys(server)[0], value)
        other = cache_of(server.url)
        answer, cached = await other.get_or_compute("k", A, model)
        assert (cached, answer.backend, other.errors, other.shared_available) == (False, "call_2", 1, True)
        await asyncio.sleep(0.1)
        assert (await cache_of(server.url).get_or_compute("k", A, model))[0] == answer
        await cache.close()
        await other.close()

    run(test)


def test_a_value_of_another_type_is_a_miss(server):
    async def test() -> None:
        cache, model = cache_of(server.url), Model()
        await cache.get_or_compute("k", A, model)
        await shared(server)
        name = keys(server)[0]
        with redis.Redis.from_url(server.url) as client:
            client.delete(name)
            client.lpush(name, "x")
        other = cache_of(server.url)
        assert (await other.get_or_compute("k", A, model))[1] is False
        assert other.errors >= 1
        await cache.close()
        await other.close()

    run(test)


def test_redis_away_costs_time_only_until_the_breaker_opens_and_then_it_comes_back(server):
    async def test() -> None:
        cache, model = cache_of(server.url), Model(0)
        await cache.get_or_compute("before", A, model)
        cache._shared._breaker._pause = 600
        server.stop()
        for number in range(20):
            assert not (await cache.get_or_compute(f"away {number}", A, model))[1]
        assert cache.shared_available is False
        assert 3 <= cache.errors <= 8, "an open breaker is not even asked"
        before = cache.errors
        await asyncio.gather(*(cache.get_or_compute(f"open {number}", A, model) for number in range(60)))
        assert cache.errors == before
        assert (await cache.get_or_compute("before", A, model))[1], "this process's own memory goes on"
        server.start()
        cache._shared._breaker._until = 0  # the pause is over
        await cache.get_or_compute("back", A, model)
        assert cache.shared_available is True
        await shared(server)
        assert (await cache_of(server.url).get_or_compute("back", A, model))[1]
        await cache.close()

    run(test)


def test_redis_that_hangs_costs_its_timeout_and_no_more(server):
    async def test() -> None:
        cache, model = cache_of(server.url, timeout_ms=50), Model(0)
        for number in range(4):  # connected
            await cache.get_or_compute(f"before {number}", A, model)
        server.freeze()
        cache._shared._breaker._pause = 600
        for number in range(30):
            async with asyncio.timeout(5):
                await cache.get_or_compute(f"slow {number}", A, model)
        assert 3 <= cache.errors <= 8, "three timeouts, then none"
        assert cache.shared_available is False
        server.thaw()
        async with asyncio.timeout(20):  # a busy machine may miss 50 ms more than once
            while not cache.shared_available:
                cache._shared._breaker._until = 0
                await cache.get_or_compute("back", A, model)
                cache._local.clear()
        await cache.close()

    run(test)


def test_an_answer_never_reaches_another_question_when_callers_give_up(server):
    """A cancelled look-up leaves a reply on its connection; the next must not take it for its own."""

    async def test() -> None:
        writer = cache_of(server.url)
        models = {f"k{number}": Model(0) for number in range(40)}
        for key, model in models.items():
            model.calls = int(key[1:]) * 1000
            await writer.get_or_compute(key, A, model)
        await shared(server, 40)
        reader = cache_of(server.url)
        reader._local.clear()
        for turn in range(10):
            tasks = {
                key: asyncio.create_task(reader.get_or_compute(key, A, model))
                for key, model in models.items()
            }
            await asyncio.sleep(0.0005 * turn)
            for number, task in enumerate(tasks.values()):
                if number % 3 == turn % 3:
                    task.cancel()
            for key, result in zip(
                tasks, await asyncio.gather(*tasks.values(), return_exceptions=True), strict=True
            ):
                if not isinstance(result, asyncio.CancelledError):
                    assert int(result[0].backend.split("_")[1]) // 1000 == int(key[1:])
            reader._local.clear()
        await writer.close()
        await reader.close()

    run(test)


def test_a_burst_of_different_misses_does_not_look_like_an_outage(server):
    async def test() -> None:
        cache, model = cache_of(server.url), Model(0)
        await asyncio.gather(*(cache.get_or_compute(str(number), A, model) for number in range(500)))
        assert model.calls == 500
        assert (cache.errors, cache.shared_available) == (0, True)
        await cache.close()

    run(test)


def test_no_text_key_or_password_is_logged(server, caplog):
    async def test() -> None:
        caplog.set_level(logging.DEBUG)
        url = server.url.replace("redis://", "redis://:canary-secret@")
        cache = cache_of(url)  # this server knows no password and refuses one
        for number in range(5):
            await cache.get_or_compute(f"canary-key {number}", A, Model(0))
        server.stop()
        for number in range(5):
            await cache.get_or_compute(f"canary-key again {number}", A, Model(0))
        assert cache.errors > 0 and "shared cache failed" in caplog.text
        assert "canary" not in caplog.text
        await cache.close()

    run(test)


@pytest.mark.parametrize("url", ["canary", "http://:canary@host", "redis://:canary@host:no-port/0"])
def test_a_url_that_is_none_is_refused_with_the_variable(url):
    with pytest.raises(TicketSentimentError, match="REDIS holds no Redis URL") as caught:
        cache_of(url)
    assert "canary" not in str(caught.value)


def test_no_redis_without_the_variable():
    cache = PredictionCache.open(
        Cache(entries=5, ttl_s=1.0, redis_url_env="REDIS", redis_timeout_ms=50.0), {"REDIS": ""}
    )
    assert cache.shared_available is None and cache.errors == 0

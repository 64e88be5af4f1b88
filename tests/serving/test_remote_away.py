"""The other service killed, slow or full: the ticket is answered here, in time."""

import asyncio
from datetime import UTC, datetime

import pytest

from tests.support.hybrid import LOCAL, URGENT, Pair, between, challenger, routes
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving import remote as module


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


def test_on_trial_what_neither_answered_in_time_is_a_failure_of_its_arm() -> None:
    async def test(made: Pair) -> None:
        made.here.arms.apply(RolloutState(1, "s", LOCAL, "d" * 64, 0.5, False, datetime.now(UTC)))
        made.line.delay = 30.0
        tickets = [{"text": f"invoice {n}", "customer_id": f"c{n}"} for n in range(6)]
        reply = await made.ask({"tickets": tickets}, "/v1/classify/batch", **{"x-request-timeout-ms": "600"})
        late = [result for result in reply["results"] if "error" in result]
        assert {result["error"]["code"] for result in late} == {"deadline_exceeded"}
        store = made.here.store
        assert len(store.failures) == len(late) > 3 and len(store.exposures) == 6

    # The model here takes longer than what the other service leaves of the deadline.
    between(test, here=(FakeClassifier(LOCAL, seconds=0.2), challenger(seconds=0.2)))


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

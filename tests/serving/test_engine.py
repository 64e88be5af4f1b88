"""The queue in front of the models: bounded, in order of urgency, and nothing is run for nobody."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from tests.support.serving import FakeClassifier
from ticket_sentiment.serving import engine as engine_module
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.errors import ApiError

LATER = 60.0


def run(test: Callable[[Engine], Awaitable[None]], max_queue: int = 8, threaded: bool = False) -> None:
    async def main() -> None:
        engine = Engine(max_queue, 2, 0.1, threaded)
        try:
            await asyncio.wait_for(test(engine), 10)
        finally:
            engine.close()

    asyncio.run(main())


def in_time() -> float:
    return time.monotonic() + LATER


@pytest.mark.parametrize("threaded", [False, True])
def test_answers_come_back(threaded: bool) -> None:
    model = FakeClassifier()

    async def test(engine: Engine) -> None:
        answers = await asyncio.gather(*(engine.submit(model, f"text {n}", in_time()) for n in range(8)))
        assert len(answers) == 8
        assert (engine.runs, engine.pending) == (8, 0)
        assert await engine.submit(model, "nothing left", in_time()) is None

    run(test, threaded=threaded)


def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    async def test(engine: Engine) -> None:
        waiting = [engine.submit(FakeClassifier(), "a", in_time(), patient=True) for _ in range(8)]
        with pytest.raises(ApiError) as refused:
            engine.submit(FakeClassifier(), "b", in_time(), patient=True)
        assert (refused.value.status, refused.value.code) == (503, "overloaded")
        assert (b"retry-after", b"1") in refused.value.headers
        await asyncio.gather(*waiting)
        await engine.submit(FakeClassifier(), "c", in_time())

    run(test)


def test_what_would_miss_the_objective_is_refused_unless_the_caller_says_how_long_it_waits() -> None:
    async def test(engine: Engine) -> None:
        model = FakeClassifier()
        engine.text_seconds = 0.03  # and half of the objective, 0.05 s, is for waiting
        waiting = [engine.submit(model, "a", in_time()), engine.submit(model, "b", in_time())]
        with pytest.raises(ApiError, match="overloaded"):
            engine.submit(model, "c", in_time())
        waiting.append(engine.submit(model, "c", in_time(), patient=True))
        with pytest.raises(ApiError, match="overloaded"):
            engine.submit(model, "d", time.monotonic() + 0.08, patient=True)
        await asyncio.gather(*waiting)

    run(test)


def test_work_that_is_too_late_or_whose_caller_has_gone_is_not_run() -> None:
    model = FakeClassifier(seconds=0.05)

    async def test(engine: Engine) -> None:
        first = engine.submit(model, "first", in_time(), patient=True)
        late = engine.submit(model, "late", time.monotonic() + 0.02, patient=True)
        gone = engine.submit(model, "gone", in_time(), patient=True)
        last = engine.submit(model, "last", in_time(), patient=True)
        gone.cancel()
        await first
        with pytest.raises(ApiError, match="deadline_exceeded"):
            await late
        await last
        assert model.seen == ["first", "last"]
        assert (engine.expired, engine.pending) == (2, 0)
        with pytest.raises(ApiError, match="deadline_exceeded"):
            engine.submit(model, "past", time.monotonic() - 1)

    run(test)


def test_texts_are_scored_in_long_turns_unless_many_wait_or_one_was_just_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(engine_module, "CALM_TURN_SECONDS", LATER)
    monkeypatch.setattr(engine_module, "TURN_SECONDS", 0.0)

    async def in_first_turn(engine: Engine) -> int:
        model = FakeClassifier()
        waiting = [engine.submit(model, f"{n}", in_time(), patient=True) for n in range(8)]
        await asyncio.sleep(0)
        seen = len(model.seen)
        await asyncio.gather(*waiting)
        return seen

    async def test(engine: Engine) -> None:
        assert await in_first_turn(engine) == 8
        engine.text_seconds = 0.005  # of eight that is more than half of what a text may wait, 50 ms
        assert await in_first_turn(engine) == 1
        engine.text_seconds = 0.0001
        assert await in_first_turn(engine) == 8
        waiting = [engine.submit(FakeClassifier(), f"{n}", in_time(), patient=True) for n in range(8)]
        with pytest.raises(ApiError, match="overloaded"):
            engine.submit(FakeClassifier(), "one more", in_time(), patient=True)
        await asyncio.gather(*waiting)
        assert await in_first_turn(engine) == 1

    run(test)


def test_an_idle_time_after_a_caller_who_left_is_not_taken_for_work() -> None:
    model = FakeClassifier()

    async def test(engine: Engine) -> None:
        first, gone = engine.submit(model, "first", in_time()), engine.submit(model, "gone", in_time())
        gone.cancel()
        await first
        await asyncio.sleep(0.2)
        await engine.submit(model, "later", in_time())
        assert engine.text_seconds < 0.009

    run(test)


def test_one_slow_text_does_not_refuse_everybody_after_it() -> None:
    async def test(engine: Engine) -> None:
        await engine.submit(FakeClassifier(seconds=0.5), "slow", in_time(), patient=True)
        assert engine.text_seconds <= 0.001 + 0.1 * 0.1

    run(test)


def test_urgent_before_normal_before_shadow() -> None:
    model = FakeClassifier()
    shadow: list[str] = []

    async def test(engine: Engine) -> None:
        engine.shadow(model, "shadow", lambda answer, seconds: shadow.append(answer.label), list)
        jobs = [
            engine.submit(model, "normal", in_time()),
            engine.submit(model, "urgent", in_time(), urgent=True),
        ]
        await asyncio.gather(*jobs)
        while engine.shadow_pending:
            await asyncio.sleep(0)
        assert model.seen == ["urgent", "normal", "shadow"]
        assert shadow == ["positive"]
        assert engine.shadow_scored == 1

    run(test)


def test_an_urgent_text_waits_for_its_kind_alone() -> None:
    async def test(engine: Engine) -> None:
        model = FakeClassifier()
        engine.text_seconds = 0.02  # and half of the objective, 0.05 s, is for waiting
        jobs = [engine.submit(model, "normal", in_time(), patient=True) for _ in range(4)]
        with pytest.raises(ApiError, match="overloaded"):
            engine.submit(model, "normal", in_time())
        jobs += [engine.submit(model, "urgent", in_time(), urgent=True) for _ in range(3)]
        with pytest.raises(ApiError, match="overloaded"):
            engine.submit(model, "urgent", in_time(), urgent=True)
        await asyncio.gather(*jobs)
        assert model.seen == ["urgent"] * 3 + ["normal"] * 4

    run(test)


def test_a_full_shadow_queue_drops_and_counts_and_a_failing_shadow_harms_nobody() -> None:
    model, failed = FakeClassifier(), []

    async def test(engine: Engine) -> None:
        for text in ("one", "poison", "three", "four"):
            engine.shadow(model, text, lambda answer, seconds: None, lambda text=text: failed.append(text))
        assert engine.shadow_dropped == 2
        await engine.submit(model, "asked", in_time())
        while engine.shadow_pending:
            await asyncio.sleep(0.001)
        assert (engine.shadow_scored, engine.shadow_failed) == (1, 1)
        assert failed == ["poison"]

        def unwell(*_: object) -> None:
            raise RuntimeError("the database is full")

        for text in ("good", "poison"):
            engine.shadow(model, text, unwell, unwell)
        while engine.shadow_pending:
            await asyncio.sleep(0.001)
        assert await engine.submit(model, "still asked", in_time())

    run(test)


def test_on_a_gpu_what_waits_is_one_batch_and_a_poisonous_text_harms_only_itself() -> None:
    model = FakeClassifier(max_batch=4, seconds=0.02)

    async def test(engine: Engine) -> None:
        texts = ["first", "a", "poison", "b", "c"]
        jobs = [engine.submit(model, text, in_time(), patient=True) for text in texts]
        answers = await asyncio.gather(*jobs, return_exceptions=True)
        assert isinstance(answers[2], ApiError)
        assert answers[2].code == "internal"
        assert all(answers[n].label == "positive" for n in (0, 1, 3, 4))
        assert max(model.batches) > 1
        assert max(model.batches) <= 4

    run(test, threaded=True)


def test_a_sustained_load_leaves_the_thread_nothing_to_wake_up_for() -> None:
    model = FakeClassifier()

    async def test(engine: Engine) -> None:
        for _ in range(50):
            await asyncio.gather(*(engine.submit(model, "a", in_time(), patient=True) for _ in range(8)))
        steps = 0
        step = engine._step

        def count() -> bool:
            nonlocal steps
            steps += 1
            return step()

        engine._step = count  # type: ignore[method-assign]
        await engine.submit(model, "last", in_time())
        await asyncio.sleep(0.05)
        assert steps < 10
        assert not engine._wake.is_set()

    run(test, threaded=True)


def test_a_thread_that_sleeps_ends_at_once() -> None:
    async def test(engine: Engine) -> None:
        await engine.submit(FakeClassifier(), "a", in_time())
        await asyncio.sleep(0.05)
        engine.close()
        assert engine._thread is not None
        assert not engine._thread.is_alive()

    run(test, threaded=True)


def test_two_models_are_never_in_one_batch() -> None:
    models = FakeClassifier(max_batch=4), FakeClassifier(max_batch=4)

    async def test(engine: Engine) -> None:
        await asyncio.gather(
            *(engine.submit(models[n % 2], str(n), in_time(), patient=True) for n in range(8))
        )
        assert sorted(models[0].seen) == ["0", "2", "4", "6"]

    run(test, threaded=True)


def test_the_failure_of_a_model_is_logged_without_the_text(caplog: pytest.LogCaptureFixture) -> None:
    async def test(engine: Engine) -> None:
        with pytest.raises(ApiError, match="internal"):
            await engine.submit(FakeClassifier(), "poison", in_time())

    run(test)
    assert "ValueError" in caplog.text
    assert "support/serving.py" in caplog.text
    assert "poison" not in caplog.text

"""Who is champion and who challenger, by the rollout state."""

import asyncio
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from tests.support.serving import FakeClassifier
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.rollout.state import RolloutState
from ticket_sentiment.serving import arms as arms_module
from ticket_sentiment.serving.arms import Arms

OLD, NEW = FakeClassifier("a" * 64), FakeClassifier("b" * 64)
CUSTOMERS = [f"customer-{n}" for n in range(2000)]


def state(**changes: Any) -> RolloutState:
    fields = {
        "epoch": 1, "salt": "s", "champion": OLD.digest, "challenger": NEW.digest, "challenger_share": 0.25,
        "shadow": False, "since": datetime(2026, 1, 1, tzinfo=UTC),
    }  # fmt: skip
    return RolloutState(**{**fields, **changes})


def challenged(arms: Arms) -> set[str]:
    return {customer for customer in CUSTOMERS if arms.split.choose(customer, None)[0] == "challenger"}


def test_without_a_state_the_champion_answers_everybody() -> None:
    arms = Arms([OLD, NEW])
    assert not challenged(arms)
    assert arms.split.choose("c", "t") == ("champion", OLD)
    assert (arms.split.epoch, arms.split.shadow) == (0, False)
    arms.apply(None)
    assert arms.split.champion is OLD


def test_the_share_is_the_challengers_and_grows_without_moving_anybody_back() -> None:
    arms = Arms([OLD, NEW])
    seen = []
    for epoch, share in enumerate((0.05, 0.25, 0.5, 1.0), 1):
        arms.apply(state(epoch=epoch, challenger_share=share))
        seen.append(challenged(arms))
        assert len(seen[-1]) / len(CUSTOMERS) == pytest.approx(share, abs=0.04)
    assert seen[0] < seen[1] < seen[2] < seen[3] == set(CUSTOMERS)
    arm, model = arms.split.choose(CUSTOMERS[0], None)
    assert (arm, model) == ("challenger", NEW)


def test_a_state_that_cannot_be_read_leaves_the_last_one() -> None:
    arms = Arms([OLD, NEW])
    arms.apply(state())
    before = arms.split
    arms.apply(None)
    assert arms.split is before


def test_roles_follow_the_state_not_the_build() -> None:
    arms = Arms([OLD, NEW])
    arms.apply(state(champion=NEW.digest, challenger=OLD.digest, challenger_share=0.0, shadow=True))
    assert arms.split.champion is NEW
    assert arms.split.other("champion") == ("challenger", OLD)
    assert arms.split.shadow


def test_a_bundle_that_is_not_loaded_has_no_share(caplog: pytest.LogCaptureFixture) -> None:
    arms = Arms([OLD])
    arms.apply(state(challenger_share=1.0, shadow=True))
    assert not challenged(arms)
    assert not arms.split.shadow
    arms.apply(state(epoch=2, champion="c" * 64))
    assert arms.split.champion is OLD
    assert "not loaded" in caplog.text


def test_only_who_met_what_the_state_names_is_exposed() -> None:
    arms = Arms([OLD, NEW])
    arms.apply(state())
    assert (arms.split.on_trial, arms.split.not_loaded) == (True, 0)
    # The state's champion is another build's: its stand-in would be compared with the challenger.
    arms.apply(state(epoch=2, champion="c" * 64, challenger_share=1.0, shadow=True))
    assert not challenged(arms)
    assert (arms.split.on_trial, arms.split.shadow, arms.split.not_loaded) == (False, False, 1)
    arms.apply(state(epoch=3, challenger="d" * 64))
    assert (arms.split.on_trial, arms.split.not_loaded) == (False, 1)
    arms.apply(state(epoch=4, champion="c" * 64, challenger="d" * 64))
    assert (arms.split.on_trial, arms.split.not_loaded) == (False, 2)
    arms.apply(state(epoch=5, challenger=None, challenger_share=0.0))
    assert (arms.split.on_trial, arms.split.not_loaded) == (False, 0)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (EventStoreUnavailable("the database of Monday"), "the database of Monday"),
        (RuntimeError("postgresql://user:secret@host"), "RuntimeError"),
    ],
)
def test_why_the_state_cannot_be_read_is_said_where_the_text_is_for_people(
    caplog: pytest.LogCaptureFixture, error: Exception, said: str
) -> None:
    def read() -> RolloutState | None:
        raise error

    async def test() -> None:
        task = asyncio.create_task(Arms([OLD]).follow(read, 0.01))
        await asyncio.sleep(0.1)
        task.cancel()

    asyncio.run(test())
    assert said in caplog.text
    assert "secret" not in caplog.text


def test_polling_survives_a_database_that_is_away() -> None:
    answers = iter([RuntimeError("away"), state(epoch=3), RuntimeError("away again"), None])

    def read() -> RolloutState | None:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def test() -> None:
        arms = Arms([OLD, NEW])
        task = asyncio.create_task(arms.follow(read, 0.001))
        await asyncio.sleep(0.3)
        assert arms.split.epoch == 3
        task.cancel()

    asyncio.run(test())


def test_a_call_that_does_not_come_back_is_said_once_and_waited_for(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(arms_module, "HANG_S", 0.05)
    back, calls = threading.Event(), []

    def read() -> RolloutState | None:
        calls.append(1)
        back.wait(10)
        return state(epoch=3)

    async def test() -> None:
        arms = Arms([OLD, NEW])
        task = asyncio.create_task(arms.follow(read, 0.001))
        await asyncio.sleep(0.3)
        assert (len(calls), arms.split.epoch) == (1, 0), "no second thread is left hanging"
        back.set()
        await asyncio.sleep(0.2)
        assert arms.split.epoch == 3
        task.cancel()

    asyncio.run(test())
    assert caplog.text.count("no answer for 0.05 s") == 1


def load_from(*held: FakeClassifier) -> Callable[[str], FakeClassifier]:
    by_name = {classifier.release: classifier for classifier in held}

    def load(name: str) -> FakeClassifier:
        if name not in by_name:
            raise TicketSentimentError("release.json is missing")
        return by_name[name]

    return load


def test_a_release_that_the_build_does_not_hold_is_taken_up(caplog: pytest.LogCaptureFixture) -> None:
    third = FakeClassifier("c" * 64)
    arms = Arms([OLD], load_from(NEW, third))
    asyncio.run(arms.take_over(state(challenger_share=1.0)))
    assert arms.split.choose("c", None) == ("challenger", NEW)
    asyncio.run(arms.take_over(state(epoch=2, champion=NEW.release, challenger=third.release)))
    assert (arms.split.champion, arms.split.challenger) == (NEW, third)
    assert set(arms.loaded) == {OLD.release, NEW.release, third.release}  # the build's own stays
    asyncio.run(arms.take_over(state(epoch=3, champion=OLD.release, challenger=None, challenger_share=0.0)))
    assert (arms.split.champion, set(arms.loaded)) == (OLD, {OLD.release})


def test_a_release_that_cannot_be_loaded_changes_nobody_and_is_asked_for_again(
    caplog: pytest.LogCaptureFixture,
) -> None:
    arms = Arms([OLD], load_from())
    wanted = state(champion=NEW.release, challenger=None, challenger_share=0.0)
    for _ in range(3):
        asyncio.run(arms.take_over(wanted))
    assert (arms.split.champion, arms.split.not_loaded) == (OLD, 1)
    assert caplog.text.count("release.json is missing") == 1
    arms._load = load_from(NEW)
    asyncio.run(arms.take_over(wanted))
    assert (arms.split.champion, arms.split.not_loaded) == (NEW, 0)
    # The next champion is not there either: the one that answers stays, not that of the build.
    arms._load = load_from()
    asyncio.run(arms.take_over(state(epoch=2, champion="d" * 64, challenger=None, challenger_share=0.0)))
    assert arms.split.champion is NEW


def test_who_answers_goes_on_answering_while_a_release_loads() -> None:
    async def test() -> None:
        loading, go_on = threading.Event(), threading.Event()

        def load(name: str) -> FakeClassifier:
            loading.set()
            assert go_on.wait(5)
            return NEW

        arms = Arms([OLD], load)
        taking = asyncio.create_task(
            arms.take_over(state(champion=NEW.release, challenger=None, challenger_share=0.0))
        )
        assert await asyncio.to_thread(loading.wait, 5)
        assert arms.split.choose("c", "t") == ("champion", OLD)
        go_on.set()
        await taking
        assert arms.split.choose("c", "t") == ("champion", NEW)

    asyncio.run(test())


def test_a_load_that_hangs_holds_up_no_rollback_and_no_other_release(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is what is not there yet answered with, or met."""
    monkeypatch.setattr(arms_module, "HANG_S", 0.01)
    hung, third, go_on = "d" * 64, FakeClassifier("c" * 64), threading.Event()
    states = [state(challenger_share=1.0)]

    def load(name: str) -> FakeClassifier:
        if name == hung:
            assert go_on.wait(10)
            return FakeClassifier(hung)
        return third

    async def test() -> None:
        arms = Arms([OLD, NEW], load)

        async def until(epoch: int, *, not_loaded: int = 0) -> None:
            while (arms.split.epoch, arms.split.not_loaded) != (epoch, not_loaded):
                await asyncio.sleep(0.001)

        following = asyncio.create_task(arms.follow(lambda: states[-1], 0.001))
        async with asyncio.timeout(10):
            await until(1)
            states.append(state(epoch=2, champion=hung, challenger=NEW.release, challenger_share=1.0))
            await until(2, not_loaded=1)
            assert (arms.split.champion, arms.split.on_trial, challenged(arms)) == (OLD, False, set())
            states.append(state(epoch=3, champion=NEW.release, challenger=None, challenger_share=0.0))
            await until(3)
            assert arms.split.champion is NEW
            states.append(state(epoch=4, champion=NEW.release, challenger=third.release))
            await until(4)
            assert arms.split.challenger is third
            assert list(arms._loading) == [hung]
            while "takes longer" not in caplog.text:
                await asyncio.sleep(0.001)
            go_on.set()
            while arms._loading:
                await asyncio.sleep(0.001)
        assert hung not in arms.loaded, "of a state that is over"
        assert (arms.split.epoch, arms.split.champion) == (4, NEW)
        following.cancel()

    asyncio.run(test())
    assert caplog.text.count(f"release {hung[:12]} cannot be loaded: it takes longer than 0.01 s") == 1
    assert "is not loaded" not in caplog.text, "it is on its way"


def test_the_stop_waits_for_no_release() -> None:
    go_on = threading.Event()

    def load(name: str) -> FakeClassifier:
        assert go_on.wait(10)
        return NEW

    async def test() -> None:
        arms = Arms([OLD], load)
        arms._adopt(state())
        (task,) = arms._loading.values()
        await asyncio.sleep(0)
        arms.close()
        await asyncio.wait({task})
        assert task.cancelled() and not arms._loading
        go_on.set()

    asyncio.run(test())

"""One look: what it decides is carried out, at the epoch it was decided at, or not at all."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.rollout.evidence import evidence, last_epoch
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, Look
from ticket_sentiment.events.leases import LeaseHeld
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import EventStoreUnavailable, Prediction
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import controller, moves
from ticket_sentiment.promotion.controller import look
from ticket_sentiment.promotion.moves import By, Model
from ticket_sentiment.rollout.assignment import Arm
from ticket_sentiment.rollout.evidence import Evidence, PairedCounts

PARAMS = params_of_tests()
FLOW = By(moves.ROLLOUT, "Because.")
ONE, TWO, THREE = (Model(str(n), str(n) * 64) for n in range(1, 4))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """With version 1 as champion and version 2 on trial, epoch 2."""
    made = Ledger(url)
    moves.start(made, moves.adopt(made, None, ONE, FLOW), TWO, FLOW)
    yield made
    made.close()


def current(ledger: Ledger) -> Entry:
    found = ledger.current()
    assert found and found.change
    return found


def answer(url: str, epoch: int = 2, count: int = 1, arm: Arm = "challenger") -> None:
    """An arm is heard: unseen answers of it."""
    store = EventStore(url, 100, False)
    for number in range(count):
        store.predicted(
            Prediction(
                datetime.now(UTC), f"r-{epoch}-{number}-{id(store)}", None, None, arm, epoch,
                TWO.digest, "2", "positive", (0.1, 0.2, 0.7), 0.7, False, False, "cpu", 1.0, True, unit="u",
            )
        )  # fmt: skip
    store.close(5)


def reads(monkeypatch: pytest.MonkeyPatch, make: Callable[[Ledger, datetime], Evidence]) -> None:
    """What comes of the reader: the counts are made up, the ledger's part is true."""

    def read(ledger: Ledger, settings: Any, objective_ms: float, now: datetime) -> Evidence:
        return make(ledger, now)

    monkeypatch.setattr(controller, "read_evidence", read)


def good(ledger: Ledger, now: datetime, **changes: Any) -> Evidence:
    """Of a challenger that may go on from the step it is in, if that has lasted long enough."""
    entry, (begun, *_) = current(ledger), reversed([e for e in ledger.history() if e.on])
    assert entry.change
    made = evidence(
        entry.change.step, at=now, epoch=entry.state.epoch, champion=ONE.digest, challenger=TWO.digest
    )
    if made.epochs:
        made = last_epoch(made, began=entry.state.since)
    return replace(made, rollout_since=begun.state.since, step_since=entry.state.since, **changes)


def clock(monkeypatch: pytest.MonkeyPatch, start: datetime) -> Callable[[float], None]:
    """The database's clock, moved by hand (hours)."""
    now = [start]
    monkeypatch.setattr(Ledger, "now", lambda self: now[0])

    def move(hours: float) -> None:
        now[0] += timedelta(hours=hours)

    return move


def test_without_a_rollout_there_is_nothing_to_look_at(url: str) -> None:
    ledger = Ledger(url)
    assert look(ledger, PARAMS).action == "none"
    moves.adopt(ledger, None, ONE, FLOW)
    assert look(ledger, PARAMS).lines() == ["Decided: none.", "No rollout is on."]
    ledger.close()


def test_a_real_look_waits_and_says_for_what(ledger: Ledger, url: str) -> None:
    answer(url)
    outcome = look(ledger, PARAMS)
    assert outcome.action == "wait" and any("hours of at least 48" in reason for reason in outcome.reasons)
    (kept,) = ledger.looks(2)
    assert (kept.epoch, kept.number, kept.action, kept.fresh) == (2, 1, "wait", True)
    assert kept.reasons == outcome.reasons and len(kept.guardrails) == 5


def test_silence_ends_in_a_rollback(ledger: Ledger, url: str) -> None:
    answer(url)
    actions = []
    for _ in range(4):
        actions.append(look(ledger, PARAMS).action)
        answer(url, arm="champion")
    assert actions == ["wait", "wait", "wait", "rollback"]
    entry = current(ledger)
    assert entry.change and entry.change.actor == moves.ROLLOUT and "Nothing was heard" in entry.change.reason
    assert look(ledger, PARAMS).action == "none"


def test_a_night_without_tickets_ends_nothing_a_week_does(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    move = clock(monkeypatch, current(ledger).state.since)
    answer(url)
    assert look(ledger, PARAMS).action == "wait"
    night = []
    for _ in range(40):  # a look each quarter of an hour
        move(0.25)
        night.append(look(ledger, PARAMS))
    assert {item.action for item in night} == {"wait"}
    assert any("Nobody was heard since the last look, for 10.0 hours" in why for why in night[-1].reasons)
    answer(url)
    assert look(ledger, PARAMS).action == "wait"
    assert [kept.silent for kept in ledger.looks(2)] == [False, *[True] * 40, False]
    actions = watched(PARAMS, ledger, move, 80)
    assert actions.index("rollback") == 35  # 72 hours
    entry = current(ledger)
    assert entry.change and entry.change.reason.startswith("Nobody was heard for 72.0 hours")


def test_an_advance_that_was_not_carried_out_is_not_taken_up_without_news(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(url)
    kept = Look(
        2, 1, ledger.now(), "advance", ("So.",), (), True
    )  # then it was killed, and the challenger died
    ledger.look(kept)
    real = controller.read_evidence
    seen = []

    def read(*arguments: Any, **named: Any) -> Evidence:
        found = real(*arguments, **named)
        seen.append(found)
        return good(ledger, found.at, missed_looks=found.missed_looks, silent=found.silent)

    monkeypatch.setattr(controller, "read_evidence", read)
    clock(monkeypatch, current(ledger).state.since + timedelta(days=5))
    monkeypatch.setattr(controller, "watched", lambda evidence, *_: evidence)
    answer(url, arm="champion")
    assert look(ledger, PARAMS).action == "wait" and seen[0].missed_looks == 1
    answer(url)
    assert look(ledger, PARAMS).action == "advance"


def _broken(ledger: Ledger, now: datetime) -> Evidence:
    raise TicketSentimentError("rollout evidence: UnitSums.n: expected a whole number from 0")


def _wrong(ledger: Ledger, now: datetime) -> Evidence:
    raise ZeroDivisionError("a text that nobody should see")


def _slow(ledger: Ledger, now: datetime) -> Evidence:
    raise EventStoreUnavailable("the event database does not answer: the evidence is unknown; try again")


def _not_a_number(ledger: Ledger, now: datetime) -> Evidence:
    return good(ledger, now, missed_looks="none")


@pytest.mark.parametrize("broken", [_broken, _wrong, _slow, _not_a_number])
def test_evidence_that_cannot_be_read_never_promotes_and_ends_in_a_rollback(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch, broken: Callable[[Ledger, datetime], Evidence]
) -> None:
    reads(monkeypatch, broken)
    found = []
    for _ in range(3):
        answer(url)  # it is heard, which does not help
        found.append(look(ledger, PARAMS))
    assert [item.action for item in found] == ["wait", "wait", "rollback"]
    assert "cannot be read (3 looks in a row" in found[2].reasons[0]
    assert "nobody should see" not in str(found)
    assert current(ledger).change.action == "rollback"  # type: ignore[union-attr]


def test_looks_without_evidence_and_silent_ones_are_counted_together(
    ledger: Ledger, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer(url)
    assert look(ledger, PARAMS).action == "wait"
    with monkeypatch.context() as patch:
        reads(patch, _broken)
        assert look(ledger, PARAMS).action == "wait"
    actions = []
    for _ in range(2):
        answer(url, arm="champion")
        actions.append(look(ledger, PARAMS).action)
    assert actions == ["wait", "rollback"]


def test_a_step_of_a_removed_plan_does_not_stay_for_ever(ledger: Ledger, url: str) -> None:
    for share in (0.05, 0.25, 0.5):
        moves.advance(ledger, current(ledger), share, FLOW)
    steps = PARAMS.rollout.steps[:2]
    params = PARAMS.model_copy(update={"rollout": PARAMS.rollout.model_copy(update={"steps": steps})})
    actions = []
    for _ in range(3):
        answer(url, epoch=5)
        actions.append(look(ledger, params).action)
    assert actions == ["wait", "wait", "rollback"]


def watched(params: Params, ledger: Ledger, move: Callable[[float], None], hours: float) -> list[str]:
    """A look every two hours; what each decides."""
    found = []
    for _ in range(round(hours / 2)):
        move(2)
        found.append(look(ledger, params).action)
    return found


def test_a_good_challenger_goes_from_shadow_to_champion_by_itself(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads(monkeypatch, good)
    move = clock(monkeypatch, current(ledger).state.since)
    actions = watched(PARAMS, ledger, move, 48 + 24 + 24 + 72)
    assert [n for n, action in enumerate(actions) if action == "advance"] == [23, 35, 47, 83]
    assert set(actions) == {"wait", "advance"}
    entry = current(ledger)
    assert entry.change and entry.change.action == "promote" and entry.state.champion == TWO.digest
    shares = [item.state.challenger_share for item in reversed(ledger.history())]
    assert shares == [0.0, 0.0, 0.05, 0.25, 0.5, 0.0]


@pytest.mark.parametrize("jump", [48.0, 1000.0, 100_000.0])
def test_a_clock_that_jumps_forward_promotes_nobody(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch, jump: float
) -> None:
    reads(monkeypatch, good)
    move = clock(monkeypatch, current(ledger).state.since)
    assert set(watched(PARAMS, ledger, move, 6)) == {"wait"}
    move(jump)
    outcome = look(ledger, PARAMS)
    assert outcome.action == "wait" and "This step has lasted 12 hours of at least 48." in outcome.reasons
    actions = watched(PARAMS, ledger, move, 36)
    assert actions[-1] == "advance" and set(actions[:-1]) == {"wait"}


def test_a_clock_that_jumps_back_waits_and_then_goes_on(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads(monkeypatch, good)
    move = clock(monkeypatch, current(ledger).state.since)
    watched(PARAMS, ledger, move, 40)
    move(-41)
    assert "The clocks disagree" in look(ledger, PARAMS).reasons[0]
    actions = watched(PARAMS, ledger, move, 50)
    assert actions.index("advance") == 24  # 48 hours after the step began, by the clock as it is


def test_a_clock_that_was_ahead_holds_up_only_the_rollout_that_began_by_it(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads(monkeypatch, good)
    right = current(ledger).state.since
    move = clock(monkeypatch, right + timedelta(days=365))
    moves.start(ledger, current(ledger), TWO, FLOW)
    move(-365 * 24)
    stuck = look(ledger, PARAMS)
    assert "The clocks disagree" in stuck.reasons[0] and "`ticket-sentiment rollback` ends" in stuck.next
    moves.rollback(ledger, current(ledger), FLOW)
    moves.start(ledger, current(ledger), TWO, FLOW)
    assert current(ledger).state.since == right
    assert watched(PARAMS, ledger, move, 50).index("advance") == 23


def test_a_bad_challenger_is_rolled_back_at_once(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    bad = PairedCounts(both_right=500, only_champion=300, only_challenger=20, both_wrong=10)
    reads(monkeypatch, lambda ledger, now: good(ledger, now, paired=bad))
    outcome = look(ledger, PARAMS)
    assert outcome.action == "rollback"
    entry = current(ledger)
    assert entry.change and entry.change.reason == " ".join(outcome.reasons)[:2000]


def test_a_decision_yields_to_a_person_who_was_first(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    def meanwhile(ledger: Ledger, now: datetime) -> Evidence:
        found = good(ledger, now)
        moves.adopt(ledger, current(ledger), THREE, By(moves.PERSON, "Moved."))
        return found

    reads(monkeypatch, meanwhile)
    outcome = look(ledger, PARAMS)
    assert outcome.yielded == "adopt by person via MLflow, epoch 3"
    assert "yields to adopt by person via MLflow" in outcome.lines()[0]
    assert current(ledger).state.champion == THREE.digest and ledger.looks(2) == ()


def test_a_decision_that_loses_at_the_last_moment_yields(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    bad = PairedCounts(both_right=500, only_champion=300, only_challenger=20, both_wrong=10)
    reads(monkeypatch, lambda ledger, now: good(ledger, now, paired=bad))
    real = Ledger.look

    def meanwhile(self: Ledger, kept: Any) -> bool:
        moves.adopt(self, current(self), THREE, By(moves.PERSON, "Moved."))
        return real(self, kept)

    monkeypatch.setattr(Ledger, "look", meanwhile)
    outcome = look(ledger, PARAMS)
    assert (outcome.action, outcome.yielded) == ("rollback", "adopt by person via MLflow, epoch 3")
    assert current(ledger).state.champion == THREE.digest


def test_two_looks_at_once_are_one(ledger: Ledger) -> None:
    with ledger.lease("rollout", "another look", 60), pytest.raises(LeaseHeld, match="another look"):
        look(ledger, PARAMS, wait_s=0)
    assert ledger.looks(2) == ()


def test_after_a_kill_a_look_waits_until_the_lease_is_over(
    ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> None:
    reads(monkeypatch, lambda ledger, now: good(ledger, now))
    ledger.lease("rollout", "a look that was killed", 1)
    assert look(ledger, PARAMS).action in ("advance", "wait")
    assert len(ledger.looks(2)) == 1

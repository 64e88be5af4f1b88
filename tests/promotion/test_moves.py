"""Every move on a real ledger, alone and against others."""

from collections.abc import Iterator
from itertools import pairwise

import pytest

from tests.promotion.racers import KINDS, move_first, move_often, processes
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By, Model, champions_before, previous_of

FLOW = By(moves.ROLLOUT, "Because.")
ONE, TWO, THREE, FOUR = (Model(str(n), str(n) * 64) for n in range(1, 5))


@pytest.fixture
def ledger(url: str) -> Iterator[Ledger]:
    """With version 1 as champion and version 2 on trial, epoch 2."""
    made = Ledger(url)
    first = moves.adopt(made, None, ONE, FLOW)
    moves.start(made, first, TWO, FLOW)
    yield made
    made.close()


def promoted(ledger: Ledger, *models: Model) -> None:
    for model in models:
        before = ledger.current()
        assert before
        moves.promote(ledger, moves.start(ledger, before, model, FLOW), FLOW)


def test_a_rollout_from_shadow_to_champion(ledger: Ledger) -> None:
    shadow = ledger.current()
    assert shadow and shadow.change and shadow.on
    assert (shadow.state.challenger_share, shadow.state.shadow, shadow.change.step) == (0.0, True, 0)
    first = moves.advance(ledger, shadow, 0.05, FLOW)
    second = moves.advance(ledger, first, 0.25, FLOW)
    assert second.change and (second.change.step, second.change.rollout) == (2, 2)
    assert (second.state.challenger_share, second.state.shadow) == (0.25, True)
    assert second.state.salt == shadow.state.salt  # nobody changes arms
    done = moves.promote(ledger, second, FLOW)
    assert not done.on and (done.state.champion, done.state.challenger) == (TWO.digest, None)
    assert previous_of(done) == ONE and done.change and done.change.champion_version == "2"
    again = moves.start(ledger, done, THREE, FLOW)
    assert again.state.salt != shadow.state.salt  # others are met first


@pytest.mark.parametrize("end", [moves.rollback, moves.stop])
def test_the_end_of_a_rollout_leaves_the_champion(ledger: Ledger, end: object) -> None:
    before = ledger.current()
    assert before
    entry = end(ledger, moves.advance(ledger, before, 0.05, FLOW), FLOW)  # type: ignore[operator]
    assert not entry.on and entry.state.champion == ONE.digest
    assert (entry.state.challenger, entry.state.challenger_share, entry.state.shadow) == (None, 0.0, False)


def test_rollbacks_go_further_back_and_never_to_what_was_left(ledger: Ledger) -> None:
    promoted(ledger, TWO, THREE)
    for expected in (TWO, ONE):
        before = ledger.current()
        assert before and previous_of(before) == expected
        assert moves.rollback(ledger, before, FLOW).state.champion == expected.digest
    before = ledger.current()
    assert before and previous_of(before) is None
    with pytest.raises(TicketSentimentError, match="knows no champion before version 1"):
        moves.rollback(ledger, before, FLOW)
    promoted(ledger, FOUR)
    assert champions_before(ledger.history()) == (ONE,)


def test_a_rollback_to_one_that_is_named(ledger: Ledger) -> None:
    promoted(ledger, TWO, THREE, FOUR)
    before = ledger.current()
    assert before
    entry = moves.rollback(ledger, before, FLOW, TWO)
    assert entry.state.champion == TWO.digest and previous_of(entry) == ONE
    entry = moves.rollback(ledger, moves.adopt(ledger, entry, FOUR, FLOW), FLOW)
    assert entry.state.champion == TWO.digest and previous_of(entry) == ONE


def test_adopting_ends_a_rollout_and_keeps_where_a_rollback_goes(ledger: Ledger) -> None:
    before = ledger.current()
    assert before
    entry = moves.adopt(ledger, before, THREE, FLOW)
    assert not entry.on and previous_of(entry) == ONE
    assert previous_of(moves.adopt(ledger, entry, THREE, FLOW)) == ONE


def test_what_cannot_be_is_refused(ledger: Ledger) -> None:
    before = ledger.current()
    assert before
    with pytest.raises(TicketSentimentError, match="cannot challenge itself"):
        moves.start(ledger, before, ONE, FLOW)
    ended = moves.stop(ledger, before, FLOW)
    for move in (moves.promote, moves.stop):
        with pytest.raises(
            TicketSentimentError, match="no rollout is on: the ledger has stop by rollout flow"
        ):
            move(ledger, ended, FLOW)
    with pytest.raises(TicketSentimentError, match="no rollout is on"):
        moves.advance(ledger, ended, 0.5, FLOW)
    with pytest.raises(TicketSentimentError, match="actor: expected"):
        moves.start(ledger, ended, TWO, By("", "Because."))
    assert ledger.current() == ended


def test_a_long_reason_is_cut(ledger: Ledger) -> None:
    before = ledger.current()
    assert before
    entry = moves.stop(ledger, before, By(moves.ROLLOUT, "x" * 5000))
    assert entry.change and entry.change.reason == "x" * 2000


def test_a_move_decided_before_another_names_who_was_first(ledger: Ledger) -> None:
    before = ledger.current()
    assert before
    moves.rollback(ledger, before, By("command line", "Bad."))
    for move in (moves.promote, moves.stop, moves.rollback):
        with pytest.raises(LedgerConflict, match="rollback by command line, epoch 3"):
            move(ledger, before, FLOW)


def test_of_twenty_at_once_one_is_first_and_the_others_are_told(ledger: Ledger, url: str) -> None:
    with processes(20) as pool:
        found = list(pool.map(move_first, [url] * 20, range(20)))
    (winner,) = [item for item in found if isinstance(item, int)]
    history = ledger.history()
    assert [entry.state.epoch for entry in history] == [3, 2, 1]
    assert history[0].change and history[0].change.actor == f"{KINDS[winner % 5]} {winner}"
    assert [item for item in found if not isinstance(item, int)] == [history[0].told] * 19


def test_twenty_that_go_on_make_one_linear_history(ledger: Ledger, url: str) -> None:
    with processes(20) as pool:
        won = sum(pool.map(move_often, [url] * 20, range(20)))
    history = ledger.history()
    last = history[0].state.epoch
    assert [entry.state.epoch for entry in history] == list(range(last, 0, -1))
    assert won == last - 2 and last >= 40
    for later, earlier in pairwise(history):
        assert later.state.since >= earlier.state.since and later.change
        if later.change.action == "promote":
            assert later.state.champion == earlier.state.challenger
        elif later.change.action in ("advance", "stop", "start"):
            assert later.state.champion == earlier.state.champion

import contextlib
import signal
import sqlite3
import time
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta

import pytest

from tests.events import racers
from tests.events.events import DIGEST, NOON, OTHER, change, look, prediction, state
from tests.events.racers import child, processes
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events import database
from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.types import EventStoreUnavailable


@pytest.fixture
def begun(ledger):
    """With a rollout that began at epoch 1."""
    ledger.change(state(1, 0.0), change(), 0)
    return ledger


def test_a_change_comes_back_as_it_was_made(ledger):
    assert ledger.current() is None and ledger.history(5) == ()
    entry = ledger.change(state(1, 0.0), change(), 0)
    assert entry == Entry(state(1, 0.0), replace(change(), at=entry.change.at))
    assert ledger.current() == entry and entry.on
    later = NOON + timedelta(days=1)
    promoted = replace(state(2, None), champion=OTHER, since=later)
    made = change("promote", rollout=None, at=later, previous_champion=DIGEST, previous_version="6")
    second = ledger.change(promoted, made, 1)
    assert second == Entry(promoted, made) and not second.on
    assert ledger.history(5) == (second, entry) and ledger.history(1) == (second,)


def test_services_see_the_state(begun, url, open_store):
    assert open_store(url).rollout_state() == state(1, 0.0)


def test_a_state_set_without_the_ledger_is_read_and_named(begun, url, open_store):
    store = open_store(url)
    assert store.set_rollout_state(state(2, 0.5), 1)
    current = begun.current()
    assert current == Entry(state(2, 0.5), None) and not current.on
    with pytest.raises(LedgerConflict, match="a state without a note of who set it, epoch 2"):
        begun.change(state(2, None), change("stop", rollout=None), 1)
    with pytest.raises(TicketSentimentError, match="rollout: expected 3 for a new one"):
        begun.change(state(3, 0.5), change("advance", rollout=1), 2)
    adopted = begun.change(state(3, 0.5), change("adopt", rollout=3), 2)
    assert adopted.on and [entry.change is None for entry in begun.history(9)] == [False, True, False]


def test_who_came_too_late_reads_who_was_first(begun):
    begun.change(state(2, 0.05), change("advance", rollout=1, actor="hotfix flow"), 1)
    with pytest.raises(LedgerConflict, match="has advance by hotfix flow, epoch 2:") as caught:
        begun.change(state(2, None), change("rollback", rollout=None), 1)
    assert caught.value.winner == begun.current()
    with pytest.raises(LedgerConflict, match="epoch 9"):
        begun.change(state(10, None), change("rollback", rollout=None), 9)
    with pytest.raises(TicketSentimentError, match="epoch: expected 3, one more"):
        begun.change(state(4, None), change("rollback", rollout=None), 2)


def test_a_clock_that_jumped_back_does_not_turn_the_order_round(begun):
    before = begun.change(
        replace(state(2, 0.05), since=NOON + timedelta(days=2)),
        change("advance", rollout=1, at=NOON + timedelta(days=2)), 1,
    )  # fmt: skip
    entry = begun.change(replace(state(3, 0.5), since=NOON), change("advance", rollout=1, at=NOON), 2)
    assert entry.state.since == before.state.since and entry.change.at == before.change.at
    assert begun.current() == entry


def test_what_begins_or_ends_a_rollout_has_its_own_time_also_after_a_clock_that_was_ahead(begun):
    ahead = NOON + timedelta(days=365)
    begun.change(replace(state(2, 0.05), since=ahead), change("advance", rollout=1, at=ahead), 1)
    ended = begun.change(replace(state(3, None), since=NOON), change("stop", rollout=None), 2)
    again = begun.change(replace(state(4, 0.0), since=NOON), change(rollout=4), 3)
    for entry in (ended, again):
        assert entry.state.since == NOON and entry.change.at == NOON
    assert begun.history() == tuple(sorted(begun.history(), key=lambda one: -one.state.epoch))


@pytest.mark.parametrize(
    ("new", "made", "named"),
    [
        (state(2, 0.5), change("advance", rollout=None), "rollout: expected an epoch"),
        (state(2, None), change("stop", challenger_version=None), "rollout: expected an epoch"),
        (state(2, None), change("stop", rollout=None, challenger_version="7"), "challenger_version"),
        (state(2, 0.5), change("start", rollout=1), "rollout: expected 2"),
        (state(2, 0.5), change("stop", rollout=2), "rollout: expected none"),
        (state(2, 0.5), change("advance", rollout=2), "rollout: expected the epoch at which"),
        (state(2, None), change("advance", rollout=None), "rollout: expected the epoch at which"),
        (state(2, 0.5, salt="new"), change("advance", rollout=1), "salt: expected that"),
        (replace(state(2, 0.5), challenger="c" * 64), change("advance", rollout=1), "challenger: expected"),
        (replace(state(2, 0.5), champion="c" * 64), change("adopt", rollout=1), "champion: expected that"),
        (state(2, None), change("promote", rollout=None), "champion: expected the bundle that was on trial"),
    ],
)  # fmt: skip
def test_a_change_that_does_not_fit_is_refused(begun, new, made, named):
    with pytest.raises(TicketSentimentError, match=named):
        begun.change(new, made, 1)
    assert begun.current().state.epoch == 1


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"at": datetime(2026, 11, 1)}, "at"),
        ({"action": "deploy"}, "action: expected one of start, advance"),
        ({"actor": ""}, "actor"),
        ({"reason": "a\0b"}, "reason"),
        ({"reason": "x" * 2001}, "reason"),
        ({"step": -1}, "step"),
        ({"step": True}, "step"),
        ({"rollout": 0}, "rollout"),
        ({"champion_version": None}, "champion_version"),
        ({"previous_version": None}, "previous_version"),
    ],
)
def test_a_field_that_cannot_be_is_named(changes, named):
    with pytest.raises(TicketSentimentError, match=f"rollout change: {named}"):
        change(**changes)


def test_what_only_the_database_refuses_is_an_error_for_people(postgres):
    ledger = Ledger(postgres.url())
    with pytest.raises(TicketSentimentError, match="the database refuses a field") as caught:
        ledger.change(state(1, 0.0, salt="a\0canary"), change(), 0)
    assert "canary" not in str(caught.value) and ledger.current() is None
    ledger.close()


def test_of_twenty_processes_one_wins_and_the_others_are_told_who(begun, url):
    with processes(20) as pool:
        results = list(pool.map(racers.change_first, [url] * 20, range(20)))
    (winner,) = [result for result in results if isinstance(result, int)]
    assert set(results) == {winner, f"stop by racer {winner}, epoch 2"}


def test_the_history_of_a_long_race_is_a_line(begun, url, rows):
    with processes(5) as pool:
        won = list(pool.map(racers.change_often, [url] * 5, range(5)))
    history = begun.history(100)[::-1]
    assert [entry.state.epoch for entry in history] == list(range(1, 26)) and sum(won) == 24
    assert all(entry.change.reason == f"At epoch {entry.state.epoch - 1}." for entry in history[1:])


def test_a_process_killed_between_two_writes_leaves_neither(begun, url, rows):
    killed = child("die_between_writes", url, "")
    assert killed.wait(60) == -signal.SIGKILL
    assert begun.current().state.epoch == 1
    assert rows(url, "SELECT epoch FROM rollout_states") == rows(url, "SELECT epoch FROM rollout_changes")
    begun.change(state(2, 0.5), change("advance", rollout=1), 1)


def test_what_a_killed_process_was_told_is_in_force_stays(begun, url, rows):
    writer = child("advance_for_ever", url, "")
    told = [writer.stdout.readline() for _ in range(5)]
    writer.kill()
    told += writer.stdout.read().splitlines(keepends=True)
    writer.wait()
    last = max(int(line) for line in told if line.endswith("\n"))
    assert begun.current().state.epoch >= last >= 6
    epochs = [row["epoch"] for row in rows(url, "SELECT epoch FROM rollout_changes ORDER BY epoch")]
    assert epochs == list(range(1, begun.current().state.epoch + 1))


def test_looks_are_kept_once_and_in_order(begun):
    begun.change(state(2, 0.5), change("advance", rollout=1, step=1), 1)
    seen = [look(1, 1), look(1, 2, fresh=False), look(2, 1, action="advance", at=NOON - timedelta(days=1))]
    for one in reversed(seen):
        assert begun.look(one)
        assert not begun.look(replace(one, action="rollback", reasons=("Another.",)))
    assert begun.looks(1) == tuple(seen)
    assert begun.looks(2) == ()


def test_a_look_belongs_to_a_rollout(begun):
    begun.change(state(2, None), change("stop", rollout=None), 1)
    for epoch in (2, 3):
        with pytest.raises(TicketSentimentError, match=f"no rollout was on at epoch {epoch}"):
            begun.look(look(epoch))


def test_numbers_of_guardrails_are_kept_but_none_that_is_none(begun):
    @dataclass
    class Guardrail:
        estimate: float | None
        low: float
        states: tuple[str, ...]

    given = Guardrail(0.1 + 0.2, -float("inf"), ("open",))
    assert begun.look(look(guardrails=(asdict(given),)))
    (kept,) = begun.looks(1)
    assert kept.guardrails == ({"estimate": 0.1 + 0.2, "low": None, "states": ["open"]},)
    with pytest.raises(TicketSentimentError, match=r"guardrails\[0\]\.deep\[1\]: is NaN"):
        begun.look(look(1, 2, guardrails=({"deep": [1, float("nan")]},)))
    with pytest.raises(TicketSentimentError, match=r"guardrails\[0\]\.x: expected numbers and text"):
        begun.look(look(1, 2, guardrails=({"x": object()},)))
    with pytest.raises(TicketSentimentError, match="guardrails: expected plain text"):
        begun.look(look(1, 2, guardrails=({"x": "half \ud83d"},)))
    assert len(begun.looks(1)) == 1


def test_a_look_that_cannot_be_is_refused():
    for bad in ({"epoch": 0}, {"number": True}, {"at": datetime(2026, 1, 1)}, {"reasons": ("a\0",)}):
        with pytest.raises(TicketSentimentError, match="rollout look"):
            look(**bad)


def test_a_database_that_is_away_is_one_error_and_comes_back(postgres, caplog):
    ledger = Ledger(postgres.url())
    start = ledger.current()
    epoch = start.state.epoch if start else 0
    lease = ledger.lease("away", "me", 60)
    postgres.stop()
    try:
        calls = [
            ledger.current, lambda: ledger.history(3), lambda: ledger.looks(1), lambda: ledger.look(look()),
            lambda: ledger.lease("x", "me", 60), lease.renew, lease.release,
            lambda: ledger.change(state(epoch + 1, None), change("adopt", rollout=None), epoch),
        ]  # fmt: skip
        for call in calls:
            with pytest.raises(EventStoreUnavailable, match="does not answer") as caught:
                call()
            assert postgres.PASSWORD not in str(caught.value)
        with lease:
            pass  # what was done under it is done: that it cannot be given back is a warning
        assert "the lease ends by itself" in caplog.text and postgres.PASSWORD not in caplog.text
    finally:
        postgres.start()
    deadline = time.monotonic() + 20  # it listens some moments before it answers
    while not ledger.database.ready and time.monotonic() < deadline:
        with contextlib.suppress(EventStoreUnavailable):
            ledger.current()
    assert ledger.current() == start
    lease.renew()
    ledger.close()


def test_a_locked_file_is_one_error_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(database, "WAIT_S", 0.3)
    ledger = Ledger(f"sqlite:///{tmp_path}/e.db")
    other = sqlite3.connect(tmp_path / "e.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    assert ledger.current() is None, "reading waits for no writer"
    with pytest.raises(EventStoreUnavailable, match="SQLITE_BUSY"):
        ledger.change(state(1, None), change("adopt", rollout=None), 0)
    other.execute("ROLLBACK")
    ledger.change(state(1, None), change("adopt", rollout=None), 0)
    ledger.close()


def test_it_opens_the_database_of_params(tmp_path):
    settings = params_of_tests().events
    ledger = Ledger.open(settings, {settings.url_env: f"sqlite:///{tmp_path}/var/e.db"})
    assert ledger.current() is None and (tmp_path / "var/e.db").exists()
    ledger.close()


def test_the_challenger_s_events_are_counted_in_the_database(begun, url, open_store, rows):
    store = open_store(url)
    for shadow, arm in ((True, "challenger"), (False, "challenger"), (False, "champion")):
        store.predicted(prediction(epoch=1, arm=arm, shadow=shadow))
    store.predicted(prediction(epoch=0))
    assert store.flush(10)
    begun.look(look())
    assert rows(url, "SELECT heard FROM rollout_looks") == [{"heard": 2}]

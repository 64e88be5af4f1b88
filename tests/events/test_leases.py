import threading
import time
from datetime import timedelta

import pytest

from tests.events import racers
from tests.events.events import change, state
from tests.events.racers import child, processes
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events import leases
from ticket_sentiment.events.leases import LeaseHeld, LeaseLost
from ticket_sentiment.events.ledger import Ledger


def let_it_end(ledger: Ledger) -> None:
    """As if its time were over."""
    with ledger.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE leases SET expires_at = '2001-01-01 00:00:00'")


def test_one_holds_it_until_it_gives_it_back(ledger):
    with ledger.lease("rollout", "first", 60) as first:
        with pytest.raises(LeaseHeld, match=r"lease rollout: held by first for another (59|60) s") as caught:
            ledger.lease("rollout", "second", 60)
        assert caught.value.holder == "first"
        assert ledger.lease("another", "second", 60).token == 1
    with ledger.lease("rollout", "second", 60) as second:
        assert (first.token, second.token) == (1, 2)


def test_it_is_given_back_after_an_error_too(ledger):
    with pytest.raises(ValueError, match="of the work"), ledger.lease("rollout", "first", 60):
        raise ValueError("of the work")
    ledger.lease("rollout", "second", 60)


def test_a_holder_that_was_late_is_told_and_does_no_harm(ledger):
    ledger.change(state(1, 0.0), change(), 0)
    late = ledger.lease("rollout", "late", 60)
    let_it_end(ledger)
    new = ledger.lease("rollout", "new", 60)
    assert new.token > late.token
    with pytest.raises(LeaseLost, match=r"late has lost it \(new has it now\)"):
        late.renew()
    with pytest.raises(LeaseLost):
        ledger.change(state(2, 0.5), change("advance", rollout=1), 1, late)
    assert ledger.current().state.epoch == 1, "nothing of it was written"
    late.release()
    ledger.change(state(2, 0.5), change("advance", rollout=1), 1, new)
    new.release()
    with pytest.raises(LeaseLost, match="nobody has it now"):
        ledger.change(state(3, 0.5), change("advance", rollout=1), 2, new)


def test_two_of_one_name_are_not_taken_for_one(ledger):
    first = ledger.lease("rollout", "rollout flow", 60)
    let_it_end(ledger)
    second = ledger.lease("rollout", "rollout flow", 60)
    with pytest.raises(LeaseLost):
        first.renew()
    first.release()
    second.renew()


def test_renewing_makes_it_last(ledger):
    lease = ledger.lease("rollout", "first", 60)
    let_it_end(ledger)
    lease.renew()  # nobody took it meanwhile
    with pytest.raises(LeaseHeld):
        ledger.lease("rollout", "second", 60)


def test_it_ends_by_itself_by_the_database_s_clock(ledger, monkeypatch):
    class Wrong(leases.datetime):
        @classmethod
        def now(cls, tz=None):
            return super().now(tz) + timedelta(days=3650)

    monkeypatch.setattr(leases, "datetime", Wrong)
    ledger.lease("rollout", "first", 0.6)
    with pytest.raises(LeaseHeld):
        ledger.lease("rollout", "second", 60)
    time.sleep(0.7)
    assert ledger.lease("rollout", "second", 60).token == 2


def test_one_that_a_clock_set_back_makes_last_for_long_is_free(ledger, monkeypatch):
    real = leases.clock
    with monkeypatch.context() as patch:
        patch.setattr(leases, "clock", lambda connection: real(connection) + timedelta(hours=3))
        killed = ledger.lease("rollout", "killed", 60)
    assert ledger.lease("rollout", "second", 60).token == 2
    with pytest.raises(LeaseLost):
        killed.renew()
    ledger.lease("patient", "first", 300)
    with pytest.raises(LeaseHeld):
        ledger.lease("patient", "second", 60)


def test_of_twenty_processes_one_gets_it(ledger, url):
    with processes(20) as pool:
        tokens = list(pool.map(racers.hold, [url] * 20, range(20)))
    assert sorted(tokens, key=str) == [1] + [None] * 19


def test_after_a_kill_another_gets_it_when_it_ended(ledger, url):
    holder = child("hold_for_ever", url, "3")
    assert holder.stdout.readline() == "held\n"
    got = time.monotonic()
    holder.kill()
    holder.wait()
    with pytest.raises(LeaseHeld, match="held by the one that is killed"):
        ledger.lease("rollout", "second", 60)
    while True:
        try:
            assert ledger.lease("rollout", "second", 60).token == 2
            break
        except LeaseHeld:
            time.sleep(0.1)
    assert 1.5 < time.monotonic() - got < 10


@pytest.mark.parametrize("bad", [("", "me", 1), ("x", "", 1), ("x", "m\0", 1), ("x" * 201, "me", 1)])
def test_a_name_that_is_none_is_refused(ledger, bad):
    with pytest.raises(TicketSentimentError, match=r"lease: (name|holder)"):
        ledger.lease(*bad)


@pytest.mark.parametrize("seconds", [0, -1, float("nan"), float("inf"), 1e9])
def test_a_time_that_is_none_is_refused(ledger, seconds):
    with pytest.raises(TicketSentimentError, match="lease: seconds"):
        ledger.lease("x", "me", seconds)


def test_a_take_over_waits_for_the_change_that_is_being_made(url, ledger):
    """On PostgreSQL the row is locked, on SQLite all is: who checked its token cannot lose it in between."""
    held = ledger.lease("rollout", "first", 60)
    let_it_end(ledger)
    other = Ledger(url)
    order = []
    with ledger.database.writing("") as connection:
        held.require(connection)
        thread = threading.Thread(
            target=lambda: (other.lease("rollout", "second", 60), order.append("taken over"))
        )
        thread.start()
        thread.join(0.5)
        order.append("changed")
    thread.join(10)
    assert order == ["changed", "taken over"]
    other.close()

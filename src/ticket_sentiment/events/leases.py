"""One holder at a time, by the event database: a lease with an end, and a token that tells a late holder off.

A process that was stopped for longer than its lease (SIGSTOP, a long collection of garbage) goes on as if
nothing had been. So whoever takes a lease over gets a greater token, and what the late one writes is refused
by its smaller one, in the same transaction: the fencing token of Kleppmann, "How to do distributed locking"
(2016). The end is measured by the database's own clock: those of the machines may differ.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import TracebackType
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.access import Database, clock
from ticket_sentiment.events.schema import leases
from ticket_sentiment.events.types import MAX_IDENTIFIER, EventStoreUnavailable, storable

logger = logging.getLogger(__name__)

MAX_SECONDS = 7 * 86_400.0
# All who take one name ask for about the same time, so one that lasts this many times longer than the taker's
# was got before the clock was set back, and would last as long as the jump. Its holder, if it lives, is told
# off by its token.
_TOO_LONG = 10
_NOBODY = ""


class LeaseHeld(TicketSentimentError):
    """Another has the lease.

    Attributes:
        holder: who.
    """

    def __init__(self, name: str, holder: str, seconds: float) -> None:
        self.holder = holder
        super().__init__(
            f"lease {name}: held by {holder} for another {seconds:.0f} s, unless it gives it back: "
            "try again then"
        )


class LeaseLost(TicketSentimentError):
    """The lease ended and another took it, or it was given back: stop what was done under it."""


@dataclass(frozen=True, slots=True)
class Lease:
    """A lease that was got; a context manager that gives it back.

    Attributes:
        name: of what is held.
        holder: who holds it, for people; that two are not the same the token says.
        token: greater than that of every holder before.
        seconds: that it lasts from when it was got or renewed.
    """

    database: Database
    name: str
    holder: str
    token: int
    seconds: float

    def renew(self) -> None:
        """Let it last `seconds` from now. One that ended may be renewed as long as nobody took it.

        Raises:
            LeaseLost: somebody did, or it was given back.
            EventStoreUnavailable: the database does not answer; it lasts as long as it did.
        """
        with self.database.writing("the lease is not renewed") as connection:
            self.require(connection)
            end = clock(connection) + timedelta(seconds=self.seconds)
            connection.execute(sa.update(leases).where(leases.c.name == self.name).values(expires_at=end))

    def require(self, connection: sa.Connection) -> None:
        """Make sure, until the transaction ends, that nobody else has it.

        Raises:
            LeaseLost: somebody has, or it was given back.
        """
        row = _locked(connection, self.name)
        if row is None or (row["token"], row["holder"]) != (self.token, self.holder):
            now = row["holder"] if row and row["holder"] else "nobody"
            raise LeaseLost(
                f"lease {self.name}: {self.holder} has lost it ({now} has it now): what it was about to do "
                "was not done"
            )

    def release(self) -> None:
        """Give it back. One that was lost is left to who has it.

        Raises:
            EventStoreUnavailable: the database does not answer; the lease ends by itself.
        """
        mine = (
            (leases.c.name == self.name) & (leases.c.token == self.token) & (leases.c.holder == self.holder)
        )
        with self.database.writing("the lease ends by itself") as connection:
            connection.execute(sa.update(leases).where(mine).values(holder=_NOBODY))

    def __enter__(self) -> "Lease":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.release()
        except EventStoreUnavailable as away:  # what was done under it is done
            logger.warning("lease %s: %s", self.name, away)


def take(database: Database, name: str, holder: str, seconds: float) -> Lease:
    """Get a lease that nobody holds, or whose holder let it end, or that a clock set back would make endless.

    Raises:
        LeaseHeld: another has it.
        EventStoreUnavailable: the database does not answer; if it was got all the same, it ends by itself.
        TicketSentimentError: a name is empty or too long, or the time is none.
    """
    for key, value in (("name", name), ("holder", holder)):
        if not 0 < len(value) <= MAX_IDENTIFIER or not storable(value):
            raise TicketSentimentError(
                f"lease: {key}: expected 1 to {MAX_IDENTIFIER} characters of plain text"
            )
    if not 0 < seconds <= MAX_SECONDS:  # also refuses NaN
        raise TicketSentimentError(f"lease: seconds: expected a time above 0 and up to {MAX_SECONDS:.0f} s")
    never = datetime(2000, 1, 1, tzinfo=UTC)
    free = {"name": name, "holder": _NOBODY, "token": 0, "expires_at": never}
    with database.writing("the lease is not known to be got") as connection:
        connection.execute(database.insert(leases).on_conflict_do_nothing(), free)
        row = _locked(connection, name)
        assert row is not None
        now = clock(connection)
        left = (row["expires_at"] - now).total_seconds()
        if row["holder"] and 0 < left <= _TOO_LONG * seconds:
            raise LeaseHeld(name, row["holder"], left)
        values = {"holder": holder, "token": row["token"] + 1, "expires_at": now + timedelta(seconds=seconds)}
        connection.execute(sa.update(leases).where(leases.c.name == name).values(values))
    return Lease(database, name, holder, row["token"] + 1, seconds)


def _locked(connection: sa.Connection, name: str) -> Mapping[str, Any] | None:
    """A lease's row, which no other transaction can change until this one ends (on SQLite: none at all)."""
    query = sa.select(leases).where(leases.c.name == name).with_for_update()
    return connection.execute(query).mappings().first()

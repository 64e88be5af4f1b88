"""The ledger of rollouts: who serves what since when, who decided it and why.

The event database is the truth about that; aliases in the registry and running services follow it. A change
is one transaction: the state that services poll, and the row that says who made it and why. It is refused
when another came first (compare-and-swap by the epoch).
"""

import json
import os
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from datetime import UTC, datetime
from itertools import takewhile
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ticket_sentiment.errors import TicketSentimentError, reason
from ticket_sentiment.events import schema
from ticket_sentiment.events.access import Database, clock, url_of
from ticket_sentiment.events.changes import Change, Entry, LedgerConflict, Look, following
from ticket_sentiment.events.leases import Lease, LeaseHeld, take
from ticket_sentiment.params import Events
from ticket_sentiment.rollout.assignment import Arm
from ticket_sentiment.rollout.state import RolloutState

_states, _changes, _looks = schema.rollout_states, schema.rollout_changes, schema.rollout_looks
_STATE = [field.name for field in fields(RolloutState)]
_LOOK = ("epoch", "number", "at", "action", "fresh", "silent")
_CHANGE = [field.name for field in fields(Change)]


class Ledger:
    """One process's access to the ledger. Waits for the database, at most for some seconds each call."""

    def __init__(self, url: str) -> None:
        """Open the event database.

        Args:
            url: see `database.open_engine`.

        Raises:
            TicketSentimentError: the URL is wrong, the file cannot be opened, or the schema cannot be made.
                A server that is away is no error yet.
        """
        self.database = Database(url)

    @classmethod
    def open(cls, settings: Events, environ: Mapping[str, str] = os.environ) -> "Ledger":
        """The ledger of params.yaml's `events`; the variable that `url_env` names goes before `url`.

        Raises:
            TicketSentimentError: as the constructor.
        """
        return cls(url_of(settings, environ))

    def close(self) -> None:
        """Disconnect."""
        self.database.close()

    def current(self) -> Entry | None:
        """The state in force and why; None when none was ever set.

        Raises:
            EventStoreUnavailable: the database does not answer.
            TicketSentimentError: a row does not make a valid state or change.
        """
        found = self.history(1)
        return found[0] if found else None

    def now(self) -> datetime:
        """The database's time: one clock for all machines that decide.

        Raises:
            EventStoreUnavailable: the database does not answer.
        """
        with self.database.reading("the time is unknown") as connection:
            return clock(connection).astimezone(UTC)

    def history(self, limit: int | None = None) -> tuple[Entry, ...]:
        """The latest entries, or all, the one in force first.

        Raises:
            EventStoreUnavailable: the database does not answer.
            TicketSentimentError: a row does not make a valid state or change.
        """
        with self.database.reading("the ledger is unknown") as connection:
            return entries(connection, limit)

    def change(
        self, new_state: RolloutState, change: Change, expected_epoch: int, lease: Lease | None = None
    ) -> Entry:
        """Put a new state in force, if the current epoch is `expected_epoch` (0: none was ever set).

        Args:
            new_state: with the next epoch.
            change: who makes it and why. Within a rollout its time and the state's are moved up to those
                of the state before.
            expected_epoch: at which it was decided.
            lease: under which it is made.

        Returns:
            The entry as it was stored.

        Raises:
            LedgerConflict: another change came first; it says which.
            LeaseLost: another has the lease.
            EventStoreUnavailable: the database does not answer; read the ledger before trying again, the
                change may have been made.
            TicketSentimentError: the change does not fit its state, or what was before.
        """
        if new_state.epoch != expected_epoch + 1:
            raise TicketSentimentError(
                f"rollout change: epoch: expected {expected_epoch + 1}, one more than the one it was decided "
                f"at; not {new_state.epoch}"
            )
        try:
            with self.database.writing("the change is not known to be made") as connection:
                if lease is not None:
                    lease.require(connection)
                before = next(iter(entries(connection, 1)), None)
                if (before.state.epoch if before else 0) != expected_epoch:
                    raise LedgerConflict(expected_epoch, before)
                entry = following(before, new_state, change)
                assert entry.change is not None
                connection.execute(_states.insert(), asdict(entry.state))
                connection.execute(_changes.insert(), {"epoch": new_state.epoch, **asdict(entry.change)})
        except IntegrityError:  # PostgreSQL lets both read; the key lets one write
            raise LedgerConflict(expected_epoch, self.current()) from None
        except SQLAlchemyError as error:
            raise TicketSentimentError(
                f"rollout change: the database refuses a field ({reason(error)}): use plain text and times"
            ) from None
        return entry

    def look(self, look: Look) -> bool:
        """Keep a look at the evidence; the first with an epoch and number counts.

        Returns:
            False when there was one before.

        Raises:
            EventStoreUnavailable: the database does not answer; it may be sent again.
            TicketSentimentError: there is no change of that epoch, or a guardrail is NaN.
        """
        row = {
            **{key: getattr(look, key) for key in _LOOK},
            "reasons": look.reasons_json(),
            "guardrails": look.guardrails_json(),
        }
        began = sa.select(_changes.c.rollout).where(_changes.c.epoch == look.epoch)
        with self.database.writing("the look is not known to be kept") as connection:
            rollout = connection.scalar(began)
            if rollout is None:
                raise TicketSentimentError(
                    f"rollout look: epoch: no rollout was on at epoch {look.epoch}; look at one that is"
                )
            row["heard"] = heard(connection, "challenger", rollout, look.epoch)
            row["champion_heard"] = heard(connection, "champion", rollout, look.epoch)
            insert = self.database.insert(_looks).on_conflict_do_nothing().returning(_looks.c.number)
            return connection.execute(insert, row).first() is not None

    def looks(self, rollout: int) -> tuple[Look, ...]:
        """All looks of the rollout that began at an epoch, in order; infinite numbers come back as None.

        Raises:
            EventStoreUnavailable: the database does not answer.
        """
        query = (
            sa.select(_looks)
            .join(_changes, _changes.c.epoch == _looks.c.epoch)
            .where(_changes.c.rollout == rollout)
            .order_by(_looks.c.epoch, _looks.c.number)
        )
        with self.database.reading("the looks are unknown") as connection:
            rows = connection.execute(query).mappings().all()
        return tuple(_look(row) for row in rows)

    def lease(self, name: str, holder: str, seconds: float, wait_s: float = 0.0) -> Lease:
        """Get what one at a time may hold: `with ledger.lease("rollout", "rollout flow", 600) as lease:`.

        Args:
            name: of what is held.
            holder: who, for the error that another gets.
            seconds: until another may take it, unless it is renewed.
            wait_s: how long to wait for another who has it.

        Raises:
            LeaseHeld: another has it.
            EventStoreUnavailable: the database does not answer.
            TicketSentimentError: a name is empty or too long, or the time is none.
        """
        until = time.monotonic() + wait_s
        while True:
            try:
                return take(self.database, name, holder, seconds)
            except LeaseHeld:
                if time.monotonic() >= until:
                    raise
            time.sleep(min(0.5, seconds / 4))


def entries(connection: sa.Connection, limit: int | None, first: int = 1) -> tuple[Entry, ...]:
    """Entries from an epoch on, the latest first, at most `limit` of them.

    Raises:
        TicketSentimentError: a row does not make a valid state or change.
    """
    changes = [column.label(f"change_{column.name}") for column in _changes.columns]
    query = (
        sa.select(_states, *changes)
        .join(_changes, _changes.c.epoch == _states.c.epoch, isouter=True)
        .where(_states.c.epoch >= first)
        .order_by(_states.c.epoch.desc())
        .limit(limit)
    )
    return tuple(_entry(row) for row in connection.execute(query).mappings())


def _entry(row: Mapping[str, Any]) -> Entry:
    state = RolloutState(**{name: row[name] for name in _STATE})
    if row["change_epoch"] is None:
        return Entry(state, None)
    return Entry(state, Change(**{name: row[f"change_{name}"] for name in _CHANGE}))


def _look(row: Mapping[str, Any]) -> Look:
    plain = {key: row[key] for key in _LOOK} | {"silent": bool(row["silent"])}
    return Look(
        **plain, reasons=tuple(json.loads(row["reasons"])), guardrails=tuple(json.loads(row["guardrails"]))
    )


def missed_in_a_row(looks: Iterable[Any]) -> int:
    """At how many of the last looks the challenger was missed; those at which nobody was heard do not count.

    Args:
        looks: or their rows, the latest first.
    """
    telling = (look for look in looks if not look.silent)
    return sum(1 for _ in takewhile(lambda look: not look.fresh, telling))


def heard(connection: sa.Connection, arm: Arm, first: int, last: int) -> int:
    """How often an arm was heard in these epochs: answers, unseen ones, failures.

    A growing count says that it was heard since, whatever the clocks of those who wrote and of who looks.
    """
    total = 0
    for table in (schema.predictions, schema.failures):
        query = sa.select(sa.func.count()).where(table.c.epoch.between(first, last), table.c.arm == arm)
        total += connection.scalar(query) or 0
    return total

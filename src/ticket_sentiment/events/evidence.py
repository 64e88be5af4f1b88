"""From the event database to the counts that a rollout is decided by (rollout/evidence.py says which).

The database sums. Into this process come some numbers for each epoch and arm, and ticket ids, a few thousand
at a time, of which those of the audit go into a temporary table. All is read as of one moment.

What counts:

- Requests of this rollout to services that held both bundles (`unit` is set then), by the epoch and arm that
  they met. A ticket that was asked twice counts with the first answer that an arm gave it.
- Errors and slow answers among the requests that the model had to answer: an answer from the cache says
  nothing of it, and the cache of an arm with a small share is colder. What missed its deadline was slow, too.
- A label counts for the answers that it came after; of several the latest (ties as of `EventStore.feedback`).
- A pair is a ticket that both models scored, not from the cache; of a customer one in `pair_hours`.
- Only labels of the audit (`rollout.audit_source`). Agents, customers and corrections of a hotfix speak up
  where a model is wrong: their tickets are no draw, and among them a worse challenger can look better.
- A ticket that the challenger's model failed on unseen is in no pair, so those are counted by themselves.
"""

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise, takewhile
from typing import Any, TypeVar

import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events import evidence_queries as queries
from ticket_sentiment.events import schema
from ticket_sentiment.events.access import INSERT
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger, entries, heard, missed_in_a_row
from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout.assignment import ARMS, Arm
from ticket_sentiment.rollout.audit import audited
from ticket_sentiment.rollout.evidence import (
    METRICS,
    ByArm,
    Coverage,
    CrossSums,
    EpochEvidence,
    Evidence,
    FirstLabels,
    Overlap,
    PairedCounts,
    UnitSums,
    Unseen,
)

T = TypeVar("T")

_CHUNK = 5000  # ticket ids


def read_evidence(
    ledger: Ledger,
    settings: Rollout,
    objective_ms: float,
    now: datetime,
    rollout: int | None = None,
) -> Evidence:
    """What is known of the rollout that is on, or of an earlier one. It changes nothing, holds up no service.

    Args:
        ledger: of the event database.
        settings: of params.yaml.
        objective_ms: `serve.objective_ms`; an answer that took longer is slow.
        now: with a time zone. Of tickets answered less than `maturity_hours` before it no label counts, and
            none that came after it: so a rollout that ended says what it said then.
        rollout: the epoch at which an earlier one began; None for the one that is on.

    Raises:
        EventStoreUnavailable: the database does not answer.
        TicketSentimentError: there is no such rollout in the ledger, or the rows make counts that cannot be.
    """
    if now.utcoffset() is None:
        raise TicketSentimentError("rollout evidence: now: expected a time with a time zone")
    with ledger.database.counting("the evidence is unknown") as connection:
        reading = _Reading(connection, _of_rollout(connection, rollout), settings, now)
        return reading.evidence(objective_ms)


def rollout_began(connection: sa.Connection) -> datetime | None:
    """Since when tickets count for the rollout that is on; None where none is."""
    current = next(iter(entries(connection, 1)), None)
    if current is None or current.change is None or not current.on:
        return None
    return _of_rollout(connection, current.change.rollout)[0].state.since


def _of_rollout(connection: sa.Connection, began: int | None) -> tuple[Entry, ...]:
    """The entries of a rollout, in order."""
    if began is None:
        current = next(iter(entries(connection, 1)), None)
        if current is None or not current.on:
            found = current.told if current else "no state at all"
            raise TicketSentimentError(
                f"rollout evidence: no rollout is on that the ledger knows ({found}): start one, or adopt it"
            )
        assert current.change is not None and current.change.rollout is not None
        began = current.change.rollout
    since = entries(connection, None, first=began)[::-1]
    of_it = tuple(entry for entry in since if entry.change is not None and entry.change.rollout == began)
    if not of_it:
        raise TicketSentimentError(f"rollout evidence: no rollout began at epoch {began}")
    return of_it


class _Reading:
    """One reading, in one transaction that is never committed."""

    def __init__(
        self, connection: sa.Connection, rollout: Sequence[Entry], settings: Rollout, now: datetime
    ) -> None:
        self._connection, self._rollout, self._settings, self._now = connection, rollout, settings, now
        self._first, self._last = rollout[0].state.epoch, rollout[-1].state.epoch
        self._ramp = [entry.state for entry in rollout if 0 < entry.state.challenger_share < 1]
        self._ramp_epochs = [state.epoch for state in self._ramp]
        self._mature_before = now - timedelta(hours=settings.maturity_hours)

    def evidence(self, objective_ms: float) -> Evidence:
        """All of it."""
        state, change = self._rollout[-1].state, self._rollout[-1].change
        assert change is not None and state.challenger is not None
        this_step = takewhile(
            lambda entry: entry.change is not None and entry.change.step == change.step,
            reversed(self._rollout),
        )
        self._fill(objective_ms)
        missed_looks, silent = self._unheard()
        return Evidence(
            at=self._now,
            epoch=state.epoch,
            champion=state.champion,
            challenger=state.challenger,
            hotfix=change.hotfix,
            rollout_since=self._rollout[0].state.since,
            step=change.step,
            step_since=[*this_step][-1].state.since,
            paired=self._paired(),
            epochs=self._epochs(),
            overlaps=self._overlaps(),
            coverage=self._coverage(),
            missed_looks=missed_looks,
            silent=silent,
            unseen=Unseen(*self._rows(queries.unseen(self._first, self._last))[0]),
        )

    def _fill(self, objective_ms: float) -> None:
        """Make the temporary tables."""
        for table in queries.TABLES:
            table.create(self._connection)
        self._draw_audit()
        self._insert(queries.LABELS, queries.label_rows(self._settings.audit_source, self._now))
        maturity_s = 3600 * self._settings.maturity_hours
        answers = queries.answer_rows(
            self._first, self._last, self._mature_before, maturity_s, self._settings.audit_source
        )
        self._insert(queries.ANSWERS, answers)
        self._insert(queries.CELLS, queries.cell_rows(self._ramp_epochs, objective_ms))

    def _draw_audit(self) -> None:
        salt, share = self._settings.audit_salt, self._settings.audit_share
        query = queries.ticket_rows(self._first, self._last, self._mature_before)
        insert = INSERT[self._connection.dialect.name](queries.AUDIT).on_conflict_do_nothing()
        result = self._connection.execute(query.execution_options(yield_per=_CHUNK))
        for chunk in result.scalars().partitions():
            drawn = [{"ticket_id": ticket_id} for ticket_id in chunk if audited(ticket_id, salt, share)]
            if drawn:
                self._connection.execute(insert, drawn)
        self._analyze(queries.AUDIT)

    def _insert(self, table: sa.Table, rows: sa.SelectBase) -> None:
        names = [column.name for column in rows.selected_columns]
        self._connection.execute(table.insert().from_select(names, rows))
        self._analyze(table)

    def _analyze(self, table: sa.Table) -> None:
        """Tell PostgreSQL how large a temporary table is; nobody else does, and it plans by that."""
        if self._connection.dialect.name == "postgresql":
            self._connection.exec_driver_sql(f"ANALYZE {table.name}")

    def _rows(self, query: sa.Select[Any]) -> list[Any]:
        """A few rows. PostgreSQL's sums of whole numbers come as decimals."""
        rows = self._connection.execute(query).all()
        return [tuple(int(item) if isinstance(item, Decimal) else item for item in row) for row in rows]

    def _paired(self) -> PairedCounts:
        hours = self._settings.pair_hours
        found = queries.pairs(self._first, self._last, self._mature_before, hours)
        counts = {(bool(a), bool(b)): count for a, b, count in self._rows(found)}
        return PairedCounts(
            both_right=counts.get((True, True), 0),
            only_champion=counts.get((True, False), 0),
            only_challenger=counts.get((False, True), 0),
            both_wrong=counts.get((False, False), 0),
        )

    def _epochs(self) -> tuple[EpochEvidence, ...]:
        sums = {row[:3]: UnitSums(*row[3:]) for row in self._rows(queries.sums())}
        exposed = {row[:2]: row[2] for row in self._rows(queries.first_exposures(self._ramp_epochs))}
        firsts = {
            row[:2]: FirstLabels(*row[2:]) for row in self._rows(queries.first_labels(self._ramp_epochs))
        }

        def by_arm(found: Callable[[Arm], T]) -> ByArm[T]:
            return ByArm(*(found(arm) for arm in ARMS))

        def metric(name: str, epoch: int) -> ByArm[UnitSums]:
            return by_arm(lambda arm: sums.get((name, epoch, arm), UnitSums()))

        return tuple(
            EpochEvidence(
                epoch=epoch,
                share=state.challenger_share,
                began=state.since,
                exposures=by_arm(lambda arm: exposed.get((epoch, arm), 0)),  # noqa: B023
                first_labels=by_arm(lambda arm: firsts.get((epoch, arm), FirstLabels())),  # noqa: B023
                **{name: metric(name, epoch) for name in METRICS},
            )
            for epoch, state in zip(self._ramp_epochs, self._ramp, strict=True)
        )

    def _overlaps(self) -> tuple[Overlap, ...]:
        found: dict[tuple[int, int, Arm, Arm], dict[str, CrossSums]] = {}
        for name, earlier, arm, later, later_arm, *sums in self._rows(queries.cross_sums()):
            found.setdefault((earlier, later, arm, later_arm), {})[name] = CrossSums(*sums)
        return tuple(Overlap(*key, **found[key]) for key in sorted(found))

    def _coverage(self) -> ByArm[Coverage]:
        found = {arm: Coverage(*counts) for arm, *counts in self._rows(queries.coverage())}
        return ByArm(*(found.get(arm, Coverage()) for arm in ARMS))

    def _unheard(self) -> tuple[int, timedelta | None]:
        """Looks in a row that missed the challenger, this one included; and for how long nobody was heard.

        Each ticket is scored by both, so the challenger is missed where only the champion was heard since the
        last look. Where neither was there is nothing to miss: no ticket came, or no event got here.
        """
        looks = schema.rollout_looks.c
        query = (
            sa.select(looks.at, looks.fresh, looks.silent, looks.heard, looks.champion_heard)
            .where(looks.epoch.between(self._first, self._last))
            .order_by(looks.epoch.desc(), looks.number.desc())
        )
        before = self._connection.execute(query).all()

        def news(arm: Arm, known: int | None) -> bool:
            return heard(self._connection, arm, self._first, self._last) > (known or 0)

        if news("challenger", before[0].heard if before else 0):
            return 0, None
        missed = missed_in_a_row(before)
        if news("champion", before[0].champion_heard if before else 0):
            return missed + 1, None
        quiet = [*takewhile(lambda look: look.silent, before)]
        since = before[len(quiet)].at if len(quiet) < len(before) else self._rollout[0].state.since
        moments = [since, *(look.at for look in reversed(quiet)), self._now]
        return missed, watched_time(moments, self._settings.max_look_gap_hours)


def watched_time(moments: Sequence[datetime], max_gap_hours: float) -> timedelta:
    """The time from the first moment to the last, no later than it was watched for.

    A clock that jumps forward makes a time look long. Looks come every some minutes, so of a longer time
    without one only `max_gap_hours` count.
    """
    longest, none = timedelta(hours=max_gap_hours), timedelta(0)
    return sum((min(max(later - earlier, none), longest) for earlier, later in pairwise(moments)), none)

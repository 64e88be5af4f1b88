"""The SQL of the evidence: temporary tables, what fills them, and what is read of them.

The statements are those that SQLite and PostgreSQL share. A temporary table lasts as long as the transaction
that made it, which is never committed.
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.events.schema import UtcTime, exposures, failures, feedback, predictions
from ticket_sentiment.events.types import UNSEEN

_metadata = sa.MetaData()


def _temporary(name: str, *columns: sa.Column[Any]) -> sa.Table:
    return sa.Table(f"evidence_{name}", _metadata, *columns, prefixes=["TEMPORARY"])


# The tickets of the audit that were answered long enough ago.
AUDIT = _temporary("audit", sa.Column("ticket_id", sa.Text, primary_key=True))

# Their latest labels of the audit.
LABELS = _temporary(
    "labels",
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("label", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

# The first answer that each arm gave to each of them.
ANSWERS = _temporary(
    "answers",
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("correct", sa.Integer),  # 1 or 0; null without a label
    sa.Column("observed", sa.Double),  # second since 1970 from which a look finds it labelled and mature
)

# A unit's requests `n` and bad outcomes `y` in an epoch and arm, by metric.
CELLS = _temporary(
    "cells",
    sa.Column("metric", sa.Text, primary_key=True),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("epoch", sa.BigInteger, primary_key=True),
    sa.Column("arm", sa.Text, primary_key=True),
    sa.Column("n", sa.BigInteger, nullable=False),
    sa.Column("y", sa.BigInteger, nullable=False),
)

TABLES = (AUDIT, LABELS, ANSWERS, CELLS)


def _one_if(condition: sa.ColumnElement[bool]) -> sa.Case[int]:
    return sa.case((condition, 1), else_=0)


def _second(column: sa.ColumnElement[datetime]) -> sa.ColumnElement[float]:
    """Whole seconds since 1970: what both databases can add to."""
    return sa.func.floor(sa.extract("epoch", column))


def _seen(table: sa.FromClause) -> sa.ColumnElement[bool]:
    """An answer that went out, of a service that held both bundles."""
    return table.c.shadow.is_(False) & table.c.unit.is_not(None)


def ticket_rows(first: int, last: int, before: datetime) -> sa.Select[Any]:
    """The tickets that were answered before a time in these epochs, as often as they were."""
    p = predictions
    return sa.select(p.c.ticket_id).where(
        p.c.epoch.between(first, last), p.c.at <= before, _seen(p), p.c.ticket_id.is_not(None)
    )


def label_rows(source: str, now: datetime) -> sa.Select[Any]:
    """For LABELS: those of one source that were here at a time; ties as of EventStore.feedback."""
    f = feedback
    place = sa.func.row_number().over(
        partition_by=f.c.ticket_id, order_by=(f.c.at.desc(), f.c.event_id.desc())
    )
    labels = (
        sa.select(f.c.ticket_id, f.c.label, f.c.at, place.label("place"))
        .join(AUDIT, AUDIT.c.ticket_id == f.c.ticket_id)
        .where(f.c.source == source, f.c.received_at <= now)
        .subquery()
    )
    return sa.select(labels.c.ticket_id, labels.c.label, labels.c.at).where(labels.c.place == 1)


def answer_rows(first: int, last: int, before: datetime, maturity_s: float, source: str) -> sa.Select[Any]:
    """For ANSWERS: of these epochs, given before a time; a label before the answer is none.

    Needs LABELS, made of the same source.
    """
    p = predictions
    place = sa.func.row_number().over(
        partition_by=(p.c.ticket_id, p.c.arm), order_by=(p.c.at, p.c.writer, p.c.sequence)
    )
    served = (
        sa.select(p.c.ticket_id, p.c.arm, p.c.epoch, p.c.unit, p.c.at, p.c.label, place.label("place"))
        .join(AUDIT, AUDIT.c.ticket_id == p.c.ticket_id)
        .where(p.c.epoch.between(first, last), p.c.at <= before, _seen(p))
        .subquery()
    )
    labelled = (LABELS.c.ticket_id == served.c.ticket_id) & (LABELS.c.at >= served.c.at)
    # Given and here: one that is sent in late was not there for the looks before.
    given, received = _second(feedback.c.at), _second(feedback.c.received_at)
    first_label = (
        sa.select(sa.func.min(sa.case((received > given, received), else_=given)))
        .where(
            feedback.c.ticket_id == served.c.ticket_id,
            feedback.c.at >= served.c.at,
            feedback.c.source == source,
        )
        .scalar_subquery()
    )
    mature = _second(served.c.at) + maturity_s
    observed = sa.case((LABELS.c.label.is_(None), None), (first_label > mature, first_label), else_=mature)
    correct = sa.case((LABELS.c.label.is_(None), None), (LABELS.c.label == served.c.label, 1), else_=0)
    return (
        sa.select(
            *(served.c[key] for key in ("ticket_id", "arm", "epoch", "unit", "at")),
            correct.label("correct"),
            observed.label("observed"),
        )
        .join(LABELS, labelled, isouter=True)
        .where(served.c.place == 1)
    )


def cell_rows(ramp: Sequence[int], objective_ms: float) -> sa.CompoundSelect[Any]:
    """For CELLS: of the epochs of the ramp. Needs ANSWERS."""
    p, f = predictions, failures
    none = sa.literal(0, sa.BigInteger)
    answered = (
        sa.select(
            p.c.epoch, p.c.arm, p.c.unit, sa.func.count().label("answered"),
            sa.func.sum(_one_if(p.c.latency_ms > objective_ms)).label("slow"),
            none.label("failed"), none.label("late"),
        )
        .where(p.c.epoch.in_(ramp), _seen(p), p.c.cached.is_(False))
        .group_by(p.c.epoch, p.c.arm, p.c.unit)
    )  # fmt: skip
    failed = (
        sa.select(
            f.c.epoch, f.c.arm, f.c.unit, none, none, sa.func.count(),
            sa.func.sum(_one_if(f.c.code == "deadline_exceeded")),
        )
        .where(f.c.epoch.in_(ramp), f.c.code != UNSEEN)
        .group_by(f.c.epoch, f.c.arm, f.c.unit)
    )  # fmt: skip
    either = sa.union_all(answered, failed).subquery()
    unit = (either.c.unit, either.c.epoch, either.c.arm)
    requests = (
        sa.select(*unit, *(sa.func.sum(either.c[k]).label(k) for k in ("answered", "slow", "failed", "late")))
        .group_by(*unit)
        .cte("requests")
    )

    def of(metric: str, y: sa.ColumnElement[int], n: sa.ColumnElement[int]) -> sa.Select[Any]:
        key = (requests.c.unit, requests.c.epoch, requests.c.arm)
        return sa.select(sa.literal(metric).label("metric"), *key, n.label("n"), y.label("y")).where(n > 0)

    r, a = requests.c, ANSWERS.c
    wrong = sa.func.sum(1 - a.correct)
    quality = (
        sa.select(sa.literal("quality"), a.unit, a.epoch, a.arm, sa.func.count(), wrong)
        .where(a.epoch.in_(ramp), a.correct.is_not(None))
        .group_by(a.unit, a.epoch, a.arm)
    )
    missing = sa.func.sum(_one_if(a.correct.is_(None)))
    unlabelled = (
        sa.select(sa.literal("unlabelled"), a.unit, a.epoch, a.arm, sa.func.count(), missing)
        .where(a.epoch.in_(ramp))
        .group_by(a.unit, a.epoch, a.arm)
    )
    return sa.union_all(
        of("errors", r.failed, r.answered + r.failed),
        of("slow", r.slow + r.late, r.answered + r.late),
        quality,
        unlabelled,
    )


def sums() -> sa.Select[Any]:
    """Of CELLS: metric, epoch, arm and the fields of UnitSums."""
    c = CELLS.c
    key = (c.metric, c.epoch, c.arm)
    products = (c.n, c.y, c.n * c.n, c.n * c.y, c.y * c.y)
    return sa.select(*key, sa.func.count(), *(sa.func.sum(item) for item in products)).group_by(*key)


def cross_sums() -> sa.Select[Any]:
    """Of CELLS: metric, earlier and later epoch with their arms, and the fields of CrossSums."""
    a, b = CELLS.alias("earlier").c, CELLS.alias("later").c
    key = (a.metric, a.epoch, a.arm, b.epoch, b.arm)
    products = (a.n * b.n, a.n * b.y, a.y * b.n, a.y * b.y)
    same_unit = (a.metric == b.metric) & (a.unit == b.unit) & (a.epoch < b.epoch)
    return (
        sa.select(*key, sa.func.count(), *(sa.func.sum(item) for item in products))
        .where(same_unit)
        .group_by(*key)
    )


def first_labels(ramp: Sequence[int]) -> sa.Select[Any]:
    """Of ANSWERS: epoch, arm, units, and those of them whose first label says that the answer was right.

    The first is the one that a look could first find labelled and mature, so that none takes its place later.
    """
    a = ANSWERS.c
    place = sa.func.row_number().over(partition_by=a.unit, order_by=(a.observed, a.at, a.ticket_id, a.arm))
    found = (
        sa.select(a.epoch, a.arm, a.correct, place.label("place"))
        .where(a.epoch.in_(ramp), a.correct.is_not(None))
        .subquery()
    )
    return (
        sa.select(found.c.epoch, found.c.arm, sa.func.count(), sa.func.sum(found.c.correct))
        .where(found.c.place == 1)
        .group_by(found.c.epoch, found.c.arm)
    )


def coverage() -> sa.Select[Any]:
    """Of ANSWERS: arm, tickets, and those of them with a label."""
    a = ANSWERS.c
    return sa.select(a.arm, sa.func.count(), sa.func.count(a.correct)).group_by(a.arm)


def pairs(first: int, last: int, before: datetime, hours: float) -> sa.Select[Any]:
    """Whether the champion was right, whether the challenger, and of how many labelled tickets that holds.

    Of a ticket the first request counts that both scored, one of them unseen and neither from the cache. Of a
    unit's tickets in so many hours the one counts that a look could first find, so that none takes its place.
    Needs ANSWERS.
    """
    served, unseen = predictions.alias("served"), predictions.alias("unseen")
    s, u = served.c, unseen.c
    place = sa.func.row_number().over(
        partition_by=s.ticket_id, order_by=(s.at, s.writer, s.sequence, u.writer, u.sequence)
    )
    both = (u.ticket_id == s.ticket_id) & (u.request_id == s.request_id) & (u.epoch == s.epoch)
    right = (_one_if(s.label == LABELS.c.label), _one_if(u.label == LABELS.c.label))
    by_champion = s.arm == "champion"
    found = (
        sa.select(
            sa.case((by_champion, right[0]), else_=right[1]).label("champion"),
            sa.case((by_champion, right[1]), else_=right[0]).label("challenger"),
            s.unit,
            s.at,
            s.ticket_id,
            ANSWERS.c.observed,
            place.label("place"),
        )
        .select_from(LABELS)
        .join(served, (s.ticket_id == LABELS.c.ticket_id) & (s.at <= LABELS.c.at))
        .join(unseen, both & (u.arm != s.arm) & u.shadow.is_(True) & u.unit.is_not(None))
        .join(ANSWERS, (ANSWERS.c.ticket_id == s.ticket_id) & (ANSWERS.c.arm == s.arm))
        .where(s.epoch.between(first, last), s.at <= before, _seen(served), s.cached.is_(False))
        .subquery()
    )
    f = found.c
    stretch = sa.func.floor(_second(f.at) / (3600 * hours))
    turn = sa.func.row_number().over(partition_by=(f.unit, stretch), order_by=(f.observed, f.at, f.ticket_id))
    counted = sa.select(f.champion, f.challenger, turn.label("turn")).where(f.place == 1).subquery()
    key = (counted.c.champion, counted.c.challenger)
    return sa.select(*key, sa.func.count()).where(counted.c.turn == 1).group_by(*key)


def unseen(first: int, last: int) -> sa.Select[Any]:
    """Tickets that the challenger's model scored unseen, and tickets that it failed on."""
    p, f = predictions.c, failures.c
    scored = sa.select(sa.func.count()).where(
        p.epoch.between(first, last), p.arm == "challenger", p.shadow.is_(True)
    )
    failed = sa.select(sa.func.count()).where(
        f.epoch.between(first, last), f.arm == "challenger", f.code == UNSEEN
    )
    return sa.select(scored.scalar_subquery(), failed.scalar_subquery())


def first_exposures(ramp: Sequence[int]) -> sa.Select[Any]:
    """Epoch, arm, and the units whose first exposure in the ramp was there."""
    e = exposures.c
    firsts = (
        sa.select(e.unit, sa.func.min(e.epoch).label("epoch")).where(e.epoch.in_(ramp)).group_by(e.unit)
    ).subquery()
    return (
        sa.select(e.epoch, e.arm, sa.func.count())
        .join(firsts, (firsts.c.unit == e.unit) & (firsts.c.epoch == e.epoch))
        .group_by(e.epoch, e.arm)
    )

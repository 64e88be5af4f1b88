"""What was answered lately, without a text: for drift, and for the monitoring of the model in service."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.events.schema import feedback, predictions
from ticket_sentiment.rollout.assignment import ARMS, Arm

ANSWER_COLUMNS = (
    "at", "label", "confidence", "abstain", "text_chars", "capital_share", "non_ascii_share", "channel"
)  # fmt: skip


@dataclass(frozen=True)
class Counts:
    """Answers of a time that somebody saw.

    Attributes:
        answers: of them, by arm.
        labelled: of them, those of tickets that a person has labelled since.
    """

    answers: dict[Arm, int]
    labelled: int


def _seen(since: datetime, before: datetime) -> sa.ColumnElement[bool]:
    p = predictions.c
    return (p.at >= since) & (p.at < before) & p.shadow.is_(False)


def answers(
    connection: sa.Connection, digests: Collection[str], since: datetime, before: datetime, most: int
) -> Sequence[Any]:
    """A release's answers that somebody saw, at most `most`, evenly over the time.

    Those from the cache are left out, as the holdout holds no text twice, and those of a service that did not
    record the shape of a text yet.

    Args:
        connection: to the event database.
        digests: of its bundles, one for each device (registry.store.release_digests).
        since: first moment; before: the first one after.
        most: rows; of more every so manieth of them is taken, whatever else was recorded between them.

    Returns:
        Rows of ANSWER_COLUMNS, oldest first.
    """
    p = predictions.c
    wanted = (
        _seen(since, before) & p.bundle_digest.in_(digests) & p.cached.is_(False) & p.text_chars.is_not(None)
    )
    total = connection.scalar(sa.select(sa.func.count()).where(wanted)) or 0
    each = max(1, -(-total // most))
    place = sa.func.row_number().over(order_by=(p.at, p.writer, p.sequence)).label("place")
    found = sa.select(*(p[name] for name in ANSWER_COLUMNS), place).where(wanted).subquery()
    query = sa.select(*(found.c[name] for name in ANSWER_COLUMNS)).where((found.c.place - 1) % each == 0)
    return connection.execute(query.order_by(found.c.place)).all()


def counts(connection: sa.Connection, since: datetime, before: datetime) -> Counts:
    """Answers of a time by arm, and of how many the ticket has a label."""
    p = predictions.c
    labelled = sa.exists().where(feedback.c.ticket_id == p.ticket_id)
    one = sa.literal(1)
    query = (
        sa.select(
            p.arm,
            sa.func.count(),
            sa.func.sum(sa.case((labelled, one), else_=0)),
        )
        .where(_seen(since, before))
        .group_by(p.arm)
    )
    found = {row[0]: row for row in connection.execute(query)}
    return Counts(
        {arm: int(found[arm][1]) if arm in found else 0 for arm in ARMS},
        sum(int(row[2]) for row in found.values()),
    )


def latest(
    connection: sa.Connection, source: str, before: datetime
) -> tuple[datetime | None, datetime | None]:
    """When the last answer was given, and the last label of a source received; None where none ever was.

    Args:
        connection: to the event database.
        source: of the label.
        before: later answers are left out: their service's clock was ahead. Labels have the database's time.
    """
    last = (
        sa.select(predictions.c.at)
        .where(predictions.c.at <= before)
        .order_by(predictions.c.at.desc())
        .limit(1),
        sa.select(feedback.c.received_at)
        .where(feedback.c.source == source)
        .order_by(feedback.c.received_at.desc())
        .limit(1),
    )
    answered, labelled = (connection.scalar(query) for query in last)
    return answered, labelled


def judged(
    connection: sa.Connection, digests: Collection[str], since: datetime, before: datetime, source: str
) -> Iterable[Any]:
    """Tickets that a release answered in a time, and what a person said of them after.

    Args:
        connection: to the event database.
        digests: of its bundles, as of `answers`.
        since: first moment of the answers; before: the first one after.
        source: whose labels count: of others one hears where the answer was wrong.

    Returns:
        Rows, some thousand at a time: ticket_id, customer (None where nobody said), the answer's label, the
        label of the person (the latest; None without one), the time of the answer and of that label, and when
        a first label was known here. Of a ticket that was asked twice the first answer; those from the cache,
        which are another ticket's, are left out. In the order of the ids.
    """
    p, f = predictions.c, feedback.c
    first = sa.func.row_number().over(partition_by=p.ticket_id, order_by=(p.at, p.writer, p.sequence))
    answered = (
        sa.select(p.ticket_id, p.customer, p.label, p.at, first.label("place"))
        .where(
            _seen(since, before),
            p.bundle_digest.in_(digests),
            p.ticket_id.is_not(None),
            p.cached.is_(False),
        )
        .subquery()
    )
    a = answered.c
    of_it = (f.ticket_id == a.ticket_id) & (f.source == source) & (f.at >= a.at)
    known = sa.case((f.received_at > f.at, f.received_at), else_=f.at)
    last = sa.func.row_number().over(partition_by=a.ticket_id, order_by=(f.at.desc(), f.event_id.desc()))
    labelled = (
        sa.select(
            *(a.ticket_id, a.customer, a.label, f.label.label("truth"), a.at, f.at.label("labelled_at")),
            sa.func.min(known).over(partition_by=a.ticket_id).label("known_at"),
            last.label("turn"),
        )
        .join_from(answered, feedback, of_it, isouter=True)
        .where(a.place == 1)
        .subquery()
    )
    columns = (column for column in labelled.c if column.name != "turn")
    query = sa.select(*columns).where(labelled.c.turn == 1).order_by(labelled.c.ticket_id)
    return connection.execute(query.execution_options(yield_per=5000))

"""People's labels out of the event database into data/feedback, a file for each month that is over."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.schema import feedback, predictions
from ticket_sentiment.feedback.database import NoEventDatabase, event_url, reading_events
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.months import keep_months, require_held
from ticket_sentiment.tickets.schema import FEEDBACK_SCHEMA, FEEDBACK_TABLE, month_bounds, ordered
from ticket_sentiment.tickets.versions import MonthVersions

# A month is over when no writer can still commit into it: clocks differ, and a commit may wait for a lock.
GRACE = timedelta(hours=1)
PREFIX = "feedback/"


@dataclass(frozen=True)
class ExportResult:
    """What an export did.

    Attributes:
        written: months that are new or were replaced.
        unchanged: months that the database has and that were there.
        labels: that the database holds for these months.
        later: labels of the month that is not over, left for a later run.
        note: why nothing was read; None when something was.
    """

    written: tuple[str, ...] = ()
    unchanged: tuple[str, ...] = ()
    labels: int = 0
    later: int = 0
    note: str | None = None

    def line(self) -> str:
        """For the terminal."""
        if self.note:
            return f"feedback: none read, {self.note}"
        months = len(self.written) + len(self.unchanged)
        later = f"; {self.later} of a month not over yet" if self.later else ""
        return (
            f"feedback: {self.labels} labels in {months} months "
            f"({len(self.written)} written, {len(self.unchanged)} unchanged{later})"
        )


def replacements(names: Iterable[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """What `collect --replace` names: months of tickets (`2026-03`) and of labels (`feedback/2026-03`)."""
    names = tuple(names)
    labels = tuple(name.removeprefix(PREFIX) for name in names if name.startswith(PREFIX))
    return tuple(name for name in names if not name.startswith(PREFIX)), labels


def export_feedback(
    params: Params,
    *,
    replace: tuple[str, ...] = (),
    root: Path = Path(),
    now: datetime | None = None,
    early: bool = False,
    environ: Mapping[str, str] = os.environ,
) -> ExportResult:
    """Bring labels of the months that are over to data/feedback and version them.

    The month of a label is that in which it was received, in UTC, so that a month that is over gets no more.
    The folder exists afterwards, empty where there is nothing: `validate` and `prepare` depend on it.

    Args:
        params: `tickets.feedback` and `events` are read.
        replace: months that may change although they are there.
        root: the repository.
        now: the present time.
        early: the present month, too, as far as it goes; it may then change until it is over.
        environ: where the URL of the database may be.

    Raises:
        EventStoreUnavailable: the database is configured and does not answer.
        TicketSentimentError: there is no database and `tickets.feedback` is `required`, a month would
            change, or DVC cannot do its part.
    """
    versions = MonthVersions(root, FEEDBACK_TABLE)
    note, found, later, present = None, {}, 0, None
    try:
        if params.tickets.feedback == "off":
            note = "tickets.feedback is off"
        else:
            at = (now or datetime.now(UTC)).astimezone(UTC)
            whole = (at - GRACE).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
            present = f"{whole:%Y-%m}" if early else None
            end = month_bounds(present)[1].to_pydatetime() if present else whole
            found, later = _read(event_url(params.events, environ), end)
    except NoEventDatabase as error:
        if params.tickets.feedback == "required":
            raise TicketSentimentError(f"tickets.feedback is required, but {error}") from None
        note = str(error)
    require_held(found, replace, FEEDBACK_TABLE)
    written = keep_months(found, versions, replace, present).written
    return ExportResult(
        written=written,
        unchanged=tuple(month for month in found if month not in written),
        labels=sum(map(len, found.values())),
        later=later,
        note=note,
    )


def _read(url: str, end: datetime) -> tuple[dict[str, pd.DataFrame], int]:
    """Labels received before `end` by month, and how many came since."""
    with reading_events(url) as connection:
        rows = connection.execute(labels_where(feedback.c.received_at < end)).all()
        later = connection.scalar(
            sa.select(sa.func.count()).select_from(feedback).where(feedback.c.received_at >= end)
        )
    frame = pd.DataFrame([tuple(row) for row in rows], columns=FEEDBACK_SCHEMA.names)
    for column in ("at", "received_at"):
        frame[column] = pd.to_datetime(frame[column], utc=True).astype("datetime64[us, UTC]")
    months = frame.groupby(frame["received_at"].dt.strftime("%Y-%m"), sort=True)
    return {str(month): ordered(group, FEEDBACK_TABLE) for month, group in months}, int(later or 0)


def labels_where(condition: sa.ColumnElement[bool]) -> sa.Select[tuple[object, ...]]:
    """Each label with what had answered its ticket last before it was given, unseen answers left out.

    Args:
        condition: on table `feedback`.

    Returns:
        A query with the columns of FEEDBACK_SCHEMA.
    """
    answered = sa.and_(
        predictions.c.ticket_id == feedback.c.ticket_id,
        predictions.c.shadow.is_(False),
        predictions.c.at <= feedback.c.at,
    )
    key = (feedback.c.ticket_id, feedback.c.source, feedback.c.event_id)
    latest = (predictions.c.at.desc(), predictions.c.writer.desc(), predictions.c.sequence.desc())
    ranked = (
        sa.select(
            feedback.c.ticket_id,
            feedback.c.label,
            feedback.c.at,
            feedback.c.received_at,
            feedback.c.source,
            feedback.c.event_id,
            predictions.c.arm.label("served_arm"),
            predictions.c.bundle_digest.label("served_digest"),
            predictions.c.label.label("served_label"),
            sa.func.row_number().over(partition_by=key, order_by=latest).label("place"),
        )
        .select_from(feedback.outerjoin(predictions, answered))
        .where(condition)
        .subquery()
    )
    columns = [ranked.c[name] for name in FEEDBACK_SCHEMA.names]
    return sa.select(*columns).where(ranked.c.place == 1)


def main(params: Params, replace: Iterable[str] = (), early: bool = False) -> None:
    """The first part of `ticket-sentiment collect`: prints one line."""
    print(export_feedback(params, replace=tuple(replace), early=early).line())

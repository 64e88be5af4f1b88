"""The source into one Parquet file a month, masked, versioned with DVC. What is there stays as it is."""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.months import keep_months, month_before, require_held
from ticket_sentiment.tickets.privacy import clean, dedup_key, pseudonym
from ticket_sentiment.tickets.profile import MIN_SHIFT_ROWS
from ticket_sentiment.tickets.relabel import agreeing, relabel
from ticket_sentiment.tickets.schema import (
    COLUMNS,
    FEEDBACK,
    FEEDBACK_TABLE,
    MONTH,
    TICKET_TABLE,
    TICKETS,
    month_bounds,
    month_files,
    ordered,
    read_feedback,
)
from ticket_sentiment.tickets.sources import map_rows, read_raw
from ticket_sentiment.tickets.sources.exposed import exposure
from ticket_sentiment.tickets.versions import MonthVersions

FEW_DAYS = timedelta(days=3)  # in which the first ticket of a whole month comes


def require_months(month: str | None, tickets: Iterable[str], labels: Iterable[str]) -> None:
    """Refuse what is no month, before anything is collected.

    Args:
        month: of `--month`.
        tickets: months of `--replace`.
        labels: the same, of people's labels.

    Raises:
        TicketSentimentError: naming the option and what it takes.
    """
    if month is not None and not MONTH.fullmatch(month):
        raise TicketSentimentError(f"--month {month}: no month: expected YYYY-MM")
    for kind, months in ((TICKET_TABLE, tickets), (FEEDBACK_TABLE, labels)):
        wrong = next((one for one in months if not MONTH.fullmatch(one)), None)
        if wrong is not None:
            raise TicketSentimentError(
                f"--replace {kind.replace.format(month=wrong)}: no month: expected YYYY-MM, or "
                "feedback/YYYY-MM"
            )


@dataclass(frozen=True)
class CollectResult:
    """What a collection did.

    Attributes:
        written: months that are new or were replaced.
        unchanged: months that were there with equal content.
        late_labels: labels that came after their ticket was stored, and were added.
        added: tickets of a stored month's end, which the source did not hold before.
        gone: stored tickets of replaced months that the source holds no more, and that were taken out.
        masked: stored tickets that today's rules masked anew, also in months that the source lacks.
        rows: tickets that the source holds of the written and unchanged months.
        empty: rows of the source without text, left out.
        later: rows of months that are not over yet, left for a later run.
        touched: what the source holds of a month that it only begins in, left out; None where there is none.
        waits: what the present month holds, where it was asked for and is too little; else None.
        newest: the newest month that is over.
        missing: months up to it of which there is no ticket, in the source or stored, oldest first.
        data_sha256: hash of all of data/tickets (`files.sha256_tree`).
    """

    written: tuple[str, ...]
    unchanged: tuple[str, ...]
    late_labels: int
    added: int
    gone: int
    masked: int
    rows: int
    empty: int
    later: int
    touched: str | None
    waits: str | None
    newest: str
    missing: tuple[str, ...]
    data_sha256: str

    def line(self) -> str:
        """For the terminal."""
        notes = [f"{self.late_labels} late labels"] if self.late_labels else []
        notes += [f"{self.added} tickets of a month's end added"] if self.added else []
        notes += [f"{self.gone} stored tickets taken out, as the source lacks them"] if self.gone else []
        notes += [f"{self.masked} stored tickets masked anew by today's rules"] if self.masked else []
        notes += [f"{self.empty} without text left out"] if self.empty else []
        notes += [f"{self.later} of months not over yet"] if self.later else []
        notes += [f"left out: {self.touched}"] if self.touched else []
        notes += [f"the present one is too little for validate: {self.waits}"] if self.waits else []
        if self.missing:
            before = f" and {len(self.missing) - 3} months before" if len(self.missing) > 3 else ""
            notes.append(f"no ticket of {', '.join(self.missing[-3:])}{before}")
        return (
            f"collected {self.rows} tickets in {len(self.written) + len(self.unchanged)} months "
            f"({len(self.written)} written, {len(self.unchanged)} unchanged"
            f"{'; ' + ', '.join(notes) if notes else ''}), data {self.data_sha256[:12]}"
        )


def collect(
    params: Params,
    *,
    only_month: str | None = None,
    replace: tuple[str, ...] = (),
    root: Path = Path(),
    today: date | None = None,
    early: bool = False,
) -> CollectResult:
    """Bring complete months from the source to data/tickets and version them.

    Every month is compared before the first is written; a month appears as a whole or not at all, so
    that an interrupted run can be run again. A stored month takes labels that it had not, and keeps tickets
    from before the source's first; any other difference is refused. A new month that the source only begins
    in is left out.

    Args:
        params: `tickets` is read; for an early collection `validate` and `prepare`, too.
        only_month: the source must hold this month and no other (a monthly export).
        replace: months that may change although they are there.
        root: the repository.
        today: the present day in UTC; its month and later ones are not complete.
        early: the present month, too, as far as it goes, where it is enough for `validate` with people's
            labels that are collected; it may then change until it is over.

    Raises:
        TicketSentimentError: the source is bad, a month would change, or DVC cannot do its part.
    """
    versions = MonthVersions(root)
    mapped = map_rows(read_raw(params.tickets, root), params.tickets)
    if only_month is not None:
        _require_month(mapped, only_month)
    tickets, empty = _cleaned(mapped)
    found = _split(tickets)
    demo = params.tickets.source.kind == "demo"
    today = today or datetime.now(UTC).date()
    present, waits = f"{today:%Y-%m}" if early and not demo else None, None
    if present in found:
        waits = _too_little(found[present], read_feedback(root / FEEDBACK), params)
    if waits:
        present = None
    last = "9999-12" if demo else present or month_before(today)
    months = {month: frame for month, frame in found.items() if month <= last}
    touched = None if demo else _touched(months, versions, params.validate_.min_rows, replace)
    if touched:
        del months[min(months)]
    _require_any(months, only_month, last, touched)
    require_held(months, replace, versions.kind)
    kept = keep_months(months, versions, replace, present, _begins(mapped["created_at"]))
    return CollectResult(
        written=tuple(month for month in months if month in kept.written),
        unchanged=tuple(month for month in months if month not in kept.written),
        late_labels=kept.late,
        added=kept.added,
        gone=kept.gone,
        masked=kept.masked,
        rows=sum(map(len, months.values())),
        empty=empty,
        later=sum(len(frame) for month, frame in found.items() if month > last),
        touched=touched,
        waits=waits,
        newest=month_before(today),
        missing=() if demo or only_month else _missing(months, versions, month_before(today)),
        data_sha256=sha256_tree(root / TICKETS),
    )


def _require_month(mapped: pd.DataFrame, only_month: str) -> None:
    month = mapped["created_at"].dt.strftime("%Y-%m")
    outside = mapped[month != only_month]
    if not outside.empty:
        row = outside.iloc[0]
        raise TicketSentimentError(
            f"{row['file']} row {row['row']}: created_at is in {month[outside.index[0]]} (UTC), outside "
            f"{only_month}, as are {len(outside)} of {len(mapped)} rows: export {only_month} alone, correct "
            "tickets.timezone, or run without --month"
        )


def _cleaned(mapped: pd.DataFrame) -> tuple[pd.DataFrame, int]:
    """Tickets ready to store, with their month, and the number of rows that had no text."""
    tickets = mapped.assign(
        text=[clean(text) for text in mapped["text"]],
        customer_id=[None if customer is None else pseudonym(customer) for customer in mapped["customer_id"]],
        month=mapped["created_at"].dt.strftime("%Y-%m"),
    )
    filled = tickets["text"] != ""
    return tickets[filled], int((~filled).sum())


def _split(tickets: pd.DataFrame) -> dict[str, pd.DataFrame]:
    groups = tickets.groupby("month", sort=True)
    return {str(month): ordered(group[list(COLUMNS)]) for month, group in groups}


def _begins(created_at: pd.Series) -> dict[str, pd.Timestamp]:
    """Where the source begins, for each of its months: with the first ticket of the months in a row up to it.

    A month without a ticket ends the row: one old ticket of a mistyped year must not make a window begin
    years before, with all that the window has left counted as lost.
    """
    begins: dict[str, pd.Timestamp] = {}
    for month, first in created_at.groupby(created_at.dt.strftime("%Y-%m"), sort=True).min().items():
        begins[str(month)] = begins.get(month_before(first), first)
    return begins


def _touched(
    months: dict[str, pd.DataFrame], versions: MonthVersions, min_rows: int, replace: tuple[str, ...]
) -> str | None:
    """What the source holds of its oldest month, if that is new, small, and the source only begins in it.

    Stage `validate` would refuse it, and each collection would bring it back.
    """
    oldest = min(months, default=None)
    if oldest is None or oldest in replace:
        return None
    rows, first = len(months[oldest]), months[oldest]["created_at"].min()
    if rows >= min_rows or first - month_bounds(oldest)[0] <= FEW_DAYS:
        return None
    versions.restore_missing()  # a month that is versioned is not new, on disk or not
    if oldest in month_files(versions.root / TICKETS):
        return None
    return (
        f"{oldest}, as the source begins on {first:%Y-%m-%d} and holds {rows} tickets, "
        "fewer than validate.min_rows"
    )


def _too_little(month: pd.DataFrame, feedback: pd.DataFrame, params: Params) -> str | None:
    """What there is of a young month, if so little that a stage would refuse it, and with it every run.

    Counted as stage `prepare` does, each text once and none with two labels; twice what a stage needs, as of
    fewer `validate` does not judge the mix of labels (`validate.max_label_shift`).
    """
    limits = params.validate_
    labelled = relabel(month, feedback, params.prepare)[0].dropna(subset=["label"])
    keys = labelled["text"].map(lambda text: dedup_key(canonical(text)))
    labels = agreeing(labelled, keys).loc[~keys.duplicated(), "label"]
    rarest = min(int((labels == label).sum()) for label in LABELS)
    enough = (
        len(month) >= limits.min_rows
        and len(labels) >= max(MIN_SHIFT_ROWS, limits.min_labelled_share * len(month))
        and rarest >= limits.min_class_share * len(labels)
    )
    if enough:
        return None
    return f"{len(month)} tickets, {len(labels)} different ones labelled, {rarest} of the rarest label"


def _missing(months: Collection[str], versions: MonthVersions, newest: str) -> tuple[str, ...]:
    """Months without a ticket, from the first that there is to the newest that is over."""
    there = {*months, *month_files(versions.root / TICKETS)}
    span = pd.period_range(min(there), newest, freq="M") if min(there) < newest else []
    return tuple(month for month in map(str, span) if month not in there)


def _require_any(
    months: dict[str, pd.DataFrame], only_month: str | None, last: str, touched: str | None
) -> None:
    if not months:
        what = f"left out: {touched}" if touched else "the source holds none"
        if only_month and only_month > last:
            what = f"{only_month} is not over yet"
        raise TicketSentimentError(
            f"no complete month to collect ({what}; the newest complete month is {last}): "
            "run again when the month is over, or check tickets.source"
        )


def main(
    params: Params, month: str | None = None, replace: Iterable[str] = (), early: bool = False
) -> CollectResult:
    """`ticket-sentiment collect [--month YYYY-MM] [--replace YYYY-MM ...]`: prints one line.

    Before it a warning, where git would take up what customers wrote.
    """
    if warning := exposure(params.tickets, Path()):
        print(warning)
    result = collect(params, only_month=month, replace=tuple(replace), early=early)
    print(result.line())
    return result

"""Months into their folder: compared before the first is written, written as a whole, versioned with DVC."""

import shutil
from collections.abc import Iterable
from datetime import date
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import require_space, write_text
from ticket_sentiment.tickets.schema import Table, month_files, read_table, write_month
from ticket_sentiment.tickets.versions import MonthVersions

Row = tuple[object, ...]


def month_before(day: date) -> str:
    """The month before that of a day, `YYYY-MM`."""
    return f"{day.year - 1}-12" if day.month == 1 else f"{day.year}-{day.month - 1:02d}"


def open_months(root: Path, kind: Table) -> set[str]:
    """Months that may change unasked: collected before their end, and not written as a whole since."""
    note = root / kind.open_note
    return set(note.read_text(encoding="utf-8").split()) if note.is_file() else set()


def note_open(root: Path, kind: Table, months: set[str]) -> None:
    """Note these months, one a line, and no other; without any there is no file."""
    note = root / kind.open_note
    if months:
        write_text(note, "".join(f"{month}\n" for month in sorted(months)))
    else:
        note.unlink(missing_ok=True)


def require_held(months: dict[str, pd.DataFrame], replace: Iterable[str], kind: Table) -> None:
    """Refuse to replace a month that the source does not hold.

    Raises:
        TicketSentimentError: naming the month and those that the source holds.
    """
    absent = [month for month in replace if month not in months]
    if absent:
        raise TicketSentimentError(
            f"--replace {kind.replace.format(month=absent[0])}: the source holds no complete month "
            f"{absent[0]} (it holds {', '.join(months) or 'none'}): take it out"
        )


def keep_months(
    months: dict[str, pd.DataFrame],
    versions: MonthVersions,
    replace: Iterable[str] = (),
    present: str | None = None,
) -> list[str]:
    """Write and version the months that are new or may change; the others stay as they are.

    A month appears as a whole or not at all, so that an interrupted run can be run again. The folder exists
    afterwards, empty where there is no month: stages depend on it.

    Args:
        months: by name, with the columns of the table; all but `present` are over.
        versions: of the table's folder.
        replace: months that may change although they are there.
        present: the month that is collected before its end, where one is. It may change until it has been
            written after its end, however many runs are killed before.

    Returns:
        The months that were written.

    Raises:
        TicketSentimentError: a month would change, or DVC cannot do its part.
    """
    kind, root, folder = versions.kind, versions.root, versions.root / versions.kind.folder
    opened = open_months(root, kind) | ({present} & months.keys())
    note_open(root, kind, opened)  # before it is written: a killed run must leave it open
    free = {*replace, *opened}
    status = versions.restore_missing()
    versions.refuse_modified(status, allowed=free)
    there = {
        month: _read(path, kind, month in free)
        for month, path in month_files(folder).items()
        if month in months
    }
    changed = _changed(months, there, free, kind)
    if changed:
        _write({month: months[month] for month in changed}, folder, kind)
    folder.mkdir(parents=True, exist_ok=True)
    if changed or any(status.values()):  # the latter: a killed run wrote, but did not version
        versions.add()
    note_open(root, kind, opened - (months.keys() - {present}))
    versions.push()
    return changed


def _read(path: Path, kind: Table, replaceable: bool) -> pd.DataFrame:
    try:
        return read_table(path, kind).to_pandas()
    except TicketSentimentError:
        if replaceable:  # a damaged month is one that `--replace` is for
            return kind.schema.empty_table().to_pandas()
        raise


def _rows(frame: pd.DataFrame, columns: Iterable[str]) -> set[Row]:
    values = frame[list(columns)]
    for name in values.select_dtypes("datetimetz"):
        values = values.assign(**{str(name): values[name].dt.as_unit("us").astype("int64")})
    values = values.astype(object)
    return set(values.where(values.notna(), None).itertuples(index=False, name=None))


def _differing(old: pd.DataFrame, new: pd.DataFrame, kind: Table, replaceable: bool) -> set[object]:
    """Ids of the rows for which the month would have to change; the first column is the ticket's id."""
    columns = kind.columns if replaceable else kind.compared
    before, now = _rows(old, columns), _rows(new, columns)
    kept = kind.source_forgets and not replaceable
    return {row[0] for row in (now - before if kept else now ^ before)}


def _changed(
    months: dict[str, pd.DataFrame], there: dict[str, pd.DataFrame], free: set[str], kind: Table
) -> list[str]:
    """Months to write; refuses when one is there with other content and may not be replaced."""
    changed, refused = [], []
    for month, frame in months.items():
        if month not in there:
            changed.append(month)
            continue
        differing = _differing(there[month], frame, kind, month in free)
        if not differing:
            continue
        changed.append(month)
        if month not in free:
            refused.append((month, f"{month} ({len(differing)} of {len(there[month])} {kind.rows} differ)"))
    if refused:
        names = " ".join(f"--replace {kind.replace.format(month=month)}" for month, _ in refused)
        raise TicketSentimentError(
            f"{kind.folder}: month {', '.join(text for _, text in refused)} is already there with other "
            "content: a month is not changed unless told to; check the source, or run "
            f"`ticket-sentiment collect {names}`"
        )
    return changed


def _write(months: dict[str, pd.DataFrame], folder: Path, kind: Table) -> None:
    # Text is most of a row; twice its size is more than Parquet with zstd ever takes.
    needed = sum(_bytes(frame) for frame in months.values())
    require_space(folder, needed + 1_000_000)
    staging = folder.parent / f".{folder.name}-staging"
    shutil.rmtree(staging, ignore_errors=True)  # of a run that was killed
    for month, frame in months.items():
        write_month(staging / f"{month}.parquet", frame, kind)
    folder.mkdir(parents=True, exist_ok=True)
    for month in months:
        (staging / f"{month}.parquet").replace(folder / f"{month}.parquet")
    staging.rmdir()


def _bytes(frame: pd.DataFrame) -> int:
    text = int(frame["text"].str.len().sum()) if "text" in frame else 0
    return text * 2 + 200 * len(frame)

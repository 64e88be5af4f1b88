"""Months into their folder: compared before the first is written, written as a whole, versioned with DVC."""

import contextlib
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import require_space, write_text
from ticket_sentiment.tickets.schema import Table, month_files, read_table, write_month
from ticket_sentiment.tickets.stored import Remasked, as_the_source, is_demo, remask, require_unmixed
from ticket_sentiment.tickets.versions import MonthVersions

Row = tuple[object, ...]


@dataclass(frozen=True)
class Kept:
    """What a collection made of the stored months.

    Attributes:
        written: months that are new or changed.
        late: labels in them of tickets that were stored without one.
        added: tickets of their last hours, which the source did not hold before.
        gone: stored tickets that were taken out of them, as the source holds them no more.
        masked: tickets that today's rules masked anew.
    """

    written: tuple[str, ...]
    late: int
    added: int
    gone: int
    masked: int = 0


def month_before(day: date) -> str:
    """The month before that of a day, `YYYY-MM`."""
    return f"{day.year - 1}-12" if day.month == 1 else f"{day.year}-{day.month - 1:02d}"


def noted(path: Path) -> set[str]:
    """The months that a note names.

    `Table.open_note`: those that may change unasked, collected before their end and not written as a whole
    since, or in writing when a run was killed. `Table.masking_note`: those that it was masking anew.
    """
    return set(path.read_text(encoding="utf-8").split()) if path.is_file() else set()


def note(path: Path, months: set[str]) -> None:
    """Note these months, one a line, and no other; without any there is no file."""
    if months:
        write_text(path, "".join(f"{month}\n" for month in sorted(months)))
    else:
        path.unlink(missing_ok=True)


def require_held(months: dict[str, pd.DataFrame], replace: Iterable[str], kind: Table) -> None:
    """Refuse to replace a month that the source does not hold.

    Raises:
        TicketSentimentError: naming the month and those that the source holds.
    """
    absent = [month for month in replace if month not in months]
    if absent:
        raise TicketSentimentError(
            f"--replace {kind.replace.format(month=absent[0])}: the source holds no complete month "
            f"{absent[0]} (it holds {', '.join(months) or 'none'}): take it out, or remove what is stored of "
            f"it with `ticket-sentiment collect --drop {kind.replace.format(month=absent[0])}`"
        )


def keep_months(
    months: dict[str, pd.DataFrame],
    versions: MonthVersions,
    replace: Iterable[str] = (),
    present: str | None = None,
    begins: Mapping[str, pd.Timestamp] | None = None,
) -> Kept:
    """Write and version the months that are new or may change; the others stay as they are.

    But stored tickets are masked by today's rules (`stored.remask`), whether the source holds their month or
    not. A label that comes later (`Table.late`) is no change of a month: it is added. A month appears as a
    whole or not at all, so that an interrupted run can be run again. The folder exists afterwards, empty
    where there is no month: stages depend on it.

    Args:
        months: by name, with the columns of the table; all but `present` are over.
        versions: of the table's folder.
        replace: months that may change although they are there; but for `begins`, they become what the
            source holds.
        present: the month that is collected before its end, where one is. It may change until it has been
            written after its end, however many runs are killed before.
        begins: by month, where the source begins, as it may hold a window that moves on: stored tickets from
            before are kept, also of a month that is replaced: that the window moved on says nothing of them.
            But the demo's are not kept beside others.

    Raises:
        TicketSentimentError: a month would change, or DVC cannot do its part.
    """
    kind, folder = versions.kind, versions.root / versions.kind.folder
    open_note, masking_note = versions.root / kind.open_note, versions.root / kind.masking_note
    opened, masking = noted(open_note) | ({present} & months.keys()), noted(masking_note)
    free = {*replace, *opened}
    status = versions.restore_missing()
    versions.refuse_modified(status, allowed=free | masking)
    files = month_files(folder)
    there = {month: _read(files[month], kind, month in free) for month in months if month in files}
    remasked, known, others = Remasked({}, 0), set[str](), dict[str, Path]()
    if "text" in kind.columns:
        require_unmixed(_demos({month: files[month] for month in files.keys() - set(replace)}), months)
        known = {text for frame in months.values() for text in frame["text"]}
        remasked = _remasked(there, months, known)
        others = {month: path for month, path in files.items() if month not in months}
    there |= remasked.months
    if begins is not None:
        both = there.keys() & months.keys()
        alike = [month for month in both if is_demo(there[month]) == is_demo(months[month])]
        months = months | {month: _with_older(there[month], months[month], begins[month]) for month in alike}
    kept = _compared(months, there, free, kind)
    shutil.rmtree(_staging(folder), ignore_errors=True)  # of a run that was killed
    changed = {**remasked.months, **{month: months[month] for month in kept.written}}
    anew = _mask_anew(others, known, folder, kind)
    if changed or anew:
        _stage(changed, folder, kind)
        note(open_note, opened | set(kept.written))  # a killed run must leave them open
        note(masking_note, masking | remasked.months.keys() | anew.keys())
        _publish([*changed, *anew], folder)
    folder.mkdir(parents=True, exist_ok=True)
    if changed or anew or any(status.values()):  # the latter: a killed run wrote, but did not version
        versions.add()
    note(open_note, opened - (months.keys() - {present}))
    note(masking_note, set())
    versions.push()
    masked = remasked.tickets + sum(anew.values())
    return Kept(tuple(sorted({*changed, *anew})), kept.late, kept.added, kept.gone, masked)


def _demos(files: Mapping[str, Path]) -> dict[str, bool]:
    """Of each month that is not empty whether it is the demo's; `validate` says what is damaged."""
    found = {}
    for month, path in files.items():
        with contextlib.suppress(TicketSentimentError):
            frame = read_table(path, columns=["label_source"]).to_pandas()
            found |= {month: is_demo(frame)} if len(frame) else {}
    return found


def _remasked(there: dict[str, pd.DataFrame], months: dict[str, pd.DataFrame], known: set[str]) -> Remasked:
    """Stored months that the source holds, too, as today's rules mask them; `known` are its masked texts."""
    anew = remask(there, known)
    otherwise = as_the_source({**there, **anew.months}, months)
    return Remasked({**anew.months, **otherwise.months}, anew.tickets + otherwise.tickets)


def _mask_anew(others: Mapping[str, Path], known: set[str], folder: Path, kind: Table) -> dict[str, int]:
    """Stage the stored months that the source lacks and today's rules change, with how many tickets.

    One after the other: with the years they are more than the memory holds.
    """
    changed: dict[str, int] = {}
    for month, path in others.items():
        try:
            frame = read_table(path, kind).to_pandas()
        except TicketSentimentError:  # `validate` says that it is damaged
            continue
        anew = remask({month: frame}, known)
        _stage(anew.months, folder, kind)
        changed |= dict.fromkeys(anew.months, anew.tickets)
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


def _with_older(old: pd.DataFrame, new: pd.DataFrame, begins: pd.Timestamp) -> pd.DataFrame:
    """The source's tickets of a month, and the stored ones that are older than all that the source holds."""
    older = old[(old["created_at"] < begins) & ~old["ticket_id"].isin(new["ticket_id"])]
    return new if older.empty else pd.concat([older, new], ignore_index=True)


def _difference(old: pd.DataFrame, new: pd.DataFrame, kind: Table, free: bool) -> tuple[set[object], int]:
    """Ids of the rows for which the month would have to change, and how many others only got their label.

    The first column is the ticket's id.
    """
    columns = kind.columns if free else kind.compared
    before, now = _rows(old, columns), _rows(new, columns)
    gone, come = before - now, now - before
    unlabelled = {
        row: tuple(None if name in kind.late else value for name, value in zip(columns, row, strict=True))
        for row in come
    }
    late = {row: bare for row, bare in unlabelled.items() if bare in gone}
    lost = set() if kind.source_forgets and not free else gone - set(late.values())
    return {row[0] for row in (come - late.keys()) | lost}, len(late)


def _of_the_end(old: pd.DataFrame, new: pd.DataFrame) -> set[object]:
    """Ids of tickets that come only now and are not earlier than any stored one; some times are dates alone.

    An export that is made in the night may lack the month's last day, and one whose months are those of
    another time zone its last hours: they lie in the export after.
    """
    if "created_at" not in old or old.empty:
        return set()
    begin = old["created_at"].max()
    return set(new.loc[(new["created_at"] >= begin) & ~new["ticket_id"].isin(old["ticket_id"]), "ticket_id"])


def _compared(
    months: dict[str, pd.DataFrame], there: dict[str, pd.DataFrame], free: set[str], kind: Table
) -> Kept:
    """What is to be written; refuses when a month is there with other content and may not change."""
    written, refused, late, added, gone = [], [], 0, 0, 0
    for month, frame in months.items():
        if month not in there:
            written.append(month)
            continue
        differing, labels = _difference(there[month], frame, kind, month in free)
        late += labels
        if differing or labels:
            written.append(month)
        id_ = kind.columns[0]
        lost = 0 if kind.source_forgets else len(set(there[month][id_]) - set(frame[id_]))
        if month in free:
            gone += lost
        elif differing and differing <= _of_the_end(there[month], frame):
            added += len(differing)
        elif differing:
            going = f", {lost} are not in the source and would go" if lost else ""
            text = f"{month} ({len(differing)} of {len(there[month])} {kind.rows} differ{going})"
            refused.append((month, text))
    if refused:
        names = " ".join(f"--replace {kind.replace.format(month=month)}" for month, _ in refused)
        raise TicketSentimentError(
            f"{kind.folder}: month {', '.join(text for _, text in refused)} is already there with other "
            "content: a month is not changed unless told to; check the source, or run "
            f"`ticket-sentiment collect {names}`"
        )
    return Kept(tuple(written), late, added, gone)


def _staging(folder: Path) -> Path:
    return folder.parent / f".{folder.name}-staging"


def _stage(months: Mapping[str, pd.DataFrame], folder: Path, kind: Table) -> None:
    """Write months aside."""
    for month, frame in months.items():
        require_space(folder, _bytes(frame) + 1_000_000)
        write_month(_staging(folder) / f"{month}.parquet", frame, kind)


def _publish(months: Iterable[str], folder: Path) -> None:
    """Put staged months in their place."""
    folder.mkdir(parents=True, exist_ok=True)
    for month in months:
        (_staging(folder) / f"{month}.parquet").replace(folder / f"{month}.parquet")
    _staging(folder).rmdir()


def _bytes(frame: pd.DataFrame) -> int:
    # Text is most of a row; twice its size is more than Parquet with zstd ever takes.
    text = int(frame["text"].str.len().sum()) if "text" in frame else 0
    return text * 2 + 200 * len(frame)

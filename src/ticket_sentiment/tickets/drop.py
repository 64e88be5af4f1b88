"""`collect --drop`: stored months out of their folder, which the source cannot correct any more."""

from collections.abc import Collection, Iterable
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets.months import note, noted
from ticket_sentiment.tickets.schema import FEEDBACK_TABLE, MONTH, TICKET_TABLE, month_files, read_tickets
from ticket_sentiment.tickets.stored import is_demo
from ticket_sentiment.tickets.versions import MonthVersions

DEMO = "demo"  # names all months of the demo


def drop_months(versions: MonthVersions, names: Collection[str]) -> str:
    """Remove stored months and version what is left; older versions stay in DVC's cache and remote.

    May be repeated: a month that is not there is said and no error. Killed before the rest is versioned, the
    next run of this or of a collection brings the months back from the versioned state, to be dropped again.

    Args:
        versions: of the table's folder.
        names: months, of tickets also `demo`.

    Returns:
        A line for the terminal.

    Raises:
        TicketSentimentError: another month is not as it was versioned, or DVC cannot do its part.
    """
    kind, root = versions.kind, versions.root
    folder, wanted = root / kind.folder, {name for name in names if name != DEMO}
    status = versions.restore_missing(besides=wanted)
    if DEMO in names:
        wanted |= _demo_months(folder)
    notes = [root / kind.open_note, root / kind.masking_note]
    versions.refuse_modified(status, allowed=wanted.union(*map(noted, notes)))
    stored = month_files(folder)
    going = sorted(wanted & (stored.keys() | status.get("deleted", set())))
    for month in going:
        (folder / f"{month}.parquet").unlink(missing_ok=True)
    if going:
        folder.mkdir(parents=True, exist_ok=True)
        versions.add()
        note(notes[0], noted(notes[0]) - wanted)
        note(notes[1], set())
        versions.push()
    return _line(kind.folder, going, sorted(wanted - set(going)), len(stored.keys() - wanted))


def _demo_months(folder: Path) -> set[str]:
    return {month for month, path in month_files(folder).items() if is_demo(read_tickets(path))}


def _line(folder: Path, gone: list[str], absent: list[str], left: int) -> str:
    parts = [f"{folder}: dropped {', '.join(gone) or 'nothing'}"]
    parts += [f"not there: {', '.join(absent)}"] if absent else []
    parts += [f"{left} months are left"]
    parts += ["what the source still holds comes back with the next collection"] if gone else []
    return "; ".join(parts)


def require_names(tickets: Iterable[str], labels: Iterable[str]) -> None:
    """Refuse what is no month, before anything is dropped.

    Args:
        tickets: months of tickets (YYYY-MM), or `demo`.
        labels: months of people's labels.

    Raises:
        TicketSentimentError: naming it and what is expected.
    """
    for kind, names in ((TICKET_TABLE, tickets), (FEEDBACK_TABLE, labels)):
        for name in names:
            if not MONTH.fullmatch(name) and not (name == DEMO and kind is TICKET_TABLE):
                raise TicketSentimentError(
                    f"--drop {kind.replace.format(month=name)}: no month: expected YYYY-MM, "
                    "feedback/YYYY-MM, or demo for all months of the demo"
                )


def main(tickets: Collection[str], labels: Collection[str], root: Path = Path()) -> None:
    """`ticket-sentiment collect --drop NAME ...`: a line for each table.

    Args:
        tickets: months of tickets (YYYY-MM), or `demo`.
        labels: months of people's labels.
        root: the repository.

    Raises:
        TicketSentimentError: as `drop_months`.
    """
    for kind, names in ((TICKET_TABLE, tickets), (FEEDBACK_TABLE, labels)):
        if names:
            print(drop_months(MonthVersions(root, kind), names))

"""Customers out of the versioned tables: tickets, people's labels, corrections of hotfixes."""

import shutil
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ticket_sentiment.erasure.wanted import Wanted
from ticket_sentiment.hotfix.folder import FOLDERS
from ticket_sentiment.hotfix.intake import FOLDER as CORRECTIONS
from ticket_sentiment.tickets.corrections import key_of, load_corrections
from ticket_sentiment.tickets.drop import drop_months
from ticket_sentiment.tickets.dvc import bring
from ticket_sentiment.tickets.months import keep_months, note, noted
from ticket_sentiment.tickets.schema import TICKETS, Table, month_files, read_table
from ticket_sentiment.tickets.stored import remask
from ticket_sentiment.tickets.versions import MonthVersions

COMPARISON = Path("var/compare.html")


@dataclass(frozen=True)
class Month:
    """A stored month: all its rows, and which of them are theirs."""

    name: str
    rows: pd.DataFrame
    theirs: "pd.Series[bool]"


def find(versions: MonthVersions, wanted: Wanted) -> list[Month]:
    """The stored months that hold rows of theirs; what is versioned and not on disk is brought back first.

    Raises:
        TicketSentimentError: a month is damaged, is not as it was versioned, or is neither on disk nor
            anywhere else.
    """
    kind, root = versions.kind, versions.root
    free = noted(root / kind.open_note) | noted(root / kind.masking_note)
    versions.refuse_modified(versions.restore_missing(), allowed=free)
    found = []
    for name, path in month_files(root / kind.folder).items():
        rows = read_table(path, kind).to_pandas()
        theirs = wanted.rows(rows)
        if theirs.any():
            found.append(Month(name, rows, theirs))
    return found


def others(root: Path, wanted: Wanted) -> int:
    """How many stored tickets have an id of their tickets, and another customer: these stay."""
    columns = ["ticket_id", "customer_id"]
    paths = month_files(root / TICKETS).values()
    return sum(wanted.others(pd.read_parquet(path, columns=columns)) for path in paths)


def take_out(versions: MonthVersions, months: Collection[Month], opened: set[str]) -> None:
    """Write and version these months without their rows; a month of which none is left goes as a whole.

    As in every collection, stored texts are masked by today's rules. Without months, what a killed run wrote
    is versioned.

    Args:
        versions: of the table's folder.
        months: of `find`.
        opened: months that may change unasked (`Table.open_note`), before the erasure began and after it.

    Raises:
        TicketSentimentError: DVC cannot do its part.
    """
    kind, root = versions.kind, versions.root
    if not months and not (root / kind.pointer).is_file():
        return
    left = {month.name: month.rows[~month.theirs].reset_index(drop=True) for month in months}
    if "text" in kind.columns:
        left |= remask(left).months
    kept = {name: rows for name, rows in left.items() if len(rows)}
    keep_months(kept, versions, replace=kept)
    if empty := left.keys() - kept.keys():
        drop_months(versions, empty)
    note(root / kind.open_note, opened & month_files(root / kind.folder).keys())


def line(kind: Table, months: Collection[Month]) -> str:
    """What is taken out, for the terminal."""
    counts = [f"{int(month.theirs.sum()):,} of {len(month.rows):,} in {month.name}" for month in months]
    return f"{kind.folder}: {', '.join(counts) or 'none'}"


def texts(months: Collection[Month]) -> set[str]:
    """What they wrote, in the form in which two texts are the same to the model."""
    return {key for month in months for key in month.rows.loc[month.theirs, "text"].map(key_of)}


@dataclass(frozen=True)
class Corrections:
    """A file of corrected tickets, and how many of them are theirs."""

    path: Path
    theirs: int
    count: int

    def line(self) -> str:
        """For the terminal."""
        return f"{self.path.name} ({self.theirs:,} of {self.count:,} theirs)"


def find_corrections(root: Path, wanted: Wanted, keys: set[str]) -> list[Corrections]:
    """Files of corrected tickets that hold a ticket or a text of theirs.

    Raises:
        Unavailable: DVC's remote did not bring a file that is not here.
        TicketSentimentError: there is no remote either, or a file is damaged.
    """
    folder = root / CORRECTIONS
    paths = {path.with_suffix("") for path in folder.glob("*.parquet.dvc")}
    found = []
    for path in sorted(paths.union(folder.glob("*.parquet"))):
        if not path.is_file():
            pointer = f"{path.relative_to(root).as_posix()}.dvc"
            bring(root, pointer, f"see that `dvc pull {pointer}` works, or remove {pointer}")
        rows = load_corrections(path)
        theirs = int((wanted.rows(rows) | rows["text"].map(key_of).isin(keys)).sum())
        if theirs:
            found.append(Corrections(path, theirs, len(rows)))
    return found


def remove_copies(root: Path, corrections: Collection[Corrections]) -> None:
    """Delete these files with DVC's files about them, and what is made anew when it is asked for.

    That is the folders of hotfixes, which are copies of the tables, and the page of `compare`.
    """
    for one in corrections:
        one.path.unlink(missing_ok=True)
        Path(f"{one.path}.dvc").unlink(missing_ok=True)  # last: it brings the file back to a second run
    for folder in (root / FOLDERS).glob("*"):
        shutil.rmtree(folder)
    (root / COMPARISON).unlink(missing_ok=True)

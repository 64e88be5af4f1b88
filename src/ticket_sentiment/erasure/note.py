"""The note of an erasure that is under way: a killed one is finished before anything else writes tickets."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ticket_sentiment.erasure.wanted import Wanted
from ticket_sentiment.files import read_json, write_json
from ticket_sentiment.tickets.months import noted
from ticket_sentiment.tickets.schema import Table
from ticket_sentiment.tickets.versions import ERASING

EVENTS_LEFT = Path("var/erasing-events.json")  # there where the tables are done, and the database is not


@dataclass(frozen=True)
class Note:
    """What is erased, and which months were open before (`Table.open_note`), by folder."""

    wanted: Wanted
    open: dict[str, list[str]]

    @classmethod
    def read(cls, root: Path) -> "Note | None":
        """That of a killed erasure; None where there is none.

        Raises:
            TicketSentimentError: it cannot be read.
        """
        for path in (root / ERASING, root / EVENTS_LEFT):
            if path.is_file():
                content = read_json(
                    path, f"remove {path} and run the erasure again with all it was asked for"
                )
                return cls(Wanted.from_json(content["wanted"]), content["open"])
        return None

    @classmethod
    def begin(cls, wanted: Wanted, kinds: Iterable[Table], root: Path) -> "Note":
        """Write it, before the first is erased. What was open when a killed erasure wrote tables counts."""
        killed = cls.read(root) if (root / ERASING).is_file() else None
        now = {kind.folder.as_posix(): sorted(noted(root / kind.open_note)) for kind in kinds}
        made = cls(wanted, killed.open if killed else now)
        write_json(root / ERASING, {"wanted": wanted.as_json(), "open": made.open})
        return made

    def opened(self, kind: Table) -> set[str]:
        """The months of a table that were open before."""
        return set(self.open[kind.folder.as_posix()])

    @staticmethod
    def tables_done(root: Path) -> None:
        """Tickets may be collected again; what is in the event database is still to be erased."""
        (root / ERASING).replace(root / EVENTS_LEFT)

    @staticmethod
    def end(root: Path) -> None:
        """All is erased."""
        (root / EVENTS_LEFT).unlink()

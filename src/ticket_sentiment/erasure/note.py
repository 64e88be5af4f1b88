"""The note of an erasure that is under way: a killed one is finished before anything else writes tickets."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ticket_sentiment.erasure.wanted import Wanted
from ticket_sentiment.files import read_json, write_json
from ticket_sentiment.tickets.months import noted
from ticket_sentiment.tickets.schema import Table
from ticket_sentiment.tickets.versions import ERASING


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
        path = root / ERASING
        if not path.is_file():
            return None
        content = read_json(path, f"remove {path} and run the erasure again with all it was asked for")
        return cls(Wanted.from_json(content["wanted"]), content["open"])

    @classmethod
    def begin(cls, wanted: Wanted, kinds: Iterable[Table], root: Path, killed: "Note | None") -> "Note":
        """Write it, before the first is erased. Of a killed erasure the months that were open then count."""
        now = {kind.folder.as_posix(): sorted(noted(root / kind.open_note)) for kind in kinds}
        made = cls(wanted, killed.open if killed else now)
        write_json(root / ERASING, {"wanted": wanted.as_json(), "open": made.open})
        return made

    def opened(self, kind: Table) -> set[str]:
        """The months of a table that were open before."""
        return set(self.open[kind.folder.as_posix()])

    @staticmethod
    def end(root: Path) -> None:
        """All is erased."""
        (root / ERASING).unlink()

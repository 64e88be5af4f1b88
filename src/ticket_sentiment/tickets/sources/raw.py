"""The one shape that every source delivers, and the choice of the source."""

import logging
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Tickets
from ticket_sentiment.tickets.privacy import NO_KEY, keyed
from ticket_sentiment.tickets.schema import DEMO_LABELS

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RawTable:
    """Columns as the source names them, values as it gives them.

    Attributes:
        name: what a person calls it: the file, the query, the data set.
        columns: one list of values a column, all of one length.
        numbers: where each row is, as a person counts: a CSV's header is row 1, JSON Lines by line.
        label_source: written beside each label.
        twice: names that several columns have, which of them is meant nobody knows; it matters only if one
            is asked for.
        unreadable: of columns that hold what is no value, why; it matters only if one is asked for.
    """

    name: str
    columns: dict[str, list[Any]]
    numbers: Sequence[int]
    label_source: str = "import"
    twice: Collection[str] = ()
    unreadable: Mapping[str, str] = field(default_factory=dict)
    identity: bool = field(default=False)
    """Its columns and labels are ours already: tickets.columns and tickets.labels do not apply."""

    def values(self, name: str) -> list[Any]:
        """A column that is there.

        Raises:
            TicketSentimentError: it cannot be read, or several have its name; the message names it.
        """
        if name in self.twice:
            raise TicketSentimentError(
                f"{self.name}: several columns are named {name!r}: name them apart (in SQL with `as`), and "
                "set tickets.columns to the one that is meant"
            )
        if name in self.unreadable:
            raise TicketSentimentError(
                f"{self.name}: column {name!r} cannot be read ({self.unreadable[name]}): correct the export"
            )
        return self.columns[name]

    def has(self, known: Iterable[str]) -> str:
        """Its columns, for a message; only `known` ones by name, as without a header others are a ticket."""
        named = [name for name in dict.fromkeys(known) if name in self.columns]
        if not named:
            if len(self.columns) == 1 and not self.twice:
                return "a single column, of no known name: does tickets.source.delimiter hold for it?"
            return f"{len(self.columns)} columns, none of a known name: a file without a header line?"
        return f"{len(self.columns)} columns, of a known name: {', '.join(named)}"


def read_raw(tickets: Tickets, root: Path) -> list[RawTable]:
    """Read the configured source; paths are relative to `root`.

    Where real customers come in and their pseudonyms have no key, a warning says so.

    Raises:
        TicketSentimentError: the source is missing, empty, damaged or cannot be reached.
    """
    source = tickets.source
    if source.kind != "demo" and not keyed():
        logger.warning(NO_KEY)
    if source.kind == "files":
        from ticket_sentiment.tickets.sources.files import read_files

        return read_files(source, root)
    if source.kind == "sql":
        from ticket_sentiment.tickets.sources.sql import read_sql

        return [read_sql(source)]
    if source.kind == "hub":
        from ticket_sentiment.tickets.sources.hub import read_hub

        return [read_hub(source)]
    from ticket_sentiment.tickets.demo import read_demo

    frame = read_demo(source)
    columns = {str(name): frame[name].tolist() for name in frame.columns}
    return [RawTable("demo", columns, range(1, len(frame) + 1), label_source=DEMO_LABELS, identity=True)]

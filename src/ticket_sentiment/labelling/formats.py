"""The queue as a file for a spreadsheet (CSV) or for Label Studio (JSON)."""

import csv
import json
import re
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing, write_text

CONTROL = "sentiment"  # the name of the choice in docs/label-studio.xml
CSV_COLUMNS = (
    "ticket_id", "text", "channel", "label", "labelled_at", "why", "probability", "answered_at"
)  # fmt: skip
# A cell that begins so is a formula to a spreadsheet, which may run commands and call addresses (OWASP, "CSV
# Injection"; CWE-1236). The wide forms are those that some spreadsheets take for the same.
_FORMULA = re.compile(r"'*[=+\-@\t\r\n＝＋－＠]")
# Where a spreadsheet separates cells by semicolons or tabs, as most of Europe's, one may hold another.
_FURTHER = re.compile(r"(?<=[;\t])([ \"]*)('*)(?=[=+\-@＝＋－＠])")


@dataclass(frozen=True)
class Row:
    """A ticket of the queue.

    Attributes:
        ticket_id: of the ticket.
        text: masked.
        channel: None where it is not known.
        why: one of `choose.REASONS`.
        probability: with which it was drawn; None where that is not known.
        answered_at: when a model answered it last; None where it is not asked for its answer.
    """

    ticket_id: str
    text: str
    channel: str | None
    why: str
    probability: float | None
    answered_at: datetime | None

    def fields(self) -> dict[str, str | float | None]:
        """What both formats show; what the model said is left out, as it would suggest the label."""
        return {
            "ticket_id": self.ticket_id,
            "text": self.text,
            "channel": self.channel,
            "why": self.why,
            "probability": self.probability,
            "answered_at": self.answered_at and self.answered_at.isoformat(),
        }


def escaped(cell: str) -> str:
    """A cell that no spreadsheet takes for a formula; `unescaped` gives back what it was."""
    inside = _FURTHER.sub(r"\1'\2", cell)
    return f"'{inside}" if _FORMULA.match(cell) else inside


def unescaped(cell: str) -> str:
    """What `escaped` was given; a spreadsheet may have taken its apostrophe off already."""
    whole = cell[1:] if cell.startswith("'") and _FORMULA.match(cell) else cell
    return _FURTHER.sub(lambda found: found[1] + found[2][1:], whole)


def require_format(path: Path) -> str:
    """`csv` or `json`, by the file's ending.

    Raises:
        TicketSentimentError: another ending.
    """
    ending = path.suffix.lower().removeprefix(".")
    if ending not in ("csv", "json"):
        raise TicketSentimentError(
            f"{path}: expected a name that ends in .csv (spreadsheet) or .json (Label Studio)"
        )
    return ending


def write_queue(path: Path, rows: list[Row]) -> None:
    """Write the queue as a whole file, in the format of its ending.

    CSV is UTF-8 with a byte order mark, without which Excel takes it for another encoding; `label` and
    `labelled_at` are to be filled in. JSON is Label Studio's list of tasks.
    """
    if require_format(path) == "json":
        write_text(
            path, json.dumps([{"data": row.fields()} for row in rows], ensure_ascii=False, indent=2) + "\n"
        )
        return
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8-sig", newline="") as stream:
        writer = csv.DictWriter(stream, CSV_COLUMNS, restval="")
        writer.writeheader()
        for row in rows:
            cells = {key: "" if value is None else str(value) for key, value in row.fields().items()}
            writer.writerow({key: escaped(cell) for key, cell in cells.items()})

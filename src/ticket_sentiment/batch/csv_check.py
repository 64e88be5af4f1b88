"""Whether a CSV file's quotes can be trusted, before its first ticket is scored.

pyarrow takes what follows an open quote for one cell, up to the next quote or the file's end, and says
nothing: all tickets in between would go without an answer. The strict reader of Python's csv tells.
"""

import csv
from collections.abc import Iterator
from pathlib import Path
from typing import TextIO

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Batch


def count_rows(path: Path, name: str, batch: Batch, longest: int) -> int:
    """Rows of a CSV file, its header and blank lines among them; memory holds one row.

    Args:
        path: where it lies.
        name: within the input.
        batch: of params.yaml.
        longest: characters that a cell or a line may have.

    Raises:
        TicketSentimentError: a quote is not closed, or there is something between it and the next cell.
    """
    before = csv.field_size_limit(longest)  # of the whole process
    try:
        return _count(path, name, batch, longest)
    finally:
        csv.field_size_limit(before)


def _count(path: Path, name: str, batch: Batch, longest: int) -> int:
    row, begins = 1, 1
    # What does not decode is its own row's matter, or the reader's.
    with path.open(encoding=batch.encoding, errors="replace", newline="") as stream:
        reader = csv.reader(_lines(stream, longest), delimiter=batch.delimiter, strict=True)
        try:
            for _ in reader:
                row, begins = row + 1, reader.line_num + 1
        except csv.Error as error:
            raise TicketSentimentError(
                f"{name} row {row} (it begins in line {begins}) is not valid CSV ({error}): close each quote "
                "that begins a cell, and write one within a quoted cell twice; or correct batch.delimiter "
                f"(now {batch.delimiter!r})"
            ) from None
    return row - 1


def _lines(stream: TextIO, longest: int) -> Iterator[str]:
    """Raises csv.Error where a line is too long to be one row's."""
    if stream.read(1) != "\ufeff":
        stream.seek(0)
    while line := stream.readline(longest):
        if len(line) == longest and line[-1] not in "\r\n":
            raise csv.Error(f"a line has more than {longest} characters")
        yield line

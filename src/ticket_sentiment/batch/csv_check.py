"""Whether a CSV file's quotes can be trusted, before its first ticket is scored.

pyarrow takes what follows an open quote for one cell, up to the next quote or the file's end, and says
nothing: all tickets in between would go without an answer. The strict reader of Python's csv tells.
"""

import codecs
import contextlib
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple, TextIO

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Batch


class Checked(NamedTuple):
    """A CSV file whose quotes are as they should be.

    Attributes:
        rows: its header and blank lines among them.
        stops_pyarrow: a row has another number of fields than the header, and bytes that are no UTF-8:
            pyarrow decodes such a row before it tells of it, and ends there.
    """

    rows: int
    stops_pyarrow: bool


def read_header(path: Path, name: str, batch: Batch, longest: int) -> list[str]:
    """Names of a CSV file's columns, whatever its quotes are like: see `check`, also for the arguments.

    Raises:
        TicketSentimentError: a name is too long, or the encoding is unknown or not the file's.
    """
    with _cells_up_to(longest), contextlib.closing(_rows(path, name, batch, longest, strict=False)) as rows:
        return next(rows, [])


def check(path: Path, name: str, batch: Batch, longest: int) -> Checked:
    """Read a CSV file to its end; memory holds one row.

    Args:
        path: where it lies.
        name: within the input.
        batch: of params.yaml.
        longest: characters that a cell or a line may have.

    Raises:
        TicketSentimentError: a quote is not closed, or there is something between it and the next cell; or
            the encoding is unknown, or it is not UTF-8 and not the file's.
    """
    count, stops = 1, False
    with _cells_up_to(longest), contextlib.closing(_rows(path, name, batch, longest)) as rows:
        width = len(next(rows, []))
        for row in rows:
            count += 1
            stops = stops or (len(row) != width and not _is_text("".join(row)))
    return Checked(count, stops)


def read_rows(path: Path, name: str, batch: Batch, longest: int) -> Iterator[list[bytes]]:
    """Every row, the header first; its cells as UTF-8, or as they are where they are none.

    See `check` for the arguments, and for what is raised.
    """
    with contextlib.closing(_rows(path, name, batch, longest)) as rows:
        while True:
            with _cells_up_to(longest):
                row = next(rows, None)
            if row is None:
                return
            yield [cell.encode("utf-8", "surrogateescape") for cell in row]


def not_encoded(name: str, batch: Batch) -> TicketSentimentError:
    """What to say of a file in another encoding."""
    return TicketSentimentError(
        f"{name} is not {batch.encoding}: set batch.encoding, often cp1252 for exports from Windows"
    )


@contextlib.contextmanager
def _cells_up_to(longest: int) -> Iterator[None]:
    before = csv.field_size_limit(longest)  # of the whole process
    try:
        yield
    finally:
        csv.field_size_limit(before)


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # a byte that did not decode
        return False
    return True


def _rows(path: Path, name: str, batch: Batch, longest: int, strict: bool = True) -> Iterator[list[str]]:
    row, begins = 1, 1
    try:
        # Of a text that is no UTF-8 only its own row is bad; in other encodings pyarrow goes no further.
        errors = "surrogateescape" if codecs.lookup(batch.encoding).name == "utf-8" else "strict"
        with path.open(encoding=batch.encoding, errors=errors, newline="") as stream:
            reader = csv.reader(_lines(stream, longest), delimiter=batch.delimiter, strict=strict)
            for cells in reader:
                yield cells
                row, begins = row + 1, reader.line_num + 1
    except LookupError:
        raise TicketSentimentError(
            f"batch.encoding: {batch.encoding!r} is no known encoding: try utf-8, cp1252 or utf-16"
        ) from None
    except UnicodeError:
        raise not_encoded(name, batch) from None
    except csv.Error as error:
        raise TicketSentimentError(
            f"{name} row {row} (it begins in line {begins}) is not valid CSV ({error}): close each quote "
            "that begins a cell, and write one within a quoted cell twice; or correct batch.delimiter "
            f"(now {batch.delimiter!r})"
        ) from None


def _lines(stream: TextIO, longest: int) -> Iterator[str]:
    """Raises csv.Error where a line is too long to be one row's."""
    if stream.read(1) != "\ufeff":
        stream.seek(0)
    while line := stream.readline(longest):
        if len(line) == longest and line[-1] not in "\r\n":
            raise csv.Error(f"a line has more than {longest} characters")
        yield line

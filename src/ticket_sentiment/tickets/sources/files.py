"""Tickets from CSV, JSON Lines and Parquet files."""

import codecs
import csv
import glob
import io
import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import FilesSource
from ticket_sentiment.tickets.formats import FORMATS
from ticket_sentiment.tickets.sources.raw import RawTable

MAX_FIELD_CHARS = 10_000_000  # csv's own limit of 131,072 is less than some tickets with their history


def read_files(source: FilesSource, root: Path) -> list[RawTable]:
    """All files of the glob, sorted by name.

    Raises:
        TicketSentimentError: no file matches, or one is empty, cut off, in another encoding or format;
            the message names the file and, where it can, the row.
    """
    paths = matching(source, root)
    if not paths:
        raise TicketSentimentError(
            f"no file matches {source.path!r}: correct tickets.source.path in params.yaml "
            "(relative to the repository)"
        )
    return [_read_file(root / path, str(path), source) for path in paths]


def matching(source: FilesSource, root: Path) -> list[Path]:
    """The files of the glob, as it names them, sorted."""
    names = sorted(glob.glob(source.path, root_dir=root, recursive=True))
    return [Path(name) for name in names if (root / name).is_file()]


def _read_file(path: Path, name: str, source: FilesSource) -> RawTable:
    kind = FORMATS.get(path.suffix.lower()) if source.format == "auto" else source.format
    if kind is None:
        raise TicketSentimentError(
            f"{name}: unknown ending {path.suffix!r}: set tickets.source.format to csv, jsonl or parquet"
        )
    if path.stat().st_size == 0:
        raise TicketSentimentError(f"{name} is empty: export it again or take it out of {source.path!r}")
    if kind == "parquet":
        table = _read_parquet(path, name)
    else:
        text = _decode(path.read_bytes(), name, source.encoding)
        table = _read_csv(text, name, source.delimiter) if kind == "csv" else _read_jsonl(text, name)
    if not table.numbers:
        raise TicketSentimentError(
            f"{name} is empty (no rows): export it again or take it out of {source.path!r}"
        )
    return table


def _decode(content: bytes, name: str, encoding: str) -> str:
    try:
        text = content.decode(encoding)
    except LookupError:
        raise TicketSentimentError(
            f"tickets.source.encoding: {encoding!r} is no known encoding: try utf-8, cp1252 or utf-16"
        ) from None
    except UnicodeError as error:
        offset = getattr(error, "start", 0)
        line = content.count(b"\n", 0, offset) + 1
        marked = content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        likely = "utf-16, as its first bytes say" if marked else "often cp1252 for exports from Windows"
        remedy = f"set tickets.source.encoding ({likely})"
        if _utf8(encoding) and not marked and _mostly_utf8(content):
            remedy = "the file is damaged there, as most of it is UTF-8: export it again"
        raise TicketSentimentError(
            f"{name} is not {encoding}: byte {offset} (line {line}) does not decode: {remedy}"
        ) from None
    if not _utf8(encoding) and not content.isascii() and _decodes(content):
        raise TicketSentimentError(
            f"{name} is UTF-8, and would be garbled as {encoding}: save it as {encoding}, or, where all "
            "files are UTF-8, set tickets.source.encoding to utf-8"
        )
    return text.removeprefix("\ufeff")


def _utf8(encoding: str) -> bool:
    return codecs.lookup(encoding).name in ("utf-8", "utf-8-sig")


def _decodes(content: bytes) -> bool:
    """Whether it is UTF-8 from beginning to end."""
    try:
        content.decode()
    except UnicodeDecodeError:
        return False
    return True


def _mostly_utf8(content: bytes) -> bool:
    """Whether more of the characters beyond ASCII are UTF-8 than are not."""
    text = content.decode(errors="replace")
    broken = text.count("\ufffd")
    return len(text) - len(text.encode("ascii", "ignore")) > 2 * broken


def _read_csv(text: str, name: str, delimiter: str) -> RawTable:
    csv.field_size_limit(MAX_FIELD_CHARS)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    header: list[str] | None = None
    rows: list[list[str]] = []
    numbers: list[int] = []
    number = 0
    try:
        for number, row in enumerate(reader, start=1):
            if not row or (len(row) > 1 and not any(map(str.strip, row))):  # a spreadsheet's empty rows
                continue
            if header is None:
                header = [column.strip() for column in row]
            elif len(row) != len(header):
                raise TicketSentimentError(
                    f"{name} row {number}: {len(row)} fields, the header has {len(header)}: "
                    "quote fields that hold the delimiter or a line break, "
                    "or correct tickets.source.delimiter"
                )
            else:
                rows.append(row)
                numbers.append(number)
    except csv.Error as error:
        raise TicketSentimentError(
            f"{name} row {number + 1} (line {reader.line_num}) is not valid CSV ({error}): "
            "export it again or correct the quotes"
        ) from None
    header = header or []
    columns = {column: [row[index] for row in rows] for index, column in enumerate(header)}
    twice = [column for column in columns if header.count(column) > 1]
    return RawTable(name, columns, numbers, twice=twice)


def _read_jsonl(text: str, name: str) -> RawTable:
    records: list[dict[str, Any]] = []
    numbers: list[int] = []
    # Not splitlines(): JSON may hold U+2028 and its like unescaped.
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            record = None
        if not isinstance(record, dict):
            raise TicketSentimentError(
                f"{name} row {number} is not a JSON object: one object a line is expected; export it again"
            )
        records.append(record)
        numbers.append(number)
    names = dict.fromkeys(key for record in records for key in record)
    return RawTable(name, {key: [record.get(key) for record in records] for key in names}, numbers)


def _read_parquet(path: Path, name: str) -> RawTable:
    try:
        table = pq.ParquetFile(path).read()
    except (pa.ArrowException, OSError, ValueError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TicketSentimentError(
            f"{name} is not a whole Parquet file ({reason}): copy or export it again"
        ) from None
    columns: dict[str, list[Any]] = {}
    unreadable: dict[str, str] = {}
    for column, values in zip(table.column_names, table, strict=True):
        try:
            columns[column] = values.to_pylist()
        except (pa.ArrowException, ValueError, OverflowError, LookupError) as error:  # of years and zones
            columns[column] = [None] * table.num_rows
            unreadable[column] = f"{type(error).__name__}, of the type {values.type}"
    twice = [column for column in columns if table.column_names.count(column) > 1]
    return RawTable(name, columns, range(1, table.num_rows + 1), twice=twice, unreadable=unreadable)

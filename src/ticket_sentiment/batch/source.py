"""What is to be scored: files, who they are, and their rows in chunks. Memory holds a few chunks at a time.

A chunk is made of one file's rows in their order, so it is the same whoever scores it, and when. Rows have
the numbers that they have for a person: of a CSV file the header is row 1, of others the first line or row.
"""

import glob
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq

from ticket_sentiment.batch import csv_check, json_lines
from ticket_sentiment.batch.scorer import FIELDS, LINE, ROW
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Batch
from ticket_sentiment.tickets.formats import FORMATS

REQUIRED = ("ticket_id", "text")
BLOCK = 2**24  # bytes of a CSV file at a time; a row must fit


@dataclass(frozen=True)
class SourceFile:
    """A file as it was when the job began.

    Attributes:
        path: where it lies.
        name: within the input, by which output and rejects know it.
        kind: csv, jsonl or parquet.
        size: bytes.
        changed_ns: when it was changed last.
        sha256: of its content.
        rows: of JSON Lines its lines, which is about that, else exactly.
        columns: name in this file of each field that it has; of JSON Lines every row says for itself.
        stops_pyarrow: a CSV file that pyarrow does not read to its end (`csv_check.Checked`).
    """

    path: Path
    name: str
    kind: str
    size: int
    changed_ns: int
    sha256: str
    rows: int
    columns: dict[str, str]
    stops_pyarrow: bool = False


class Reject(NamedTuple):
    """A row without an answer."""

    row: int
    reason: str

    @classmethod
    def of_width(cls, row: int, fields: int, expected: int) -> "Reject":
        """A row of CSV with another number of fields than the header."""
        return cls(row, f"has {fields} fields, the header has {expected}")


@dataclass(frozen=True)
class Chunk:
    """Rows of one file, and those among them that could not even be read.

    Attributes:
        index: of the chunk in the whole input.
        file: its name.
        table: column `row`, and the fields, or the `line`s of JSON Lines.
        rejects: by the reader.
    """

    index: int
    file: str
    table: pa.Table
    rejects: list[Reject]


def find_files(given: str, out: Path | None = None) -> list[tuple[Path, str]]:
    """Files of a path, folder or glob, in the order of their names.

    Args:
        given: the path, folder or glob.
        out: a folder whose files are no input: that of the answers, which a glob may reach.

    Raises:
        TicketSentimentError: there is none, or one is of an unknown kind.
    """
    place = Path(given)
    if place.is_file():
        found = [(place, place.name)]
    elif place.is_dir():
        names = (path.relative_to(place) for path in place.rglob("*") if path.is_file())
        visible = (name for name in names if not any(part[0] in "._" for part in name.parts))
        found = [(place / name, name.as_posix()) for name in sorted(visible)]
    else:
        found = [
            (Path(name), name)
            for name in sorted(set(glob.glob(given, recursive=True)))
            if Path(name).is_file()
        ]
    if out is not None:
        others = [one for one in found if not one[0].resolve().is_relative_to(out.resolve())]
        if found and not others:
            raise TicketSentimentError(
                f"{given} lies in the output {out}: name another folder for the answers"
            )
        found = others
    if not found:
        raise TicketSentimentError(f"{given}: no file is there: expected a file, a folder of files or a glob")
    for path, name in found:
        if path.suffix.lower() not in FORMATS:
            raise TicketSentimentError(
                f"{name}: unknown ending {path.suffix!r}: expected one of {', '.join(FORMATS)}; "
                "a glob names some files and leaves others out"
            )
    return found


def describe(given: str, columns: dict[str, str], batch: Batch, out: Path | None = None) -> list[SourceFile]:
    """Read every file once for its digest, and look at its columns, before the first ticket is scored.

    Args:
        given: a path, folder or glob.
        columns: our field: the input's column; where a file has no such column, the field's own name counts.
        batch: of params.yaml.
        out: as of `find_files`.

    Raises:
        TicketSentimentError: as `find_files`; or a file is empty, damaged, lacks a column, leaves a quote
            open, or is not in its encoding as a whole.
    """
    return [_describe(path, name, columns, batch) for path, name in find_files(given, out)]


def _describe(path: Path, name: str, columns: dict[str, str], batch: Batch) -> SourceFile:
    kind, state = FORMATS[path.suffix.lower()], path.stat()
    if state.st_size == 0:
        raise TicketSentimentError(f"{name} is empty: export it again or take it out of the input")
    digest, lines = hashlib.sha256(), 0
    with path.open("rb") as stream:
        while block := stream.read(2**20):
            digest.update(block)
            lines += block.count(b"\n") if kind == "jsonl" else 0
    rows, names, stops = lines, columns, False
    if kind == "parquet":
        with _parquet(path, name) as opened:
            rows, present = opened.metadata.num_rows, opened.schema_arrow.names
    elif kind == "csv":
        present = csv_check.read_header(path, name, batch, BLOCK)
    if kind == "jsonl":
        keys = json_lines.read_keys(path, name)
        if keys is not None:
            _names(name, keys, columns)  # each row says for itself, but one of them must
    else:
        names = _names(name, present, columns)
    if kind == "csv":  # after the names: with a wrong delimiter quotes look wrong, too
        rows, stops = csv_check.check(path, name, batch, BLOCK)
        rows -= 1
    return SourceFile(
        path, name, kind, state.st_size, state.st_mtime_ns, digest.hexdigest(), rows, names, stops
    )


def _names(file: str, present: Sequence[str], columns: dict[str, str]) -> dict[str, str]:
    found = {}
    for field in FIELDS:
        wanted = columns.get(field, field)
        if wanted in present or field in present:
            found[field] = wanted if wanted in present else field
        elif field in REQUIRED:
            raise TicketSentimentError(
                f"{file}: column {wanted!r} is missing: say which one holds it by `--column {field}=NAME` "
                "or tickets.columns in params.yaml; of CSV look at batch.delimiter and batch.encoding, too"
            )
        if present.count(found.get(field, "")) > 1:
            raise TicketSentimentError(f"{file}: column {found[field]!r} is there twice: rename one")
    return found


def read_chunks(files: Sequence[SourceFile], batch: Batch) -> Iterator[Chunk]:
    """All rows of all files, `batch.chunk_rows` in a chunk.

    Raises:
        TicketSentimentError: a file is damaged, or has changed its columns.
    """
    readers = {"csv": _read_csv, "jsonl": _read_jsonl, "parquet": _read_parquet}
    index = itertools.count()
    for file in files:
        try:
            for table, rejects in _cut(readers[file.kind](file, batch), batch.chunk_rows):
                yield Chunk(next(index), file.name, table, rejects)
        except UnicodeError:
            raise csv_check.not_encoded(file.name, batch) from None
        except (pa.ArrowException, OSError) as error:  # whose message may hold a row
            raise TicketSentimentError(
                f"{file.name} cannot be read to its end ({type(error).__name__}): export it again; "
                f"in CSV close every quote, a row has at most {BLOCK} bytes"
            ) from None


def _cut(
    pieces: Iterator[tuple[pa.Table, list[Reject]]], rows: int
) -> Iterator[tuple[pa.Table, list[Reject]]]:
    """Pieces of any size as tables of `rows` rows, and what is left; a reject goes with the rows after it."""
    held, rejects = [], []
    for piece, unread in pieces:
        held.append(piece)
        rejects += unread
        if sum(table.num_rows for table in held) < rows and len(rejects) < rows:
            continue
        table = pa.concat_tables(held)
        while table.num_rows >= rows:
            head, table = table.slice(0, rows), table.slice(rows)
            last = head.column(ROW)[-1].as_py()
            yield head, [reject for reject in rejects if reject.row < last]
            rejects = [reject for reject in rejects if reject.row > last]
        if len(rejects) >= rows:  # hardly a row can be read
            yield table, rejects
            table, rejects = table.slice(0, 0), []
        held = [table]
    if held and (rejects or sum(table.num_rows for table in held)):
        yield pa.concat_tables(held), rejects


def _numbered(numbers: np.ndarray, columns: dict[str, pa.Array]) -> pa.Table:
    return pa.table({ROW: pa.array(numbers, pa.int64()), **columns})


def _parquet(path: Path, name: str) -> pq.ParquetFile:
    try:
        # By pages, however large its row groups are; in:1 would be an address.
        return pq.ParquetFile(path.absolute(), buffer_size=2**20)
    except (pa.ArrowException, OSError) as error:
        raise TicketSentimentError(
            f"{name} is not a whole Parquet file ({type(error).__name__}): copy or export it again"
        ) from None


def _plain(column: pa.Array) -> pa.Array:
    """Without a dictionary; strings as bytes, as their encoding has not been checked."""
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    if pa.types.is_string(column.type) or pa.types.is_string_view(column.type):
        return column.cast(pa.binary())
    return column.cast(pa.large_binary()) if pa.types.is_large_string(column.type) else column


def _read_parquet(file: SourceFile, batch: Batch) -> Iterator[tuple[pa.Table, list[Reject]]]:
    start = 1
    with _parquet(file.path, file.name) as opened:
        wanted = list(dict.fromkeys(file.columns.values()))
        for piece in opened.iter_batches(batch.chunk_rows, columns=wanted, use_threads=False):
            columns = {field: _plain(piece.column(name)) for field, name in file.columns.items()}
            yield _numbered(np.arange(start, start + piece.num_rows), columns), []
            start += piece.num_rows


def _csv(file: SourceFile, batch: Batch, rejects: list[Reject]) -> pyarrow.csv.CSVStreamingReader:
    """Opened at its header; rows with another number of fields go to `rejects`."""

    def skip(row: pyarrow.csv.InvalidRow) -> str:
        rejects.append(Reject.of_width(row.number, row.actual_columns, row.expected_columns))
        return "skip"

    columns = list(dict.fromkeys(file.columns.values()))
    return pyarrow.csv.open_csv(
        file.path,
        # One thread, or rows have no numbers. A blank line is a row, or they have wrong ones.
        pyarrow.csv.ReadOptions(use_threads=False, block_size=BLOCK, encoding=batch.encoding),
        pyarrow.csv.ParseOptions(
            delimiter=batch.delimiter, newlines_in_values=True, ignore_empty_lines=False,
            invalid_row_handler=skip,
        ),
        # As bytes: of a text that is no UTF-8 only its own row is bad.
        pyarrow.csv.ConvertOptions(
            include_columns=columns, column_types=dict.fromkeys(columns, pa.binary())
        ),
    )  # fmt: skip


def _read_csv(file: SourceFile, batch: Batch) -> Iterator[tuple[pa.Table, list[Reject]]]:
    if not file.rows:  # a header alone, for which pyarrow wants a line end
        return
    if file.stops_pyarrow:
        yield from _read_csv_by_rows(file, batch)
        return
    seen: list[Reject] = []  # the reader may be blocks ahead of the rows that it hands out
    start, skipped = 2, []
    for piece in _csv(file, batch, seen):
        rejects = seen[:]
        del seen[: len(rejects)]
        skipped = [row for row in skipped if row >= start] + [reject.row for reject in rejects]
        numbers = np.setdiff1d(np.arange(start, start + piece.num_rows + len(skipped)), skipped)[
            : piece.num_rows
        ]
        yield _numbered(numbers, {field: piece.column(name) for field, name in file.columns.items()}), rejects
        start = int(numbers.max(initial=start - 1)) + 1
    if seen:
        yield _numbered(np.arange(0), dict.fromkeys(file.columns, pa.array([], pa.binary()))), seen


def _read_csv_by_rows(file: SourceFile, batch: Batch) -> Iterator[tuple[pa.Table, list[Reject]]]:
    """With Python's reader: slower, which does not matter beside the model."""
    rows = csv_check.read_rows(file.path, file.name, batch, BLOCK)
    header = next(rows)
    places = [header.index(name.encode()) for name in file.columns.values()]
    numbered, left = enumerate(rows, start=2), True
    while left:
        numbers, cells, rejects, held, left = [], [], [], 0, False
        for number, row in numbered:
            row = row or [b""] * len(header)  # a blank line is one for pyarrow, too
            if len(row) == len(header):
                numbers.append(number)
                cells.append([row[place] for place in places])
                held += sum(map(len, cells[-1]))
            else:
                rejects.append(Reject.of_width(number, len(row), len(header)))
            if left := held >= BLOCK or len(numbers) + len(rejects) >= batch.chunk_rows:
                break
        columns = zip(*cells, strict=True) if cells else [[]] * len(places)
        arrays = [pa.array(column, pa.binary()) for column in columns]
        yield _numbered(np.array(numbers, np.int64), dict(zip(file.columns, arrays, strict=True))), rejects


def _read_jsonl(file: SourceFile, batch: Batch) -> Iterator[tuple[pa.Table, list[Reject]]]:
    keys = {*FIELDS, *file.columns.values()}
    with file.path.open("rb") as stream:
        lines_of_it = (
            line and json_lines.without_the_rest(line, keys) for line in json_lines.read_lines(stream)
        )
        numbered = enumerate(lines_of_it, start=1)
        while some := list(itertools.islice(numbered, batch.chunk_rows)):
            filled = [(number, line) for number, line in some if line is None or line.strip()]
            read = [(number, line) for number, line in filled if line is not None]
            lines = pa.array([line for _, line in read], pa.binary())
            long = [
                Reject(number, f"has more than {json_lines.LONGEST_LINE} bytes")
                for number, line in filled
                if line is None
            ]
            yield _numbered(np.array([number for number, _ in read], dtype=np.int64), {LINE: lines}), long

"""Corrected tickets: what the model gets wrong, as people say, checked and masked before it is kept."""

import codecs
import glob
import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import FilesSource, Params, Tickets
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.formats import FORMATS
from ticket_sentiment.tickets.privacy import clean, dedup_key
from ticket_sentiment.tickets.sources.files import read_files
from ticket_sentiment.tickets.sources.mapping import cell_text
from ticket_sentiment.tickets.sources.raw import RawTable
from ticket_sentiment.tickets.spreadsheet import delimiter_of

SCHEMA = pa.schema([(name, pa.string()) for name in ("ticket_id", "text", "label")])
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
REQUIRED = ("text", "label")
MOST_HEAD = 65_536  # bytes of a header line
CORRECTIONS = Path("data/corrections.parquet")  # of the one hotfix that is made in a folder


def key_of(text: str) -> str:
    """The form under which two masked texts are the same ticket to the model."""
    return dedup_key(canonical(text))


def read_corrections(path: Path, params: Params) -> pd.DataFrame:
    """The corrected tickets of a file of people, masked.

    Columns are `text`, `label` and, if known, `ticket_id`; `tickets.columns` and `tickets.labels` hold for
    them as for an export. A row that stands there twice counts once.

    Args:
        path: CSV, JSON Lines or Parquet.
        params: sections `tickets` and `hotfix` are read.

    Returns:
        COLUMNS, in an order that does not depend on the file's; ticket_id may be null.

    Raises:
        TicketSentimentError: the file is missing, damaged, empty or too long, a row has no text or no known
            label, or two rows contradict each other; the message names file, row and remedy.
    """
    if not path.is_file():
        raise TicketSentimentError(f"{path} is not there: name a file of corrected tickets")
    source = params.tickets.source
    if not isinstance(source, FilesSource):
        source = FilesSource(kind="files", path="*")
    saved = _as_saved(path, source)
    settings = {"path": glob.escape(str(path)), "format": "auto", **saved}
    (raw,) = read_files(source.model_copy(update=settings), Path())
    count, most = len(raw.numbers), params.hotfix.max_rows
    if count > most:
        raise TicketSentimentError(
            f"{path} has {count:,} rows, more than hotfix.max_rows ({most:,}): so many are a change of the "
            "tickets: collect them and run `make retrain`, or raise the limit in params.yaml"
        )
    rows = pd.DataFrame(_rows(raw, params.tickets, saved.get("delimiter")), columns=[*COLUMNS, "row"])
    _refuse_contradictions(rows, raw.name)
    return tidy(rows)


def tidy(rows: pd.DataFrame) -> pd.DataFrame:
    """COLUMNS without repetitions, ordered by content: equal corrections give equal files."""
    ordered = rows.assign(key=rows["text"].map(key_of)).sort_values(["key", "ticket_id", "text"])
    return ordered.drop_duplicates(["key", "ticket_id"])[list(COLUMNS)].reset_index(drop=True)


def _rows(raw: RawTable, tickets: Tickets, delimiter: str | None) -> list[tuple[Any, ...]]:
    columns = {name: _column(raw, name, tickets, delimiter) for name in COLUMNS}
    found = []
    for place, number in enumerate(raw.numbers):
        ticket_id, text, label = (cell_text(columns[name][1][place]) for name in COLUMNS)
        where, text = f"{raw.name} row {number}", clean(text)
        if not text:
            raise TicketSentimentError(
                f"{where}: column {columns['text'][0]}: is empty: fill it in or take the row out"
            )
        label = tickets.labels.get(label, label.lower())
        if label not in LABELS:
            raise TicketSentimentError(
                f"{where}: column {columns['label'][0]}: expected one of {', '.join(LABELS)}, or a label of "
                "tickets.labels: correct it"
            )
        found.append((ticket_id or None, text, label, number))
    return found


def _column(raw: RawTable, name: str, tickets: Tickets, delimiter: str | None) -> tuple[str, list[Any]]:
    theirs = tickets.columns.get(name, name)
    both = [list(map(cell_text, raw.columns[one])) for one in (theirs, name) if one in raw.columns]
    if len(both) == 2 and both[0] != both[1]:
        raise TicketSentimentError(
            f"{raw.name}: the columns {theirs!r} (tickets.columns.{name}) and {name!r} differ: keep the one "
            "that is right"
        )
    column = theirs if theirs in raw.columns else name
    if column in raw.columns:
        return column, raw.values(column)
    if name in REQUIRED:
        known = raw.has([*COLUMNS, *tickets.columns.values()])
        between = f", with ',', ';' or tabs between them (read with {delimiter!r})" if delimiter else ""
        raise TicketSentimentError(
            f"{raw.name}: column {name!r} is missing ({known}): name the columns text, label and, "
            f"if you know it, ticket_id{between}"
        )
    return name, [None] * len(raw.numbers)


def _as_saved(path: Path, source: FilesSource) -> dict[str, str]:
    """Encoding and delimiter of a CSV where its first line tells them: it is a person's, not the export's."""
    if FORMATS.get(path.suffix.lower()) != "csv":
        return {}
    with path.open("rb") as stream:
        head = stream.readline(MOST_HEAD)
    marked = {"encoding": "utf-8"} if head.startswith(codecs.BOM_UTF8) else {}
    # Byte by byte: whatever its encoding is, delimiters are ASCII.
    return {"delimiter": delimiter_of(head.decode("latin-1"), source.delimiter), **marked}


def _refuse_contradictions(rows: pd.DataFrame, name: str) -> None:
    """Equal texts with two labels, or one ticket with two texts or labels: nobody knows which is right."""
    by_text = rows.assign(what="text", key=rows["text"].map(key_of), said=rows["label"])
    by_id = rows[rows["ticket_id"].notna()]
    by_id = by_id.assign(
        what="ticket_id", key=by_id["ticket_id"], said=by_id["label"] + " " + by_id["text"].map(key_of)
    )
    for table in (by_text, by_id):
        first = table.groupby("key")["said"].transform("first")
        wrong = table[table["said"] != first]
        if wrong.empty:
            continue
        row = wrong.iloc[0]
        before = table[table["key"] == row["key"]].iloc[0]
        also = "another label" if row["label"] != before["label"] else "another text"
        raise TicketSentimentError(
            f"{name} row {row['row']}: {row['what']} is that of row {before['row']}, with {also}: "
            "keep the right one"
        )


def content_digest(corrections: pd.DataFrame) -> str:
    """SHA-256 of what the corrections say, whatever file they lie in."""
    records = corrections[list(COLUMNS)].astype(object)
    content = records.where(records.notna(), None).values.tolist()
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def write_corrections(path: Path, corrections: pd.DataFrame) -> None:
    """Write corrected tickets as a whole file."""
    table = pa.Table.from_pandas(corrections[list(COLUMNS)], schema=SCHEMA, preserve_index=False)
    with replacing(path) as temporary:
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def load_corrections(path: Path) -> pd.DataFrame:
    """What `write_corrections` wrote.

    Raises:
        TicketSentimentError: the file is missing or is none of these.
    """
    try:
        table = pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException):
        raise TicketSentimentError(
            f"{path} is not there or no Parquet file: run `ticket-sentiment hotfix` again"
        ) from None
    if table.schema.names != list(COLUMNS):
        raise TicketSentimentError(f"{path} holds other columns than {', '.join(COLUMNS)}: remove it")
    return table.to_pandas()

"""The tickets on which two versions are compared: any table with texts, read as the service reads them."""

import glob
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import FilesSource, Tickets
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.schema import COLUMNS
from ticket_sentiment.tickets.sources import map_rows
from ticket_sentiment.tickets.sources.files import read_files
from ticket_sentiment.tickets.sources.mapping import FIELDS

UNDATED = "1970-01-01T00:00:00Z"  # every row alike, so that no part of the tickets is made of it


def read_table(path: Path, tickets: Tickets) -> pd.DataFrame:
    """A CSV, JSON Lines or Parquet file of tickets; only the text has to be there.

    Column names and labels are mapped as `tickets` says, where the file has those columns, and are ours
    otherwise; those of data/tickets and data/prepared are ours. Texts are masked, greeting and signature off,
    as the service does before it scores.

    Args:
        path: of the file.
        tickets: section `tickets` of params.yaml.

    Returns:
        ticket_id (or `row N`), customer_id, created_at, channel, text and label, which may be missing.

    Raises:
        TicketSentimentError: the file or its text column is missing, a cell is not understood, or every text
            is empty.
    """
    if not path.is_file():
        raise TicketSentimentError(f"{path} is no file: give a CSV, JSON Lines or Parquet file with --data")
    source = (
        tickets.source if isinstance(tickets.source, FilesSource) else FilesSource(kind="files", path="*")
    )
    (raw,) = read_files(source.model_copy(update={"path": glob.escape(str(path)), "format": "auto"}), Path())
    if set(raw.columns) == set(COLUMNS):
        raw, tickets = replace(raw, identity=True), tickets.model_copy(update={"columns": {}})
    columns = {field: name for field, name in tickets.columns.items() if name in raw.columns}
    text = columns.get("text", "text")
    if text not in raw.columns:
        raise TicketSentimentError(
            f"{path}: column {text!r} is missing ({raw.has([*FIELDS, *tickets.columns.values()])}): name the "
            "column text, or set tickets.columns.text in params.yaml"
        )
    absent = {
        "ticket_id": [f"row {number}" for number in raw.numbers],
        "created_at": [UNDATED] * len(raw.numbers),
    }
    for field, values in absent.items():
        if columns.get(field, field) not in raw.columns:
            raw = replace(raw, columns={**raw.columns, field: values})
    frame = map_rows([raw], tickets.model_copy(update={"columns": columns}))
    frame = frame.assign(text=[canonical(clean(text)) for text in frame["text"]])
    frame = frame[frame["text"] != ""].reset_index(drop=True)
    if frame.empty:
        raise TicketSentimentError(f"{path}: every text is empty: name the column in tickets.columns.text")
    return frame


def labelled(table: pd.DataFrame) -> np.ndarray:
    """Which rows a person labelled, [rows]."""
    return table["label"].notna().to_numpy()

"""What the search learns from and measures on: the prepared tickets, or any labelled table."""

import glob
import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.labels import LABEL_TO_ID, LABELS
from ticket_sentiment.model.data import PREPARED, LabelledTexts, read_texts
from ticket_sentiment.params import FilesSource, Tickets
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean, dedup_key
from ticket_sentiment.tickets.sources.files import read_files

NAMES = ("train", "unlabelled", "tune", "holdout")
TUNE, HOLDOUT = 10, 20  # percent of a table without a split
MIN_CLASS_ROWS = 10  # of each class, in each part


class Tables(dict[str, LabelledTexts]):
    """train, unlabelled, tune and holdout, and the SHA-256 of what they were read from."""

    def __init__(self, parts: Mapping[str, LabelledTexts], sha256: str) -> None:
        super().__init__(parts)
        self.sha256 = sha256


def prepared_tables() -> Tables:
    """The tables of stage `prepare`."""
    return Tables({name: read_texts(name) for name in NAMES}, sha256_tree(PREPARED))


def _part(key: str) -> str:
    """Where a text goes: by the hash of it, so that equal texts fall together, today and next year."""
    percent = int.from_bytes(hashlib.sha256(key.encode()).digest()[:8], "big") % 100
    return "holdout" if percent < HOLDOUT else "tune" if percent < HOLDOUT + TUNE else "train"


def table_of(path: Path, tickets: Tickets) -> Tables:
    """A CSV, JSON Lines or Parquet file with texts and labels, split 70 : 10 : 20.

    Column names and label names are mapped as `tickets` says. Texts are cleaned as tickets are, greeting
    and signature off; rows without a label go to `unlabelled` when their text belongs to the training part.

    Raises:
        TicketSentimentError: the file or a column is missing, a label is not known, or a part lacks a class.
    """
    if not path.is_file():
        raise TicketSentimentError(f"{path} is no file: give a CSV, JSON Lines or Parquet file")
    (table,) = read_files(FilesSource(kind="files", path=glob.escape(str(path))), Path())
    columns = {field: tickets.columns.get(field, field) for field in ("text", "label")}
    for field, name in columns.items():
        if name not in table.columns:
            raise TicketSentimentError(
                f"{path} has no column {name!r}: set tickets.columns.{field} in params.yaml to one of "
                f"{', '.join(table.columns)}"
            )
    rows: dict[str, list[tuple[str, int]]] = {name: [] for name in NAMES}
    seen: set[str] = set()
    unlabelled: dict[str, str] = {}  # by key: another row may have the label of the same text
    pairs = zip(table.values(columns["text"]), table.values(columns["label"]), strict=True)
    for number, (text, label) in enumerate(pairs, start=1):
        cleaned = canonical(clean(str(text or "")))
        key = dedup_key(cleaned)
        if not key or key in seen:
            continue
        part = _part(key)
        known = None if label in (None, "") else tickets.labels.get(str(label), str(label))
        if known is None:
            if part == "train":
                unlabelled.setdefault(key, cleaned)
            continue
        seen.add(key)
        if known not in LABEL_TO_ID:
            raise TicketSentimentError(
                f"{path}, row {number}: unknown label {str(label)[:40]!r}: map it in tickets.labels of "
                f"params.yaml to one of {', '.join(LABELS)}"
            )
        rows[part].append((cleaned, LABEL_TO_ID[known]))
    rows["unlabelled"] = [(text, -1) for key, text in unlabelled.items() if key not in seen]
    for part in ("train", "tune", "holdout"):
        counts = np.bincount([label for _, label in rows[part]], minlength=len(LABELS))
        if counts.min() < MIN_CLASS_ROWS:
            raise TicketSentimentError(
                f"{path}: {counts.min()} rows labelled {LABELS[counts.argmin()]} fall into {part}, at least "
                f"{MIN_CLASS_ROWS} are needed: give a larger table"
            )
    parts = {
        name: LabelledTexts(
            [text for text, _ in part], np.array([label for _, label in part], dtype=np.int64)
        )
        for name, part in rows.items()
    }
    content = json.dumps(rows, ensure_ascii=False, sort_keys=True).encode()  # as mapped, not as in the file
    return Tables(parts, hashlib.sha256(content).hexdigest())

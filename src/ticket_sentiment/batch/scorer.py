"""One chunk of rows to its answers, with the service's own masking and model. Runs in a worker process.

Rows stay in their order. Equal texts of a chunk are scored once. What cannot be answered gets a reason, which
never holds the text.
"""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import pyarrow as pa

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.params import Gpu, Section, Share
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean, known_customer

FIELDS = ("ticket_id", "customer_id", "text")
ROW, LINE = "row", "line"  # columns of a chunk: the row's number in its file; of JSON Lines the line itself
BAD_ENCODING = "is not in the file's encoding"
EMPTY = "is empty"

# What a chunk becomes; a row has either a label or a reason.
SCORED = pa.schema(
    [
        pa.field(ROW, pa.int64()),
        pa.field("ticket_id", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("p_negative", pa.float64()),
        pa.field("p_neutral", pa.float64()),
        pa.field("p_positive", pa.float64()),
        pa.field("confidence", pa.float64()),
        pa.field("abstain", pa.bool_()),
        pa.field("reason", pa.string()),
    ]
)


class ScoreSettings(Section):
    """What an answer depends on beside the text and the bundle, and how a GPU would be used."""

    columns: dict[str, str]  # our field: the input's column
    max_text_chars: int
    abstain_below: Share
    texts_at_once: int
    gpu: Gpu


class Row(NamedTuple):
    """What the input says about a ticket; with a problem the rest does not matter."""

    ticket_id: str | None = None
    customer_id: str | None = None
    text: str | None = None
    problem: str | None = None


def _as_text(value: Any) -> str | None:
    """A cell as text: bytes are UTF-8, 7.0 (an integer column with gaps) is 7.

    Raises:
        ValueError: the bytes are none.
    """
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, str) or value is None:
        return value
    if isinstance(value, float):
        if value != value:
            return None
        value = int(value) if value.is_integer() else value
    return str(value)


def _row(values: dict[str, Any]) -> Row:
    found: dict[str, str | None] = {}
    for field in FIELDS:
        value = values[field]
        if isinstance(value, dict | list):
            return Row(problem=f"{field} is not text")
        try:
            text = _as_text(value)
        except UnicodeDecodeError:
            return Row(problem=f"{field} {BAD_ENCODING}")
        # JSON can carry half of a surrogate pair; the text's own are the masking's matter.
        found[field] = text if field == "text" or text is None else text.encode("utf-8", "replace").decode()
    ticket_id = (found["ticket_id"] or "").strip()
    if not ticket_id:
        return Row(problem=f"ticket_id {EMPTY}")
    return Row(ticket_id, known_customer(found["customer_id"]), found["text"])


def _from_line(line: bytes, columns: dict[str, str]) -> Row:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):  # a UnicodeDecodeError is a ValueError
        record = None
    if not isinstance(record, dict):
        return Row(problem="is no JSON object")
    return _row({field: record.get(columns.get(field, field), record.get(field)) for field in FIELDS})


def _rows(chunk: pa.Table, columns: dict[str, str]) -> list[Row]:
    if LINE in chunk.column_names:
        return [_from_line(line, columns) for line in chunk.column(LINE).to_pylist()]
    missing = [None] * chunk.num_rows
    cells = [chunk.column(field).to_pylist() if field in chunk.column_names else missing for field in FIELDS]
    return [_row(dict(zip(FIELDS, values, strict=True))) for values in zip(*cells, strict=True)]


class ChunkScorer:
    """Answers chunks with one bundle, on one thread."""

    def __init__(self, bundle: Bundle, settings: ScoreSettings) -> None:
        self._settings = settings
        self._classifier = Classifier(bundle, "", settings.gpu, "cpu")

    def score(self, chunk: pa.Table) -> pa.Table:
        """The answers to a chunk of `source.read_chunks`, as SCORED, row by row.

        Raises:
            TicketSentimentError: the model's answer to a text is no number.
        """
        rows = _rows(chunk, self._settings.columns)
        texts: list[str | None] = []
        problems: list[str | None] = []
        for row in rows:
            text, problem = (None, row.problem) if row.problem else self._readable(row.text)
            texts.append(text)
            problems.append(problem)
        answers = self._answers([text for text in texts if text is not None])
        for index, text in enumerate(texts):
            if text is not None and answers[text] is None:
                problems[index] = "text holds nothing that the tokenizer knows"
        found = [None if text is None else answers[text] for text in texts]
        return self._table(chunk.column(ROW), rows, found, problems)

    def _readable(self, text: str | None) -> tuple[str | None, str | None]:
        """What the model reads of a text, or what is wrong with it: as the service, in its order."""
        if text is not None and len(text) > self._settings.max_text_chars:
            return None, f"text has {len(text)} characters, more than {self._settings.max_text_chars}"
        read = canonical(clean(text)) if text else ""
        return (read, None) if read else (None, f"text {EMPTY}")

    def _answers(self, texts: Sequence[str]) -> dict[str, Answer | None]:
        """By text. Texts of about one length come one after another, so that few are padded much."""
        unique = sorted(dict.fromkeys(texts), key=len)
        if not unique:
            return {}
        try:
            found = self._classifier.answers(unique, self._settings.texts_at_once)
        except ArithmeticError:
            raise TicketSentimentError(
                f"bundle {self._classifier.digest[:12]} answered a text with no number: score with another"
            ) from None
        return dict(zip(unique, found, strict=True))

    def _table(
        self,
        numbers: pa.ChunkedArray,
        rows: Sequence[Row],
        answers: Sequence[Answer | None],
        problems: Sequence[str | None],
    ) -> pa.Table:
        threshold = self._settings.abstain_below
        columns = [
            numbers,
            [row.ticket_id for row in rows],
            [row.customer_id for row in rows],
            [answer and answer.label for answer in answers],
            *([answer and answer.probabilities[place] for answer in answers] for place in range(3)),
            [answer and answer.confidence for answer in answers],
            [None if answer is None else answer.confidence < threshold for answer in answers],
            problems,
        ]
        arrays = [
            column if isinstance(column, pa.ChunkedArray) else pa.array(column, field.type)
            for column, field in zip(columns, SCORED, strict=True)
        ]
        return pa.table(arrays, schema=SCORED)


def pack(table: pa.Table) -> bytes:
    """A table as bytes, for another process."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


def unpack(content: bytes) -> pa.Table:
    """The table that `pack` packed."""
    return pa.ipc.open_stream(content).read_all()


def score_packed(scorer: ChunkScorer, content: bytes) -> bytes:
    """From a packed chunk to its packed answers."""
    return pack(scorer.score(unpack(content)))

"""What drift is judged on: columns of the tickets themselves, and of what the released bundle makes of them.

The two kinds have different references. The bundle's vocabulary and weights were fitted to the training
months: there it knows every word and is surer of itself than anywhere else, so that against them any new
month would look like drift. (Measured: with no drift at all, confidence lay 0.14 standard deviations lower
on new texts after two epochs on 1,500 rows.) Its columns are compared with the tuning month, which is new
to it too.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.runtime import Runtime

TICKET_COLUMNS = ("text_chars", "label")
BUNDLE_COLUMNS = ("text_tokens", "unknown_word_share", "confidence", "predicted_label")
NUMERIC = ("text_chars", "text_tokens", "unknown_word_share", "confidence")
CATEGORICAL = ("label", "predicted_label")
EMBEDDING = "embedding"
REQUIRED = ("text", "label", "created_at")
MIN_ROWS = 30  # below, five folds of the domain classifier and any distance are chance


def months_of(table: pd.DataFrame) -> pd.Series:
    """The month of each ticket, `YYYY-MM` in UTC."""
    return table["created_at"].dt.strftime("%Y-%m")


def sample(table: pd.DataFrame, rows: int, seed: int) -> pd.DataFrame:
    """At most `rows` rows, by a seeded draw, still in the order of the table."""
    if len(table) <= rows:
        return table.reset_index(drop=True)
    return table.sample(rows, random_state=seed).sort_index().reset_index(drop=True)


def unknown_word_share(encoding: Encoding, unknown: int | None) -> float:
    """Share of a text's words that the tokenizer's vocabulary does not hold as a whole.

    Such a word becomes the unknown token or is cut into pieces. Counting the unknown token alone would
    not do: it is so rare that its spread is all but zero, and a distance in units of such a spread calls
    every change a drift.
    """
    pieces: dict[int, int] = {}
    not_whole: set[int] = set()
    for token, word in zip(encoding.ids, encoding.word_ids, strict=True):
        if word is None:  # [CLS], [SEP]
            continue
        pieces[word] = pieces.get(word, 0) + 1
        if token == unknown or pieces[word] > 1:
            not_whole.add(word)
    return len(not_whole) / len(pieces) if pieces else 0.0


def ticket_columns(table: pd.DataFrame) -> pd.DataFrame:
    """TICKET_COLUMNS of tickets with `text` and `label`, one row a ticket."""
    return _typed(
        {"text_chars": [len(text) for text in table["text"]], "label": table["label"].tolist()},
    )


def bundle_columns(table: pd.DataFrame, runtime: Runtime) -> pd.DataFrame:
    """BUNDLE_COLUMNS of tickets with `text`, one row a ticket.

    Args:
        table: tickets.
        runtime: the released CPU bundle. Tokens are those of the whole text, the prediction that of the
            truncated one, as in service.
    """
    texts = table["text"].tolist()
    tokenizer = Tokenizer.from_file(str(runtime.bundle.tokenizer_path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encodings = tokenizer.encode_batch(texts)
    unknown = tokenizer.token_to_id("[UNK]")
    probabilities = runtime.probabilities(texts)
    return _typed(
        {
            "text_tokens": [len(encoding.ids) for encoding in encodings],
            "unknown_word_share": [unknown_word_share(encoding, unknown) for encoding in encodings],
            "confidence": probabilities.max(axis=1),
            "predicted_label": [LABELS[index] for index in probabilities.argmax(axis=1)],
        }
    )


def _typed(columns: dict[str, object]) -> pd.DataFrame:
    # Evidently refuses, or worse misjudges, columns whose type differs between the tables.
    table = pd.DataFrame(columns)
    return table.astype({name: "float64" if name in NUMERIC else "str" for name in table.columns})


def require_rows(rows: int, name: str) -> None:
    """Refuse a table too small to be judged.

    Raises:
        TicketSentimentError: with the table's name and its rows.
    """
    if rows < MIN_ROWS:
        raise TicketSentimentError(
            f"drift: {name} has {rows} rows, at least {MIN_ROWS} are needed: collect more tickets"
        )


def check(table: pd.DataFrame, name: str, vectors: NDArray[np.float32]) -> None:
    """Refuse a table that cannot be judged: a NaN would compare as "no drift".

    Raises:
        TicketSentimentError: a column is missing, there are too few rows, or a value is missing or not
            finite; the message names the table and the column.
    """
    for column in (*NUMERIC, *CATEGORICAL):
        if column not in table.columns:
            raise TicketSentimentError(
                f"drift: {name}: column {column} is missing: run `dvc repro -f prepare`"
            )
    require_rows(len(table), name)
    if len(vectors) != len(table) or not np.isfinite(vectors).all():
        raise TicketSentimentError(
            f"drift: {name}: {EMBEDDING}: expected one finite vector a row: check train.base_model"
        )
    for column in NUMERIC:
        if not np.isfinite(table[column]).all():
            raise TicketSentimentError(
                f"drift: {name}: column {column} has values that are not finite: run `dvc repro -f quantize`"
            )
    for column in CATEGORICAL:
        if not table[column].isin(LABELS).all():
            raise TicketSentimentError(
                f"drift: {name}: column {column}: expected {', '.join(LABELS)}: run `dvc repro -f prepare`"
            )


def summary(table: pd.DataFrame, column: str) -> float | dict[str, float]:
    """What a person reads beside a distance: the mean of a number, the shares of the labels."""
    if column in NUMERIC:
        return round(float(table[column].mean()), 4)
    return {label: round(float((table[column] == label).mean()), 4) for label in LABELS}

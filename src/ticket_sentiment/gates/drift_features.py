"""What drift is judged on: columns of the tickets themselves, and of what a bundle makes of them.

The two kinds have different references. The bundle's vocabulary and weights were fitted to the training
months: there it knows every word and is surer of itself than anywhere else, so that against them any new
month would look like drift. (Measured: with no drift at all, confidence lay 0.14 standard deviations lower
on new texts after two epochs on 1,500 rows.) Its columns are compared with the tuning month, which is new
to it too.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tokenizers import Encoding, Tokenizer

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.runtime import Runtime, softmax
from ticket_sentiment.tickets.language import MIN_LANGUAGE_CHARS, identifier, without_masks
from ticket_sentiment.tickets.shape import Shape, shape

# The columns that the service records of a ticket, too, where it keeps no text.
SHAPE_COLUMNS = tuple(Shape.__annotations__)
TICKET_COLUMNS = (*SHAPE_COLUMNS, "language", "channel", "label")
ANSWER_COLUMNS = ("confidence", "predicted_label")
BUNDLE_COLUMNS = ("text_tokens", "unknown_word_share", *ANSWER_COLUMNS)
NUMERIC = (*SHAPE_COLUMNS, "text_tokens", "unknown_word_share", "confidence")
CATEGORICAL = ("language", "channel", "label", "predicted_label")
CLASSES = {
    "label": LABELS,
    "predicted_label": LABELS,
    "language": ("expected", "other", "too short"),
}
EMBEDDING = "embedding"
REQUIRED = ("text", "label", "channel", "created_at")
MIN_ROWS = 30  # below, five folds of the domain classifier and any distance are chance


class TableRuntime(Runtime):
    """A bundle that answers whole tables: on all cores, and no text twice, as the questions share tickets."""

    def __init__(self, bundle: Bundle) -> None:
        super().__init__(bundle)
        self._known: dict[str, NDArray[np.float32]] = {}

    def probabilities(self, texts: Sequence[str], batch_size: int = 1) -> NDArray[np.float32]:
        """As of `Runtime`, each text alone."""
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        answered = softmax(self.logits_of_table(new) / self.bundle.manifest.temperature)
        self._known.update(zip(new, answered, strict=True))
        return np.stack([self._known[text] for text in texts])


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


def languages(texts: Sequence[str], expected: str) -> list[str]:
    """Of each text one of CLASSES["language"]; a short text is told from no language.

    Raises:
        TicketSentimentError: `expected` is no language that can be told.
    """
    told = identifier(expected)
    bare = [without_masks(text).strip() for text in texts]
    return [
        "too short"
        if len(text) < MIN_LANGUAGE_CHARS
        else "expected"
        if told.classify(text)[0] == expected
        else "other"
        for text in bare
    ]


def shape_columns(texts: Sequence[str]) -> pd.DataFrame:
    """SHAPE_COLUMNS of texts."""
    measured = [shape(text) for text in texts]
    return _typed({name: [one[name] for one in measured] for name in SHAPE_COLUMNS})


def ticket_columns(table: pd.DataFrame, language: str) -> pd.DataFrame:
    """TICKET_COLUMNS of tickets, one row a ticket; without `label` where the table has no such column.

    Args:
        table: `text`, `channel` and perhaps `label`.
        language: that is expected.
    """
    texts = table["text"].tolist()
    given = {name: table[name].tolist() for name in ("channel", "label") if name in table.columns}
    return pd.concat(
        [shape_columns(texts), _typed({"language": languages(texts, language), **given})], axis=1
    )


def answer_columns(probabilities: NDArray[np.float32]) -> pd.DataFrame:
    """ANSWER_COLUMNS of a bundle's answers, [texts, labels]."""
    return _typed(
        {
            "confidence": probabilities.max(axis=1),
            "predicted_label": [LABELS[index] for index in probabilities.argmax(axis=1)],
        }
    )


def bundle_columns(table: pd.DataFrame, runtime: Runtime) -> pd.DataFrame:
    """BUNDLE_COLUMNS of tickets with `text`, one row a ticket.

    Args:
        table: tickets.
        runtime: a CPU bundle. Tokens are those of the whole text, the prediction that of the truncated one,
            as in service.
    """
    texts = table["text"].tolist()
    tokenizer = Tokenizer.from_file(str(runtime.bundle.tokenizer_path))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    encodings = tokenizer.encode_batch(texts)
    unknown = tokenizer.token_to_id("[UNK]")
    read = _typed(
        {
            "text_tokens": [len(encoding.ids) for encoding in encodings],
            "unknown_word_share": [unknown_word_share(encoding, unknown) for encoding in encodings],
        }
    )
    return pd.concat([read, answer_columns(runtime.probabilities(texts))], axis=1)


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


def check(table: pd.DataFrame, name: str, columns: Sequence[str]) -> None:
    """Refuse a table that cannot be judged: a NaN would compare as "no drift".

    Raises:
        TicketSentimentError: a column is missing, there are too few rows, or a value is missing, not finite
            or of no known class; the message names the table and the column.
    """
    require_rows(len(table), name)
    for column in columns:
        if column not in table.columns:
            raise TicketSentimentError(
                f"drift: {name}: column {column} is missing: run `dvc repro -f -s prepare`"
            )
        values = table[column]
        if column in NUMERIC and not np.isfinite(values).all():
            raise TicketSentimentError(
                f"drift: {name}: column {column} has values that are not finite: "
                "run `dvc repro -f -s quantize`"
            )
        if column in CLASSES and not values.isin(CLASSES[column]).all():
            raise TicketSentimentError(
                f"drift: {name}: column {column}: expected {', '.join(CLASSES[column])}: "
                "run `dvc repro -f -s prepare`"
            )


def check_vectors(vectors: NDArray[np.float32] | None, rows: int, name: str) -> None:
    """Refuse vectors that cannot be judged.

    Raises:
        TicketSentimentError: there are too few, more than `rows`, or one that is not finite.
    """
    found = 0 if vectors is None else len(vectors)
    if vectors is None or not min(MIN_ROWS, rows) <= found <= rows or not np.isfinite(vectors).all():
        raise TicketSentimentError(
            f"drift: {name}: {EMBEDDING}: expected finite vectors of {MIN_ROWS} to {rows} rows, found "
            f"{found}: check train.base_model"
        )


def summary(table: pd.DataFrame, column: str) -> float | dict[str, float]:
    """What a person reads beside a distance: the mean of a number, the shares of the classes."""
    if column in NUMERIC:
        return round(float(table[column].mean()), 4)
    values = table[column].dropna()
    classes = CLASSES.get(column) or sorted(values.unique())
    return {name: round(float((values == name).mean()), 4) for name in classes}

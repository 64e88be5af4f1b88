"""Parts of the holdout that are looked at for themselves: a mean hides a channel that got worse."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.params import Evaluate
from ticket_sentiment.tickets.language import MIN_LANGUAGE_CHARS, identifier, without_masks
from ticket_sentiment.tickets.privacy import TOKENS

# Words. Fixed and not quantiles, so that a month can be compared with the month before.
LENGTHS = ((10, "up to 10 words"), (25, "11 to 25 words"), (60, "26 to 60 words"))
LONGEST = "over 60 words"
SHORT = "too short to tell"
KNOWN_CUSTOMER = "known_customer"
MASK = re.compile(r"\[(?:" + "|".join(TOKENS) + r")\]")  # in the place of personal data, e.g. [EMAIL]


def channel(table: pd.DataFrame) -> pd.Series:
    """Where the ticket came from."""
    return table["channel"].astype(str)


def length(table: pd.DataFrame) -> pd.Series:
    """Length of the text in words."""
    words = table["text"].str.split().str.len().to_numpy()
    names = np.array([*(name for _, name in LENGTHS), LONGEST], dtype=object)
    return pd.Series(names[np.searchsorted([edge for edge, _ in LENGTHS], words)], index=table.index)


def month(table: pd.DataFrame) -> pd.Series:
    """Month of arrival, `YYYY-MM` in UTC."""
    return table["created_at"].dt.strftime("%Y-%m")


def masked(table: pd.DataFrame) -> pd.Series:
    """Whether personal data was masked in the text."""
    return table["text"].str.contains(MASK).map({True: "masked", False: "nothing masked"})


def language(table: pd.DataFrame) -> pd.Series:
    """ISO 639-1 code of the text's language, where it is long enough to tell."""
    telling = identifier("en")  # which language is expected does not matter here
    texts = [without_masks(text) for text in table["text"]]
    found = [
        telling.classify(text)[0] if len(text.strip()) >= MIN_LANGUAGE_CHARS else SHORT for text in texts
    ]
    return pd.Series(found, index=table.index, dtype=object)


def customers(table: pd.DataFrame) -> pd.Series:
    """Whether the customer wrote in an earlier month, where the table knows (column `known_customer`)."""
    if KNOWN_CUSTOMER not in table.columns:
        return pd.Series(None, index=table.index, dtype=object)
    return table[KNOWN_CUSTOMER].map({True: "wrote before", False: "new"})


SLICES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "channel": channel,
    "length": length,
    "month": month,
    "masked": masked,
    "language": language,
    "customers": customers,
}


def _values(name: str, values: pd.Series) -> list[str]:
    """Of a slice function, in a fixed order."""
    if name == "length":
        return [value for value in (*(name for _, name in LENGTHS), LONGEST) if (values == value).any()]
    return sorted(values.dropna().unique())


def slice_masks(table: pd.DataFrame, settings: Evaluate) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """(slice, value, rows as booleans) of every part that is large enough, in a fixed order.

    Args:
        table: columns channel, text, created_at.
        settings: section `evaluate`: `min_slice_rows`, below which an interval would be too wide to say
            anything, and `products`, the words by which a ticket is known to be about one.
    """
    for name, function in SLICES.items():
        values = function(table)
        for value in _values(name, values):
            rows = (values == value).to_numpy()
            if rows.sum() >= settings.min_slice_rows:
                yield name, value, rows
    for product, words in settings.products.items():
        # Not by pandas, whose engine knows words of ASCII letters alone: params were checked with this one.
        pattern = re.compile(words, re.IGNORECASE)
        rows = np.array([pattern.search(text) is not None for text in table["text"]], dtype=bool)
        if rows.sum() >= settings.min_slice_rows:
            yield "product", product, rows

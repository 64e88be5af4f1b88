"""Parts of the holdout that are looked at for themselves: a mean hides a channel that got worse."""

import re
from collections.abc import Callable, Iterator

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.tickets.privacy import TOKENS

# Words. Fixed and not quantiles, so that a month can be compared with the month before.
LENGTHS = ((10, "up to 10 words"), (25, "11 to 25 words"), (60, "26 to 60 words"))
LONGEST = "over 60 words"
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


SLICES: dict[str, Callable[[pd.DataFrame], pd.Series]] = {
    "channel": channel,
    "length": length,
    "month": month,
    "masked": masked,
}


def slice_masks(table: pd.DataFrame, min_rows: int) -> Iterator[tuple[str, str, NDArray[np.bool_]]]:
    """(slice, value, rows as booleans) of every part with at least `min_rows` rows, in a fixed order.

    Args:
        table: columns channel, text, created_at.
        min_rows: below, an interval would be too wide to say anything.
    """
    order = [*(name for _, name in LENGTHS), LONGEST]
    for name, function in SLICES.items():
        values = function(table)
        known = (
            [value for value in order if (values == value).any()]
            if name == "length"
            else sorted(values.unique())
        )
        for value in known:
            rows = (values == value).to_numpy()
            if rows.sum() >= min_rows:
                yield name, value, rows

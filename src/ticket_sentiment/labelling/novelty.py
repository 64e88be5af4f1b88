"""How unlike the tickets that a model learnt from another ticket is, by cheap features of its text.

A logistic regression tells new tickets from learnt ones; its odds are, up to a constant, the ratio of the two
densities (Bickel, Brückner and Scheffer 2009, "Discriminative Learning Under Covariate Shift", JMLR 10). The
squares beside the features let both ends of one, a very short and a very long ticket, be unlike.
"""

import re
from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.tickets.canonical import canonical

MIN_ROWS = 100  # on each side; fewer fit noise
_WORD = re.compile(r"\w+")
_CLIP = 5.0  # standard deviations: one ticket of a million characters must not decide the fit


def _words(text: str) -> list[str]:
    return _WORD.findall(text.casefold())


def _features(text: str, known: set[str]) -> list[float]:
    """Length in characters and words (logarithms), length of a word, and shares of digits, upper case,
    characters beyond ASCII and unknown words."""
    words, size = _words(text), max(len(text), 1)
    return [
        np.log1p(len(text)),
        np.log1p(len(words)),
        sum(map(len, words)) / max(len(words), 1),
        sum(map(str.isdigit, text)) / size,
        sum(map(str.isupper, text)) / size,
        sum(not character.isascii() for character in text) / size,
        sum(word not in known for word in words) / max(len(words), 1),
    ]


def _channels(
    channels: Sequence[str | None], names: list[str], usual: NDArray[np.float64]
) -> NDArray[np.float64]:
    """One column a channel of the learnt tickets and one for all others; `usual` where it is not known."""
    rows = np.zeros((len(channels), len(names) + 1))
    for row, channel in zip(rows, channels, strict=True):
        if channel is None:
            row[:] = usual
        else:
            row[names.index(channel) if channel in names else -1] = 1.0
    return rows


def novelty(
    texts: Sequence[str],
    channels: Sequence[str | None],
    learnt_texts: Sequence[str],
    learnt_channels: Sequence[str],
) -> NDArray[np.float64] | None:
    """Log odds that a ticket is a new one and none of those learnt from, up to a constant.

    Args:
        texts: masked, n of them.
        channels: of these; None where unknown, which then says nothing about the ticket.
        learnt_texts: masked and canonical, as stage `prepare` leaves them.
        learnt_channels: of these.

    Returns:
        n numbers, the greater the less like the learnt tickets; None where there are fewer than MIN_ROWS on
        either side.
    """
    if min(len(texts), len(learnt_texts)) < MIN_ROWS:
        return None
    from sklearn.linear_model import LogisticRegression

    # A word of a learnt text is known to the others or it is not: its own text must not vouch for it.
    counts = Counter(word for text in learnt_texts for word in set(_words(text)))
    known = set(counts)
    elsewhere = {word for word, count in counts.items() if count > 1}
    learnt = np.array([_features(text, elsewhere) for text in learnt_texts])
    new = np.array([_features(canonical(text), known) for text in texts])
    middle, spread = learnt.mean(axis=0), learnt.std(axis=0)
    spread[spread == 0] = 1.0

    names = sorted(set(learnt_channels))
    none = np.zeros(len(names) + 1)
    learnt_kinds = _channels(learnt_channels, names, none)
    usual = learnt_kinds.mean(axis=0)

    def table(features: NDArray[np.float64], kinds: NDArray[np.float64]) -> NDArray[np.float64]:
        scaled = np.clip((features - middle) / spread, -_CLIP, _CLIP)
        return np.hstack([scaled, scaled**2, kinds])

    rows = np.vstack([table(learnt, learnt_kinds), table(new, _channels(channels, names, usual))])
    sides = np.repeat([0, 1], [len(learnt), len(new)])
    model = LogisticRegression(class_weight="balanced", max_iter=2000).fit(rows, sides)
    return np.asarray(model.decision_function(rows[len(learnt) :]), dtype=np.float64)

"""Models of one rule each, which the behaviour suite has to tell apart."""

import re
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.behaviour.specification import WORDS, read_file
from ticket_sentiment.labels import LABEL_TO_ID

LISTS = read_file(WORDS).words
GOOD = {*LISTS["good"], *LISTS["good_person"], *LISTS["like"], "thank", "thanks", "happy"}
BAD = {*LISTS["bad"], *LISTS["bad_person"], *LISTS["dislike"]}

Model = Callable[[str], str]


def bag_of_words(text: str) -> str:
    """Feels by the words of the suite alone: "not good" is good."""
    low = text.lower()
    good, bad = (any(re.search(rf"\b{word}\b", low) for word in words) for words in (GOOD, BAD))
    return "neutral" if good == bad else "positive" if good else "negative"


def dislikes(word: str) -> Model:
    """Such a model that takes any text with a word in it for negative."""
    return lambda text: "negative" if re.search(rf"\b{word}\b", text) else bag_of_words(text)


def probabilities(model: Model, texts: Sequence[str]) -> NDArray[np.float64]:
    """Of a model that is always 90 % sure, [texts, labels]."""
    return 0.05 + 0.85 * np.eye(3)[[LABEL_TO_ID[model(text)] for text in texts]]

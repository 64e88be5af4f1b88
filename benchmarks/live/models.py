"""Tickets whose true label is known, and models that are right about a known share of them.

A ticket is one word that carries its label and a code that no model knows. A model makes mistakes about some
of the words, so that how good it is, is arithmetic.
"""

import string

from tests.support.tiny_bundle import WORDS
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.runtime import Runtime

TRUTH = {word: label for label, words in WORDS.items() for word in words}
_ORDER = sorted(TRUTH, key=lambda word: word[::-1])  # mixes the labels


def ticket(number: int) -> tuple[str, str]:
    """(text, true label) of a ticket. No two texts are alike, so that no answer comes from the cache."""
    word = _ORDER[number % len(_ORDER)]
    code = ""
    while number:
        number, digit = divmod(number, len(string.ascii_lowercase))
        code += string.ascii_lowercase[digit]
    return f"{word} q{code}", TRUTH[word]


def mistakes(words: int) -> dict[str, str]:
    """So many words and the wrong label for each; who makes fewer makes none that the other does not."""
    wrong = {label: LABELS[(LABELS.index(label) + 1) % len(LABELS)] for label in LABELS}
    return {word: wrong[TRUTH[word]] for word in _ORDER[:words]}


def accuracy(words: int) -> float:
    """Share of the tickets that a model with so many mistakes is right about."""
    return 1 - words / len(TRUTH)


def check(bundle: Bundle, words: int) -> None:
    """See that a bundle answers as it was made to.

    Raises:
        TicketSentimentError: it does not.
    """
    texts = [ticket(number)[0] for number in range(len(TRUTH))]
    expected = [mistakes(words).get(word, TRUTH[word]) for word in _ORDER]
    scores = Runtime(bundle).probabilities(texts)
    said = [LABELS[int(row.argmax())] for row in scores]
    if said != expected:
        raise TicketSentimentError(f"{bundle.path}: the made-up model does not answer as it should")

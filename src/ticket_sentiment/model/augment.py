"""More texts to distil on: the teacher answers whatever it is asked, so a student need not wait for tickets.

What was said of every made text is the teacher's own answer to it; no label is guessed. Word deletion after
Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques"; joining texts after Guo, Mao and Zhang 2019,
"Augmenting Data with Mixup for Sentence Classification", here on words. Tickets also carry what the
training months may lack (a footer, an emoji, a sentence in another language: asides.yaml); a student that
never heard the teacher on such a ticket answers differently there.

Of a text that is written without spaces, as Japanese, Chinese and Thai are, each character counts as a word.
"""

import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path

import yaml

SHORTEST = 4  # words; a shorter text has nothing to leave out
# Scripts without spaces between words: Thai, Lao, Tibetan, Myanmar, Khmer, kana and Han. Hangul has spaces.
UNSPACED = "\u0e00-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
LEFT_OUT = 0.1  # share of words
PART = (0.5, 1.0)  # of a text that is kept in one piece
MOST_JOINED = 4  # pieces of a long text
MOST_ASIDES = 2
BEHIND = 0.7  # share of them; the others stand in front
ASIDES: dict[str, list[str]] = yaml.safe_load(
    (Path(__file__).parent / "asides.yaml").read_text(encoding="utf-8")
)  # by kind

Words = list[str]
Way = Callable[[Sequence[str], Sequence[Words], random.Random], Words]


def _part(words: Sequence[str], draw: random.Random) -> Words:
    """A piece of a text, some words left out."""
    length = max(2, round(len(words) * draw.uniform(*PART)))
    start = draw.randint(0, len(words) - length)
    kept = [word for word in words[start : start + length] if draw.random() >= LEFT_OUT]
    return kept or list(words[start : start + length])


def _piece(words: Sequence[str], others: Sequence[Words], draw: random.Random) -> Words:
    return _part(words, draw)


def _joined(words: Sequence[str], others: Sequence[Words], draw: random.Random) -> Words:
    """The first half of a piece, and a piece of another text."""
    part = _part(words, draw)
    return part[: max(2, len(part) // 2)] + _part(draw.choice(others), draw)


def _long(words: Sequence[str], others: Sequence[Words], draw: random.Random) -> Words:
    """The text among pieces of others."""
    pieces = [_part(draw.choice(others), draw) for _ in range(draw.randint(1, MOST_JOINED - 1))]
    pieces.insert(draw.randint(0, len(pieces)), list(words))
    return [word for piece in pieces for word in piece]


def _with_asides(words: Sequence[str], others: Sequence[Words], draw: random.Random) -> Words:
    """The text with something in front of it or behind."""
    whole = list(words)
    for _ in range(draw.randint(1, MOST_ASIDES)):
        aside = [draw.choice(ASIDES[draw.choice(list(ASIDES))])]
        whole = whole + aside if draw.random() < BEHIND else aside + whole
    return whole


WAYS: dict[Way, float] = {_piece: 0.4, _joined: 0.35, _long: 0.05, _with_asides: 0.2}  # and their shares


def _cut(text: str) -> tuple[str, Words]:
    """What stands between words, and the words; without spaces: characters, and other scripts in a piece."""
    if 2 * len(re.findall(f"[{UNSPACED}]", text)) > len(text):
        return "", re.findall(f"[{UNSPACED}]|[^{UNSPACED}]+", text)
    return " ", text.split()


def varied(texts: Sequence[str], copies: int, seed: int) -> list[str]:
    """For each text and each copy a new one, made in one of `WAYS`.

    Args:
        texts: what is varied; those of fewer than four words, or without spaces four characters, are passed
            over. They are joined only with others that have spaces as they do.
        copies: of each text; 0 gives none.
        seed: of all that is drawn.
    """
    draw = random.Random(seed)
    long = [(space, words) for space, words in map(_cut, texts) if len(words) >= SHORTEST]
    others = {space: [words for its, words in long if its == space] for space in (" ", "")}
    ways, shares = list(WAYS), list(WAYS.values())
    return [
        space.join(draw.choices(ways, shares)[0](words, others[space], draw))
        for _ in range(copies)
        for space, words in long
    ]

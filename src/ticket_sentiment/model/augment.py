"""More texts to distil on: the teacher answers whatever it is asked, so a student need not wait for tickets.

What was said of every made text is the teacher's own answer to it; no label is guessed. Word deletion after
Wei and Zou 2019, "EDA: Easy Data Augmentation Techniques"; joining two texts after Guo, Mao and Zhang 2019,
"Augmenting Data with Mixup for Sentence Classification", here on words.
"""

import random
from collections.abc import Sequence

SHORTEST = 4  # words; a shorter text has nothing to leave out
LEFT_OUT = 0.1  # share of words
PART = (0.5, 1.0)  # of a text that is kept in one piece


def _part(words: Sequence[str], draw: random.Random) -> list[str]:
    """A piece of a text, some words left out."""
    length = max(2, round(len(words) * draw.uniform(*PART)))
    start = draw.randint(0, len(words) - length)
    kept = [word for word in words[start : start + length] if draw.random() >= LEFT_OUT]
    return kept or list(words[start : start + length])


def varied(texts: Sequence[str], copies: int, seed: int) -> list[str]:
    """For each text and each copy a new one: half of them a piece of it, half joined with a piece of another.

    Args:
        texts: what is varied; those of fewer than four words are passed over.
        copies: of each text; 0 gives none.
        seed: of all that is drawn.
    """
    draw = random.Random(seed)
    long = [words for text in texts if len(words := text.split()) >= SHORTEST]
    made = []
    for _ in range(copies):
        for words in long:
            part = _part(words, draw)
            if draw.random() < 0.5:
                part = part[: max(2, len(part) // 2)] + _part(draw.choice(long), draw)
            made.append(" ".join(part))
    return made

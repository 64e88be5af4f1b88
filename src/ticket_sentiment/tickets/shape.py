"""Numbers about a text that say nothing of what is in it: they may be stored where the text may not.

The service takes them for every ticket that it answers, so they are counted in C where that is possible (some
1 µs for 100 characters).
"""

import string
from typing import TypedDict

_LETTERS = string.ascii_letters.encode()
_CAPITALS = string.ascii_uppercase.encode()


def capital_share(text: str) -> float:
    """Share of the letters that are capitals, from 0 to 1; 0 where there is no letter."""
    if text.isascii():
        raw = text.encode()
        letters = len(raw) - len(raw.translate(None, _LETTERS))
        capitals = len(raw) - len(raw.translate(None, _CAPITALS))
    else:
        letters, capitals = sum(map(str.isalpha, text)), sum(map(str.isupper, text))
    return capitals / letters if letters else 0.0


def non_ascii_share(text: str) -> float:
    """Share of the characters beyond ASCII, from 0 to 1: accents, other scripts, emoji."""
    if text.isascii():
        return 0.0
    return 1.0 - len(text.encode("ascii", "ignore")) / len(text)


class Shape(TypedDict):
    """What is recorded of a text, and what drift is judged on."""

    text_chars: int
    capital_share: float
    non_ascii_share: float


def shape(text: str) -> Shape:
    """All of them."""
    return {
        "text_chars": len(text),
        "capital_share": capital_share(text),
        "non_ascii_share": non_ascii_share(text),
    }

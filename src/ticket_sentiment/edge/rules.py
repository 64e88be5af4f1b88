"""What a text goes through before the model, as data for the page: exported from where the service has it."""

import functools
import html
import sys
import unicodedata
from html.entities import html5
from typing import Any

from ticket_sentiment.edge.javascript import javascript
from ticket_sentiment.model.wordpiece import character_tables
from ticket_sentiment.tickets import canonical, markup, privacy

_PLANE = 0x10000


def _references() -> dict[str, str]:
    """Numbers of characters that HTML reads as something else; the others mean the character itself."""
    codes = [*range(_PLANE), *(p * _PLANE + last for p in range(1, 17) for last in (0xFFFE, 0xFFFF))]
    read = {code: html.unescape(f"&#{code};") for code in codes if not 0xD800 <= code < 0xE000}
    return {str(code): text for code, text in read.items() if text != chr(code)}


def _digit_zeros() -> list[int]:
    """Where each script's ten digits begin."""
    return [code for code in range(sys.maxunicode + 1) if unicodedata.decimal(chr(code), None) == 0]


@functools.cache
def rules() -> dict[str, Any]:
    """Patterns, numbers and tables of `tickets` (privacy, markup, canonical) and of `model.wordpiece`."""
    exported: dict[str, Any] = {
        name: {
            **module.NUMBERS,
            "patterns": {key: javascript(pattern) for key, pattern in module.PATTERNS.items()},
        }
        for name, module in (("privacy", privacy), ("markup", markup), ("canonical", canonical))
    }
    return {
        **exported,
        "html": {"names": html5, "references": _references()},
        "digit_zeros": _digit_zeros(),
        "white_space": "".join(c for c in map(chr, range(sys.maxunicode + 1)) if c.isspace()),
        "characters": character_tables(),
    }

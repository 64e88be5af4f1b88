"""Python's regular expressions in JavaScript's syntax (with its flag `v`): every pattern is written once.

What JavaScript has not is written another way: possessive quantifiers and atomic groups as a lookahead and
what it captured, `IGNORECASE` as both letters, `\\b` and `\\w` by Unicode's properties. What is not needed is
refused.
"""

import re
from itertools import count
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

from ticket_sentiment.errors import TicketSentimentError

_WORD = r"\p{L}\p{N}_"
_SPACES = "".join(character for character in map(chr, range(0x3001)) if character.isspace())
# Of all that Python takes for an ASCII letter in another case, with the two of Turkish and the Kelvin sign.
_OTHER_CASE = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz\u0130\u0131\u017f\u212a"


def _character(code: int) -> str:
    character = chr(code)
    return character if character.isascii() and character.isalnum() else f"\\u{{{code:x}}}"


def _members(first: int, last: int) -> str:
    return _character(first) if first == last else f"{_character(first)}-{_character(last)}"


_CATEGORIES = {
    sre.CATEGORY_DIGIT: r"\p{Nd}",
    sre.CATEGORY_NOT_DIGIT: r"\P{Nd}",
    sre.CATEGORY_WORD: _WORD,
    sre.CATEGORY_NOT_WORD: f"[^{_WORD}]",
    sre.CATEGORY_SPACE: "".join(_character(ord(space)) for space in _SPACES),
}
_PLACES = {
    sre.AT_BEGINNING: "^",
    sre.AT_BEGINNING_STRING: "^",
    sre.AT_END: r"(?=\n?$)",
    sre.AT_END_STRING: "$",
    sre.AT_BOUNDARY: f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))",
}


class _Writer:
    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern
        self._names = {number: name for name, number in pattern.groupindex.items()}
        self._possessive = count(1)

    def sequence(self, items: Any, fold: bool) -> str:
        return "".join(self.item(kind, value, fold) for kind, value in items)

    def item(self, kind: Any, value: Any, fold: bool) -> str:
        match kind:
            case sre.LITERAL:
                return self.one_of([(sre.RANGE, (value, value))], fold)
            case sre.NOT_LITERAL:
                return self.one_of([(sre.NEGATE, None), (sre.RANGE, (value, value))], fold)
            case sre.ANY:
                return r"[^\n]"
            case sre.IN:
                return self.one_of(value, fold)
            case sre.AT if value in _PLACES:
                return _PLACES[value]
            case sre.BRANCH:
                return f"(?:{'|'.join(self.sequence(way, fold) for way in value[1])})"
            case sre.SUBPATTERN:
                return self.group(*value, fold=fold)
            case sre.ASSERT | sre.ASSERT_NOT:
                direction, items = value
                sign = "=" if kind is sre.ASSERT else "!"
                return f"(?{'<' if direction < 0 else ''}{sign}{self.sequence(items, fold)})"
            case sre.ATOMIC_GROUP:
                return self.atomic(self.sequence(value, fold))
            case sre.MAX_REPEAT | sre.MIN_REPEAT | sre.POSSESSIVE_REPEAT:
                return self.repeat(kind, *value, fold=fold)
        raise TicketSentimentError(
            f"{self._pattern.pattern!r}: {kind} is not known in edge/javascript.py: "
            "write the pattern another way, or teach it there"
        )

    def one_of(self, items: Any, fold: bool) -> str:
        members, sign = "", ""
        for kind, value in items:
            if kind is sre.NEGATE:
                sign = "^"
            elif kind is sre.CATEGORY and value in _CATEGORIES:
                members += _CATEGORIES[value]
            else:
                first, last = value if kind is sre.RANGE else (value, value)
                members += _members(first, last)
                if fold:
                    same = re.compile(f"[{re.escape(chr(first))}-{re.escape(chr(last))}]", re.IGNORECASE)
                    members += "".join(_character(ord(c)) for c in _OTHER_CASE if same.match(c))
        plain = not sign and len(members) == 1
        return members if plain else f"[{sign}{members}]"

    def group(self, number: int | None, added: int, removed: int, items: Any, fold: bool) -> str:
        fold = bool((fold or added & re.IGNORECASE) and not removed & re.IGNORECASE)
        name = "?:" if number is None else f"?<{self._names.get(number, f'g{number}')}>"
        return f"({name}{self.sequence(items, fold)})"

    def repeat(self, kind: Any, least: int, most: int, items: Any, fold: bool) -> str:
        inner = f"(?:{self.sequence(items, fold)})"
        inner += f"{{{least},{'' if most == sre.MAXREPEAT else most}}}"
        if kind is sre.MIN_REPEAT:
            return inner + "?"
        return self.atomic(inner) if kind is sre.POSSESSIVE_REPEAT else inner

    def atomic(self, inner: str) -> str:
        name = f"p{next(self._possessive)}"
        return rf"(?=(?<{name}>{inner}))\k<{name}>"


def javascript(pattern: re.Pattern[str]) -> str:
    """The source of the JavaScript pattern that matches what a Python one does: `new RegExp(source, "v")`.

    A group is called by its name, or `g1`, `g2`, ... A character that came to Unicode after Python's table
    may be a letter to one and not to the other.

    Raises:
        TicketSentimentError: the pattern holds something that is not known here.
    """
    return _Writer(pattern).sequence(
        _parser.parse(pattern.pattern, pattern.flags), bool(pattern.flags & re.IGNORECASE)
    )

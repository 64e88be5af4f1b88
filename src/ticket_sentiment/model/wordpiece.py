"""A bundle's tokenizer.json in pure Python: on words that were seen before twice as fast as `tokenizers`.

The library looks each word of a text up anew and answers with more than the ids; and on a small device it is
one too many. This gives exactly the ids of `tokenizers` 0.23 for what BERT and its descendants use:
BertNormalizer, BertPreTokenizer, WordPiece, added tokens, TemplateProcessing or BertProcessing. Anything else
is refused.

The library carries three Unicode tables of three ages: categories of Unicode 8, decompositions of Unicode 9,
lower case of Unicode 17. Python has one table, of Unicode 14 (3.11) or 15 (3.12). The constants below are
where these disagree, found by asking both about every code point (tests/model/test_wordpiece.py asks again).
A range may hold more than was assigned: the library has the stated answer for all of it.
"""

import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json


def _members(ranges: str) -> str:
    """`"7FD 897-8D3"` as the inside of a regular expression's brackets."""
    pairs = (item.partition("-") for item in ranges.split())
    return "".join(f"\\U{first:0>8}-\\U{last or first:0>8}" for first, _, last in pairs)


def _any_of(ranges: str) -> Callable[[str], object]:
    """A test of one character. A set of this many numbers would take megabytes."""
    return re.compile(f"[{_members(ranges)}]").match


# To the library these are letters: neither stripped as accents, nor moved or taken apart by decomposition.
_NEWER = """5C8-5C9 7FD 897-8D3 9FE AFA-AFF B53-B55 C04-C3C D00 D3B-D3C D81 EBA ECE 1715 180F-1886
    1ABF-1AF0 1DF6-1DFA A82C A8C5 A8FF A9BD 105C9-105E4 10D24-10F85 11070-11074 110C2 111C9 111CF 1123E-11241
    1133B 11383-1143F 11443-11444 1145E 1182F-11C3D 11C92-1612F 16D68-16F4F 16FE4-16FF1 1CF00-1D128
    1D250-1D281 1E08F-1E6F5"""
_KNOWN_RUN = re.compile(f"[^{_members(_NEWER)}]+")
# Marks of Unicode 9 are put into canonical order, but not stripped.
_is_kept_mark = _any_of(_NEWER + " 8D4-8E1 1DFB 11442 11446 11C3F 1E000-1E02A 1E944-1E94A")
_is_former_mark = _any_of("1734 1171E")
_is_kept_control = _any_of("9-A D 890-8E2 110CD-1343F")  # tab and line ends, and newer format characters
_is_former_punctuation = _any_of("166D 111C9")
_is_newer_punctuation = _any_of(
    """61D 9FD-A76 C77-C84 1B4E-1B4F 1B7D-1B7F 2E43-2E63 10D6E-10F89 113D4-1145D 11660-116B9
    1183B-11FFF 12FF1-12FF2 16D6D-16FE2 1E5FF-1E95F"""
)
_is_ascii_punctuation = _any_of("21-2F 3A-40 5B-60 7B-7E")
# Unicode's White_Space; `str.isspace` counts four separators more.
_is_space = _any_of("9-D 20 85 A0 1680 2000-200A 2028-2029 202F 205F 3000")
_is_cjk = _any_of("3400-4DBF 4E00-9FFF F900-FAFF 20000-2A6DF 2A700-2B81F 2B920-2CEAF 2F800-2FA1F")
_NEWER_LOWER = {
    **dict(zip("\u1c89\ua7cb\ua7cc\ua7ce\ua7d2", "\u1c8a\u0264\ua7cd\ua7cf\ua7d3", strict=True)),
    **dict(zip("\ua7d4\ua7da\ua7dc", "\ua7d5\ua7db\u019b", strict=True)),
    **{chr(code): chr(code + 0x20) for code in range(0x10D50, 0x10D66)},  # Garay
    **{chr(code): chr(code + 0x1B) for code in range(0x16EA0, 0x16EB9)},  # Beria Erfe
}


# A text of these alone, as most are, is cut by one pattern: no control that would be dropped is among them.
_is_plain = re.compile(r"[\t\n\r -~]*\Z").match
_plain_words = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]").findall
REMEMBERED_WORDS = 8192  # with their ids, about 2 MB; a word is never longer than the model's limit


class OtherTokenizer(TicketSentimentError):
    """A tokenizer.json of another kind."""


class _Table(dict[int, str]):
    """For `str.translate`: a character's replacement by a rule, remembered for the first few thousand."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        value = self._rule(chr(code))
        if len(self) < 4096:  # a text of all of Unicode shall not fill the memory
            self[code] = value
        return value


def _clean(character: str) -> str:
    """Without control, format and private-use characters; every kind of space is a plain one."""
    if character == "\ufffd":
        return ""
    if unicodedata.category(character) in ("Cc", "Cf", "Co") and not _is_kept_control(character):
        return ""
    return " " if _is_space(character) else character


def _space_cjk(character: str) -> str:
    """Space around ideographs, which makes each a word."""
    return f" {character} " if _is_cjk(character) else character


def _strip_mark(character: str) -> str:
    mark = unicodedata.category(character) == "Mn" or _is_former_mark(character)
    return "" if mark and not _is_kept_mark(character) else character


def _lower(character: str) -> str:
    # One at a time, as Rust does: no final sigma.
    return _NEWER_LOWER.get(character) or character.lower()


def _is_punctuation(character: str) -> bool:
    listed = unicodedata.category(character)[0] == "P" and not _is_newer_punctuation(character)
    return bool(listed or _is_ascii_punctuation(character) or _is_former_punctuation(character))


def _split_off(character: str) -> str:
    """Space in place of any space, and around punctuation."""
    if _is_space(character):
        return " "
    return f" {character} " if _is_punctuation(character) else character


def _decompose(text: str) -> str:
    """Unicode's NFD, as of Unicode 9."""
    return text if text.isascii() else _KNOWN_RUN.sub(lambda run: unicodedata.normalize("NFD", run[0]), text)


class BertNormalizer:
    """The text before it is cut into words."""

    def __init__(
        self, clean_text: bool, handle_chinese_chars: bool, strip_accents: bool | None, lowercase: bool
    ) -> None:
        self._strips = lowercase if strip_accents is None else strip_accents
        self._before = self._table([(_clean, clean_text), (_space_cjk, handle_chinese_chars)])
        self._after = self._table([(_strip_mark, self._strips), (_lower, lowercase)])

    @staticmethod
    def _table(rules: Sequence[tuple[Callable[[str], str], bool]]) -> _Table:
        wanted = [rule for rule, on in rules if on]

        def apply(character: str) -> str:
            for rule in wanted:
                character = "".join(map(rule, character))
            return character

        return _Table(apply)

    def __call__(self, text: str) -> str:
        text = text.translate(self._before)
        return (_decompose(text) if self._strips else text).translate(self._after)


_SPLIT_OFF = _Table(_split_off)


def words(text: str) -> list[str]:
    """BertPreTokenizer: words between spaces, and every punctuation mark as a word of its own."""
    return [word for word in text.translate(_SPLIT_OFF).split(" ") if word]


def _ranges(codes: Iterable[int]) -> list[list[int]]:
    """Ascending code points as first and last of each run."""
    runs: list[list[int]] = []
    for code in codes:
        if runs and runs[-1][1] == code - 1:
            runs[-1][1] = code
        else:
            runs.append([code, code])
    return runs


def character_tables() -> dict[str, list[list[int]] | dict[str, str]]:
    """The rules above as data, for another language: code points, and lower case where it differs."""
    characters = [(code, chr(code)) for code in range(sys.maxunicode + 1)]
    tests: dict[str, Callable[[str], object]] = {
        "dropped": lambda character: not _clean(character),
        "space": _is_space,
        "cjk": _is_cjk,
        "mark": lambda character: not _strip_mark(character),
        "punctuation": _is_punctuation,
        "undecomposed": lambda character: not _KNOWN_RUN.match(character),
    }
    tables = {name: _ranges(code for code, c in characters if test(c)) for name, test in tests.items()}
    return {**tables, "lower": {c: _lower(c) for _, c in characters if _lower(c) != c}}


def _alternatives(ids: dict[str, int]) -> re.Pattern[str] | None:
    """A pattern for any of these strings, the longest where several begin."""
    longest_first = sorted(ids, key=len, reverse=True)
    return re.compile(f"({'|'.join(map(re.escape, longest_first))})") if ids else None


def _cut(pattern: re.Pattern[str] | None, text: str) -> Iterable[tuple[str, bool]]:
    """Pieces of a text in order, and whether each is an added token."""
    pieces = pattern.split(text) if pattern else [text]
    return ((piece, bool(index % 2)) for index, piece in enumerate(pieces))


class WordPiece:
    """A tokenizer.json ready to encode; the part of `tokenizers.Tokenizer` that `Runtime` asks for.

    Args:
        path: the tokenizer.json; its own truncation and padding are not used, as `Runtime` sets both anew.
        max_length: tokens of an encoded text at most, [CLS] and [SEP] among them.

    Raises:
        OtherTokenizer: it is no WordPiece tokenizer of BERT's kind.
        TicketSentimentError: `max_length` leaves no token.
    """

    def __init__(self, path: Path, max_length: int) -> None:
        self._path = path
        specification = read_json(path)
        try:
            self._read(specification)
        except (KeyError, TypeError, AttributeError) as error:
            raise OtherTokenizer(f"{path} is no tokenizer of this kind: {error!r}") from None
        self._room = max_length - len(self._first) - len(self._last)
        if self._room < 0:
            raise TicketSentimentError(f"{path}: {max_length} tokens do not hold [CLS] and [SEP]: allow more")

    def _expect(self, part: str, kind: str | None, *expected: str | None) -> None:
        if kind not in expected:
            names = " or ".join(str(name) for name in expected)
            raise OtherTokenizer(
                f"{self._path}: {part} is {kind}, expected {names}: "
                "only WordPiece tokenizers of BERT's kind are read here; score this bundle with Runtime"
            )

    def _read(self, specification: dict[str, Any]) -> None:
        parts = {
            name: specification[name] or {}
            for name in ("model", "normalizer", "pre_tokenizer", "post_processor")
        }
        self._expect("model", parts["model"].get("type"), "WordPiece")
        self._expect("normalizer", parts["normalizer"].get("type"), "BertNormalizer")
        self._expect("pre_tokenizer", parts["pre_tokenizer"].get("type"), "BertPreTokenizer")
        model, normalizer = parts["model"], dict(parts["normalizer"])
        del normalizer["type"]
        self.normalize = BertNormalizer(**normalizer)
        self._lowercase: bool = normalizer["lowercase"]
        self._vocabulary: dict[str, int] = model["vocab"]
        self._prefix: str = model["continuing_subword_prefix"]
        self._max_chars: int = model["max_input_chars_per_word"]
        self._unknown = self._vocabulary[model["unk_token"]]
        self._longest = max(map(len, self._vocabulary))
        self._remembered = lru_cache(REMEMBERED_WORDS)(self._pieces)
        self._read_added(specification["added_tokens"])
        self._read_processor(parts["post_processor"])

    def _read_added(self, tokens: list[dict[str, Any]]) -> None:
        raw, normalized = {}, {}
        for token in tokens:
            for option in ("single_word", "lstrip", "rstrip"):
                self._expect(f"{option} of the added token {token['content']}", str(token[option]), "False")
            if token["normalized"]:  # looked for after normalizing, and normalized itself
                normalized[self.normalize(token["content"])] = token["id"]
            else:
                raw[token["content"]] = token["id"]
        self._raw, self._normalized = _alternatives(raw), _alternatives(normalized)
        self._raw_ids, self._normalized_ids = raw, normalized

    def _read_processor(self, processor: dict[str, Any]) -> None:
        """Tokens before and after each text."""
        kind = processor.get("type")
        self._expect("post_processor", kind, "TemplateProcessing", "BertProcessing", None)
        self._first: list[int] = []
        self._last: list[int] = []
        if kind == "BertProcessing":
            self._first, self._last = [processor["cls"][1]], [processor["sep"][1]]
        elif kind == "TemplateProcessing":
            side = self._first
            for piece in processor["single"]:
                if "Sequence" in piece:
                    side = self._last
                else:
                    side += processor["special_tokens"][piece["SpecialToken"]["id"]]["ids"]

    def _pieces(self, word: str) -> tuple[int, ...]:
        """The longest known beginning of a word, then of what is left of it, and so on."""
        ids, start = [], 0
        while start < len(word):
            prefix = self._prefix if start else ""
            for end in range(min(len(word), start + self._longest), start, -1):
                found = self._vocabulary.get(prefix + word[start:end])
                if found is not None:
                    break
            else:
                return (self._unknown,)
            ids.append(found)
            start = end
        return tuple(ids)

    def _of_word(self, word: str) -> tuple[int, ...]:
        return self._remembered(word) if len(word) <= self._max_chars else (self._unknown,)

    def _groups(self, text: str) -> Iterable[Sequence[int]]:
        """Ids of each added token and each word, in order."""
        if self._normalized is None and _is_plain(text) and not (self._raw and self._raw.search(text)):
            yield from map(self._of_word, _plain_words(text.lower() if self._lowercase else text))
            return
        for outer, is_added in _cut(self._raw, text):
            if is_added:
                yield [self._raw_ids[outer]]
                continue
            for inner, is_normalized in _cut(self._normalized, self.normalize(outer)):
                if is_normalized:
                    yield [self._normalized_ids[inner]]
                else:
                    yield from map(self._of_word, words(inner))

    def encode(self, text: str) -> list[int]:
        """Token ids of one text."""
        ids: list[int] = []
        for group in self._groups(text):
            if len(ids) >= self._room:  # the rest of a long ticket is cut off anyway
                break
            ids += group
        return [*self._first, *ids[: self._room], *self._last]

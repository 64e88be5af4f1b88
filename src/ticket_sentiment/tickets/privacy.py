"""Personal data out of a text before it is stored or scored. Training and serving share this module,
so that the model sees in service what it saw in training. Standard library only.

What is masked: e-mail addresses, phone numbers, payment cards (Luhn), bank accounts (IBAN by its check
digits; others, social security numbers too, by their form or the word before them), handles, and whole
URLs: anything with a scheme, `www.`, or a path or query behind a host name. A bare host name
("never again amazon.com") stays: it says what the ticket is about and names nobody.

Every pattern takes linear time: quantifiers are possessive or bounded, and starts are anchored. Repeated
groups are atomic instead: in Python before 3.11.5 a possessive one may miss (python/cpython#106052).
"""

import functools
import hashlib
import html
import os
import re
import unicodedata
from collections import Counter
from collections.abc import Callable

from ticket_sentiment.tickets.markup import without_markup

TOKENS: tuple[str, ...] = ("EMAIL", "PHONE", "CARD", "ACCOUNT", "HANDLE", "URL")
PSEUDONYM_KEY = "TICKET_SENTIMENT_PSEUDONYM_KEY"
# Said once by a service and by a collection of tickets that are no demo, where `keyed` is false.
NO_KEY = (
    f"{PSEUDONYM_KEY} is not set: whoever can list the customers' ids can tell whose pseudonym is whose; "
    "set one secret, the same in all services and flows, before the first tickets are collected"
)
_PASSES = 10
_MOST_MARKS = 30  # on one letter, as in the Stream-Safe Text Format (UAX #15, section 13)

MASK = re.compile(r"\[(" + "|".join(TOKENS) + r")\]")
# Invisible characters: controls, soft hyphen, zero width, bidirectional marks, byte order mark, tags.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x7f-\x84\x86-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u202a-\u202e\u2060-\u2064"
    "\u2066-\u206f\ufeff\ufff9-\ufffb\U000e0000-\U000e007f]+"
)
# Joiners mean something inside emoji and Persian or Indic words, nowhere else.
_STRAY_JOINER = re.compile("(?<![^\x00-\x7f])[\u200c\u200d]+|[\u200c\u200d]+(?![^\x00-\x7f])")
_SURROGATE = re.compile("[\ud800-\udfff]")
_ENDLESS_REFERENCE = re.compile(r"&#[0-9]{400,};?")  # Python reads no number of more than 4,300 digits
_MAYBE_MARKS = re.compile(f"[\u0300-\U0010ffff]{{{_MOST_MARKS + 1},}}")  # no mark comes before U+0300


def _few_marks(run: re.Match[str]) -> str:
    kept, marks = [], 0
    for character in run[0]:
        marks = marks + 1 if unicodedata.category(character)[0] == "M" else 0
        if marks <= _MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _composed(text: str) -> str:
    """NFC. It sorts the marks on a letter in a time that grows with the square of their number: so of few."""
    # A run of more meets one of these.
    if any(unicodedata.category(character)[0] == "M" for character in text[_MOST_MARKS :: _MOST_MARKS + 1]):
        text = _MAYBE_MARKS.sub(_few_marks, text)
    return unicodedata.normalize("NFC", text)


def _tidy(text: str) -> str:
    if text.isascii() and "&" not in text:  # of all below only this can change it
        return " ".join((text if text.isprintable() else _INVISIBLE.sub("", text)).split())
    text = _ENDLESS_REFERENCE.sub("\ufffd", _composed(text))
    text = html.unescape(text)
    text = _SURROGATE.sub("\ufffd", text)
    text = _STRAY_JOINER.sub("", _INVISIBLE.sub("", text))
    return _composed(" ".join(text.split()))


def normalise(text: str) -> str:
    """NFC, HTML entities unescaped, invisible characters gone, white space collapsed. Idempotent.

    Of more than 30 marks on a letter the first 30 stay.
    """
    for _ in range(_PASSES):
        tidied = _tidy(text)
        if tidied == text:
            return text
        text = tidied
    # Entities nested ten deep are no text. Without an ampersand nothing is left to unescape.
    text = text.replace("&", " ")
    while (tidied := _tidy(text)) != text:
        text = tidied
    return text


_URL = re.compile(
    r"(?<![a-z0-9+.\-])(?:"
    r"[a-z][a-z0-9+.\-]{1,20}://[^\s<>\"]++"
    r"|www\.[^\s<>\"]{3,}+"
    r"|[a-z0-9\-]++(?:\.[a-z0-9\-]++){0,6}?\.(?:com|org|net|info|biz|gov|edu|app|dev|shop|[a-z]{2})(?::\d{1,5})?"
    r"[/?][^\s<>\"]++"
    r")",
    re.IGNORECASE,
)
_URL_TAIL = ".,;:!?'\")]}*"
_AT = r"(?:@| ?[\[(]at[\])] ?)"
_DOT = r"(?:\.| ?[\[(]dot[\])] ?)"
_EMAIL = re.compile(
    rf"(?<![\w.+%@\-])(?:[\w.+%\-]++{_AT}[\w\-]++(?>(?:{_DOT}[\w\-]++)+)"
    r"|[\w.+%\-]++@\[URL\]"  # whose host had a query behind it: mailto:jane@x.io?subject=hi
    r"|(?=[\w.+%\-]{3})[\w.+%\-]++@[^\W\d_]{4})\w*+",  # someone@work, but not p@ssword
    re.IGNORECASE,
)
# Three letters at least: "@ss" and "@_@" are no names, nor is "@2pm".
_HANDLE = re.compile(
    r"\[~[^\s\[\]]{2,80}\]|"  # Jira's: [~jane.doe]
    r"(?:(?<![\w@])|(?<=\bRT))@(?=(?:[\d_]{0,20}+[^\W\d_]){3})\w++(?:@[\w\-]++(?>(?:\.[\w\-]++)+))?"
)

# Web pages and word processors set a number with other hyphens and dashes than the keyboard's.
_DASH = r"\-\u2010-\u2013\u2212"
_GAP = rf"[ .{_DASH}]"

_IBAN = re.compile(
    r"(?<![A-Za-z0-9])(?:[A-Z]{2}\d{2}(?:[ \-][A-Z0-9]{4}){2,7}(?:[ \-][A-Z0-9]{1,3})?"
    r"|[A-Za-z]{2}\d{2}[A-Za-z0-9]{11,30})"
    r"(?![A-Za-z0-9])"
)
_SOCIAL_SECURITY = re.compile(
    rf"(?<![\w.{_DASH}])\d{{3}}[{_DASH}]\d{{2}}[{_DASH}]\d{{4}}(?![\w{_DASH}]|\.\d)"
)
_NAMED_ACCOUNT = re.compile(
    r"(?<!\w)((?:account|acct|a/c|routing|sort code|social security|ssn|iban|konto)"
    rf"(?: ?(?:no|nr|num|number|id)\b)?[ .:#=]{{0,4}}(?:is )?[:#]?)([0-9](?:[ {_DASH}]?[0-9]){{5,25}})(?!\w)",
    re.IGNORECASE,
)
_DIGIT_GROUPS = re.compile(rf"(?<![\w.])\d++(?>(?:{_GAP}\d++)*)(?!\w)")

# A slash stands inside a number of something else, or between two phones: "0151-1234567/0151-1234568".
_END = rf"(?!\w|[.{_DASH}]\d|/(?!0|\d{{3}}{_GAP}\d{{3}}{_GAP}\d{{4}})\d)"
_YEAR = rf"(?:19|20)\d\d[ {_DASH}]"
_PHONE = re.compile(
    rf"(?:(?<![\w+./#{_DASH}])|(?<=[0-9]{{5}}/)|(?<=[0-9]{{3}}{_GAP}[0-9]{{4}}/)|(?<=\]/))(?:"
    rf"\+\d(?:(?:{_GAP}| ?/ ?)?\(?\d\)?){{6,14}}{_END}"  # +49 (0)30 1234567
    rf"|00[1-9]\d{{0,2}}[ .{_DASH}/]\d(?:[ .{_DASH}/]?\d){{5,11}}{_END}"  # 0049 30 1234567
    rf"|00[1-9]\d{{9,12}}{_END}"  # 00491711234567; shorter ones are order numbers filled with zeros
    rf"|(?:1{_GAP})?(?:\(\d{{3}}\) ?|\d{{3}}{_GAP})\d{{3}}{_GAP}\d{{4}}{_END}"  # (555) 123-4567
    rf"|0\d(?:{_GAP}\d\d){{4}}{_END}"  # 01 23 45 67 89
    rf"|(?:\(0\d\) ?|0[1-9][ {_DASH}](?!{_YEAR}))\d{{4}}[ {_DASH}]?\d{{4}}{_END}"  # (02) 9876 5432
    rf"|\(?0\d{{2,4}}\)?(?:[ {_DASH}]| ?/ ?)(?:\d{{3,4}}[ {_DASH}]?\d{{3,5}}"  # 020 7946 0958, 030/1234567
    rf"|\d{{3}}(?:[ .]\d\d){{2}}|\d\d(?:[ .]\d\d){{2,3}}){_END}"  # 079 123 45 67, 0470 12 34 56
    rf"|0\d{{9,10}}{_END}"  # 07911123456
    r")"
)
_NAMED_PHONE = re.compile(
    r"(?<!\w)((?:call|called|phone|ph|tel|telephone|mobile|cell|fax|whatsapp|sms|text"
    r"|(?:reach|contact) (?:me|us)|(?:my|contact) (?:number|no))\b[^\d\[\]$€£]{0,15})"
    rf"((?:\d{_GAP}?){{6,14}}\d){_END}",
    re.IGNORECASE,
)
_ORDER_BEFORE = re.compile(
    r"\b(?:order|invoice|ticket|case|ref|reference|tracking|serial|model|part|item|sku|isbn|id)"
    r"(?: ?(?:no|number|nr|num|id|code)\b)?[ .:#=]{0,4}(?:is |was )?$",
    re.IGNORECASE,
)
_BETWEEN = rf"[ ./{_DASH}]"
_DATE = re.compile(
    rf"^(?:[1-9]\d{{3}}{_BETWEEN}\d{{1,2}}{_BETWEEN}\d{{1,2}}|\d{{1,2}}{_BETWEEN}\d{{1,2}}{_BETWEEN}\d{{4}})"
    r"(?:\D|$)"
)


_CARD_GROUPS = {(4, 4, 4, 4), *((4, 4, 4, 4, n) for n in (1, 2, 3)), (4, 6, 4), (4, 6, 5), (8, 8)}


def _luhn(digits: str) -> bool:
    """The check digit of payment cards, ISO/IEC 7812-1 annex B."""
    total = 0
    for index, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if index % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _is_iban(text: str) -> bool:
    """ISO 13616 check digits: rearranged and read as a number, the rest by 97 is 1."""
    compact = re.sub(r"[ \-]", "", text).upper()
    return (
        15 <= len(compact) <= 34
        and int("".join(str(int(c, 36)) for c in compact[4:] + compact[:4])) % 97 == 1
    )


def _cards(match: re.Match[str]) -> str:
    """Mask the payment cards within a run of digit groups; what is before and after them stays."""
    groups = list(re.finditer(r"\d+", match.group()))
    out, position, index = [], 0, 0
    while index < len(groups):
        end = _card_end(groups, index)
        if end is not None:
            out.append(match.group()[position : groups[index].start()] + "[CARD]")
            position, index = groups[end].end(), end
        index += 1
    return "".join([*out, match.group()[position:]])


def _card_end(groups: list[re.Match[str]], first: int) -> int | None:
    """Index of the last group of a card that begins at `first`: one block, or grouped as cards are."""
    digits, sizes, found = "", (), None
    for index in range(first, min(first + 5, len(groups))):
        digits += groups[index].group()
        sizes = (*sizes, len(groups[index].group()))
        plausible = "2" <= digits[0] <= "6" and (
            13 <= sizes[0] <= 19 if len(sizes) == 1 else sizes in _CARD_GROUPS
        )
        if plausible and _luhn(digits):
            found = index
        if sizes[0] > 8:
            break
    return found


def _iban(match: re.Match[str]) -> str:
    text = match.group()
    ends = [len(text), *(m.start() for m in reversed(list(re.finditer(r"[ \-]", text))))]
    for end in ends:  # the longest first: a word in capitals may follow
        if _is_iban(text[:end]):
            return "[ACCOUNT]" + text[end:]
    return text


def _phone(match: re.Match[str]) -> str:
    before = match.string[max(0, match.start() - 40) : match.start()]
    if _DATE.match(match.group()) or _ORDER_BEFORE.search(before):
        return match.group()
    return "[PHONE]"


def _url(match: re.Match[str]) -> str:
    text = match.group()
    return "[URL]" + text[len(text.rstrip(_URL_TAIL)) :]


_DIGIT = re.compile(r"\d")


def _may_hold_url(text: str) -> bool:
    return "/" in text or ("?" in text and "." in text) or "www." in text.lower()


def _may_hold_address(text: str) -> bool:
    return "@" in text or "at]" in (lower := text.lower()) or "at)" in lower


def _may_hold_handle(text: str) -> bool:
    return "@" in text or "[~" in text


def _may_hold_number(text: str) -> bool:
    return _DIGIT.search(text) is not None


Replacement = str | Callable[[re.Match[str]], str]

# What every match must hold is asked first: most tickets hold none of it, and cleaning a text is a good part
# of what the service costs.
_RULES: tuple[tuple[Callable[[str], bool], tuple[tuple[re.Pattern[str], Replacement], ...]], ...] = (
    (_may_hold_url, ((_URL, _url),)),
    (_may_hold_address, ((_EMAIL, "[EMAIL]"),)),
    (_may_hold_handle, ((_HANDLE, "[HANDLE]"),)),
    (
        _may_hold_number,
        (
            (_IBAN, _iban),
            (_DIGIT_GROUPS, _cards),
            (_SOCIAL_SECURITY, "[ACCOUNT]"),
            (_NAMED_ACCOUNT, r"\1[ACCOUNT]"),
            (_PHONE, _phone),
            (_NAMED_PHONE, r"\1[PHONE]"),
        ),
    ),
)

# By name, for edge/rules.py: the page of the edge cleans with the same patterns.
PATTERNS: dict[str, re.Pattern[str]] = {
    "invisible": _INVISIBLE,
    "stray_joiner": _STRAY_JOINER,
    "maybe_marks": _MAYBE_MARKS,
    "surrogate": _SURROGATE,
    "url": _URL,
    "email": _EMAIL,
    "handle": _HANDLE,
    "iban": _IBAN,
    "digit_groups": _DIGIT_GROUPS,
    "social_security": _SOCIAL_SECURITY,
    "named_account": _NAMED_ACCOUNT,
    "phone": _PHONE,
    "named_phone": _NAMED_PHONE,
    "order_before": _ORDER_BEFORE,
    "date": _DATE,
}
NUMBERS = {
    "passes": _PASSES,
    "most_marks": _MOST_MARKS,
    "url_tail": _URL_TAIL,
    "card_groups": sorted(_CARD_GROUPS),
}


def count_masks(text: str) -> Counter[str]:
    """How often each token of TOKENS stands in a masked text."""
    return Counter(MASK.findall(text))


def mask(text: str) -> str:
    """Replace personal data by [EMAIL], [PHONE], [CARD], [ACCOUNT], [HANDLE] and [URL].

    Args:
        text: normalised text (`normalise`).

    Returns:
        The masked text.
    """
    for _ in range(_PASSES):  # a mask can set free the edge of a number beside it
        masked = text
        for may_match, rules in _RULES:
            if may_match(masked):
                for pattern, replacement in rules:
                    masked = pattern.sub(replacement, masked)
        if masked == text:
            break
        text = masked
    return text


def clean(text: str) -> str:
    """Normalise, take out mark-up, then mask: what is stored and what the model sees. Idempotent."""
    text = normalise(text)
    for _ in range(_PASSES):  # a mask in an attribute can make a tag of what was none
        cleaned = mask(without_markup(text))
        if cleaned == text or "<" not in cleaned:
            return cleaned
        text = cleaned
    return text


# Punctuation, not symbols: an emoji is content.
_PUNCTUATION = re.compile(
    r"[\s!-/:-@\[-`{-~\u00a0-\u00a8\u00ab-\u00ad\u00b4\u00b6-\u00b8\u00bb\u00bf\u2000-\u206f\u2e00-\u2e7f"
    r"\u3000-\u303f\uff01-\uff0f\uff1a-\uff20]+"
)


def dedup_key(text: str) -> str:
    """The form under which two texts count as the same: case, punctuation and white space folded.

    A text of punctuation alone keeps it, else ":)" would equal ":(".
    """
    folded = unicodedata.normalize("NFKC", text).casefold()
    return _PUNCTUATION.sub(" ", folded).strip() or "".join(folded.split())


@functools.cache
def _key(secret: str) -> bytes:
    return hashlib.blake2b(secret.encode()).digest() if secret else b""


def _secret() -> str:
    return os.environ.get(PSEUDONYM_KEY, "").strip()  # of a file with a newline at its end, or not


def keyed() -> bool:
    """Whether pseudonyms have a key."""
    return bool(_secret())


# What programs write where they do not know who: as one customer, they would be the largest of all.
NOBODY = frozenset({"-", "anonymous", "guest", "n/a", "nan", "none", "null", "unknown"})


def known_customer(customer_id: str | None) -> str | None:
    """An id as it is compared, without white space around it; None where it names nobody."""
    name = (customer_id or "").strip()
    return None if name.lower() in NOBODY else name or None


def pseudonym(customer_id: str) -> str:
    """16 hex digits that stand for a customer: the same for the same id, not to be turned back.

    Keyed by the environment variable TICKET_SENTIMENT_PSEUDONYM_KEY: without a key, whoever can list
    all customer ids can find out which is which. A changed key makes new customers of old ones.
    """
    key = _key(_secret())
    return hashlib.blake2b(customer_id.encode("utf-8", "replace"), digest_size=8, key=key).hexdigest()

"""What a ticket may look like without saying anything else: typos, case, punctuation, left-overs of HTML.

Each function takes a text and a generator and gives the changed text; the same one where nothing can change.
"""

import html
import random
import re
from collections.abc import Callable

Change = Callable[[str, random.Random], str]

CHANGES: dict[str, Change] = {}

_WORD = re.compile(r"[A-Za-z]{4,}")
_ROWS = ("qwertyuiop", "asdfghjkl", "zxcvbnm")
_NEIGHBOURS = {letter: row[at + 1 : at + 2] or row[at - 1] for row in _ROWS for at, letter in enumerate(row)}
_LONG_FORMS = {
    "is not": "isn't",
    "are not": "aren't",
    "was not": "wasn't",
    "do not": "don't",
    "does not": "doesn't",
    "did not": "didn't",
    "have not": "haven't",
    "cannot": "can't",
    "I am": "I'm",
    "I have": "I've",
    "it is": "it's",
}


def _change(function: Change) -> Change:
    CHANGES[function.__name__] = function
    return function


def _in_a_word(text: str, rng: random.Random, edit: Callable[[str, int], str]) -> str:
    """Edit one word of four or more letters, not at its first or last letter."""
    words = list(_WORD.finditer(text))
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(1, len(word.group()) - 2)
    return text[: word.start()] + edit(word.group(), at) + text[word.end() :]


@_change
def swap_letters(text: str, rng: random.Random) -> str:
    return _in_a_word(text, rng, lambda word, at: word[:at] + word[at + 1] + word[at] + word[at + 2 :])


@_change
def drop_letter(text: str, rng: random.Random) -> str:
    return _in_a_word(text, rng, lambda word, at: word[:at] + word[at + 1 :])


@_change
def double_letter(text: str, rng: random.Random) -> str:
    return _in_a_word(text, rng, lambda word, at: word[: at + 1] + word[at:])


@_change
def wrong_key(text: str, rng: random.Random) -> str:
    return _in_a_word(text, rng, lambda word, at: word[:at] + _NEIGHBOURS[word[at].lower()] + word[at + 1 :])


@_change
def lower_case(text: str, rng: random.Random) -> str:
    return text.lower()


@_change
def upper_case(text: str, rng: random.Random) -> str:
    return text.upper()


@_change
def title_case(text: str, rng: random.Random) -> str:
    return " ".join(word[:1].upper() + word[1:] for word in text.split(" "))


@_change
def no_final_stop(text: str, rng: random.Random) -> str:
    return text.rstrip(".")


@_change
def double_spaces(text: str, rng: random.Random) -> str:
    return text.replace(" ", "  ")


@_change
def line_breaks(text: str, rng: random.Random) -> str:
    """Wrapped by an old mail program."""
    words = text.split(" ")
    at = rng.randrange(1, len(words)) if len(words) > 1 else 0
    return " ".join(words[:at]) + "\r\n" + " ".join(words[at:])


@_change
def short_forms(text: str, rng: random.Random) -> str:
    for long_form, short_form in _LONG_FORMS.items():
        text = text.replace(long_form, short_form)
    return text


@_change
def html_paragraph(text: str, rng: random.Random) -> str:
    return f"<div><p>{text}</p><br></div>"


@_change
def html_spaces(text: str, rng: random.Random) -> str:
    return text.replace(" ", "&nbsp;", 1) + "&nbsp;&nbsp;"


@_change
def html_entities(text: str, rng: random.Random) -> str:
    return html.escape(f'"{text}"')


@_change
def styled(text: str, rng: random.Random) -> str:
    return f'<span style="font-family:Arial;font-size:10pt">{text}</span>'


@_change
def markdown(text: str, rng: random.Random) -> str:
    return f"### Description\n\n* {text}\n\n---"


@_change
def quoted(text: str, rng: random.Random) -> str:
    """As a reply that quotes it."""
    return "\n".join(f"> {line}" for line in text.splitlines())


@_change
def said_twice(text: str, rng: random.Random) -> str:
    return f"{text} {text}"

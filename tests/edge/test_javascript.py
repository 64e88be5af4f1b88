"""Patterns as JavaScript writes them; that a browser reads by them as Python does is in test_page.py."""

import re

import pytest

from ticket_sentiment.edge.javascript import javascript
from ticket_sentiment.errors import TicketSentimentError


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("ab", "ab"),
        ("a.b", r"a[^\n]b"),
        ("[^a-c]", "[^a-c]"),
        (r"\d", r"[\p{Nd}]"),
        (r"[^\W\d_]", r"[^[^\p{L}\p{N}_]\p{Nd}\u{5f}]"),
        ("(?:a|bc)?", "(?:(?:a|bc)){0,1}"),
        ("a++b", r"(?=(?<p1>(?:a){1,}))\k<p1>b"),
        ("(?>ab|cd)e", r"(?=(?<p1>(?:ab|cd)))\k<p1>e"),
        ("(a)(?P<word>b)", "(?<g1>a)(?<word>b)"),
        ("(?<=a)(?!b)(?<!c)", "(?<=a)(?!b)(?<!c)"),
        ("a{2,3}?$", r"(?:a){2,3}?(?=\n?$)"),
        ("(?i:a)b", "(?:[aAa])b"),
    ],
)
def test_what_javascript_has_not_is_written_another_way(pattern, expected):
    assert javascript(re.compile(pattern)) == expected


def test_a_letter_of_any_case_is_every_one_that_python_takes_for_it():
    assert javascript(re.compile("k", re.IGNORECASE)) == r"[kKk\u{212a}]"
    assert javascript(re.compile("[i-k]", re.IGNORECASE)) == r"[i-kIJKijk\u{130}\u{131}\u{212a}]"


def test_what_is_not_known_is_refused_with_the_pattern():
    with pytest.raises(TicketSentimentError, match=r"\(a\)\\\\1.*GROUPREF"):
        javascript(re.compile(r"(a)\1"))

"""Greetings and signatures go, and nothing else."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean


@pytest.mark.parametrize(
    "text", ["Hello", "Hi there,", "Regards", "Kind regards, Anna", "Hello, Regards, Anna", "", " "]
)
def test_a_ticket_never_becomes_empty(text):
    assert bool(canonical(clean(text))) == bool(clean(text))


PARTS = st.lists(
    st.sampled_from(
        ["Hello", "Hi there", "Dear Anna", "dear", ",", ", ", ": ", ". ", " ", "regards", "Kind regards",
         "Anna", "Never", "[PHONE]", "Sincerely", "Sent from my iPhone", "not", "broken", "A.", "-", "?",
         "Yours truly", "<", ">"]
    ),
    max_size=14,
)  # fmt: skip


@given(PARTS.map("".join))
@settings(max_examples=500, deadline=None)
def test_canonical_is_idempotent_and_only_takes_off_the_ends(text):
    cleaned = clean(text)
    once = canonical(cleaned)
    assert canonical(once) == once
    assert once in cleaned
    assert all(word in re.findall(r"\w+", once) for word in re.findall(r"\b(?:not|broken)\b", cleaned))


@pytest.mark.parametrize(
    "text",
    ["Hi " * 5000, "Hello, " * 3000, "Dear " + "A" * 20_000, "x " + "Regards, Anna " * 2000,
     "regards " * 3000, "x" + " [PHONE]" * 3000, "a. Regards" + ", " * 10_000,
     "Kind Kind Kind regards. " * 1000],
)  # fmt: skip
def test_hostile_texts_take_no_time(text):
    start = time.process_time()
    once = canonical(text)
    assert canonical(once) == once
    assert time.process_time() - start < 1


def test_every_ending_that_the_pattern_knows_is_looked_for():
    """The page in a browser asks the pattern alone: a shortcut that misses one would answer differently."""
    for ending in ("Regards", "Sincerely", "faithfully", "Yours faithfully", "Sent from my iPhone"):
        assert canonical(f"It never came. {ending}") == "It never came.", ending

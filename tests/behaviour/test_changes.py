import random

import pytest

from ticket_sentiment.behaviour.changes import CHANGES

TEXT = "I do not like the invoice of last month."


@pytest.mark.parametrize("name", CHANGES)
def test_every_change_changes_and_is_the_same_for_the_same_seed(name):
    changed = [CHANGES[name](TEXT, random.Random(seed)) for seed in range(20)]
    assert TEXT not in changed
    assert changed == [CHANGES[name](TEXT, random.Random(seed)) for seed in range(20)]


@pytest.mark.parametrize(
    ("name", "difference"), [("swap_letters", 0), ("drop_letter", -1), ("double_letter", 1), ("wrong_key", 0)]
)
def test_a_typo_is_one_letter_within_one_word(name, difference):
    for seed in range(50):
        changed = CHANGES[name](TEXT, random.Random(seed))
        assert len(changed) == len(TEXT) + difference
        pairs = [(a, b) for a, b in zip(TEXT.split(), changed.split(), strict=True) if a != b]
        assert len(pairs) == 1 and pairs[0][0][0] == pairs[0][1][0]
        if name == "swap_letters":
            assert sorted(changed) == sorted(TEXT)


@pytest.mark.parametrize(
    ("name", "changed"),
    [
        ("upper_case", "I DO NOT LIKE THE INVOICE OF LAST MONTH."),
        ("short_forms", "I don't like the invoice of last month."),
        ("no_final_stop", "I do not like the invoice of last month"),
        ("html_paragraph", f"<div><p>{TEXT}</p><br></div>"),
        ("html_entities", f"&quot;{TEXT}&quot;"),
        ("quoted", f"> {TEXT}"),
    ],
)
def test_what_becomes_of_a_text(name, changed):
    assert CHANGES[name](TEXT, random.Random(0)) == changed


@pytest.mark.parametrize("name", CHANGES)
def test_a_short_text_breaks_nothing(name):
    for text in ("ok", "a"):
        assert isinstance(CHANGES[name](text, random.Random(0)), str)

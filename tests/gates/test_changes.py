import pandas as pd
import pytest

from ticket_sentiment.gates.changes import EXCERPT_CHARS, Move, changes, excerpt


def tables(
    rows: list[tuple[str, str, str, float]], against: str = "champion"
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Rows of (label, before, after, confidence of after)."""
    ids = [f"t{index}" for index in range(len(rows))]
    predictions = pd.DataFrame(
        {
            "ticket_id": ids,
            "label": [row[0] for row in rows],
            f"{against}_label": [row[1] for row in rows],
            "compressed_label": [row[2] for row in rows],
            "compressed_negative": [row[3] for row in rows],
            "compressed_neutral": 0.0,
            "compressed_positive": 0.0,
        }
    )
    holdout = pd.DataFrame(
        {"ticket_id": ids[::-1], "channel": "mail", "text": [f"text of {one}" for one in ids[::-1]]}
    )
    return predictions, holdout


ROWS = [
    ("negative", "neutral", "negative", 0.6),
    ("negative", "neutral", "negative", 0.9),
    ("positive", "positive", "neutral", 0.7),
    ("positive", "neutral", "negative", 0.8),  # wrong before and after: neither better nor worse
    ("neutral", "neutral", "neutral", 0.8),
]


def test_better_and_worse_are_counted_by_label_and_the_surest_come_first():
    found = changes(*tables(ROWS), 5)
    assert (found.against, found.better, found.worse) == ("champion", 2, 1)
    assert found.by_label == (("negative", 2, 0), ("neutral", 0, 0), ("positive", 0, 1))
    assert [example.ticket_id for example in found.better_examples] == ["t1", "t0"]
    worse = found.worse_examples[0]
    assert (worse.ticket_id, worse.excerpt, worse.before, worse.after) == (
        "t2",
        "text of t2",
        "positive",
        "neutral",
    )


def test_every_way_that_an_answer_went_is_counted_with_who_gained_and_who_lost():
    found = changes(*tables(ROWS), 5)
    assert found.moves == (
        Move("neutral", "negative", 3, 2, 0),
        Move("positive", "neutral", 1, 0, 1),
    )
    assert (found.rows, found.moved, found.right_before, found.right) == (5, 4, 2, 3)
    assert found.answers == (("negative", 0, 3), ("neutral", 4, 2), ("positive", 1, 0))


def test_no_more_examples_are_shown_than_are_allowed():
    found = changes(*tables(ROWS), 1)
    assert [len(found.better_examples), len(found.worse_examples)] == [1, 1]
    assert changes(*tables(ROWS), 0).better_examples == ()


def test_without_a_champion_it_is_compared_with_the_bag_of_words():
    assert changes(*tables(ROWS, "tfidf"), 5).against == "tfidf"


def test_nothing_changed_is_no_example():
    found = changes(*tables([("neutral", "neutral", "neutral", 0.5)]), 5)
    assert (found.better, found.worse, found.better_examples, found.worse_examples) == (0, 0, (), ())
    assert found.moves == () and found.moved == 0


@pytest.mark.parametrize("text", ["word " * 100, "w" * 500, "a" + " " * 400 + "b", "ü" * 161])
def test_an_excerpt_is_short(text):
    assert len(excerpt(text)) <= EXCERPT_CHARS


def test_an_excerpt_ends_at_a_word_and_a_short_text_stays():
    assert excerpt("one two three", 10) == "one two…"
    assert excerpt("  one\n two ") == "one two"

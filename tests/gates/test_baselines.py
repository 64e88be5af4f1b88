import numpy as np
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates.baselines import label_ids, majority_probabilities, tfidf_probabilities

TEXTS = [
    "the app is great",
    "great and fast",
    "terrible and slow",
    "a terrible app",
    "when is my invoice due",
] * 4
LABELLED = ["positive", "positive", "negative", "negative", "neutral"] * 4


def test_the_majority_answers_with_the_training_shares():
    p = majority_probabilities(["positive", "positive", "negative"], 2)
    assert p.tolist() == [[1 / 3, 0, 2 / 3]] * 2


def test_a_bag_of_words_learns_words_in_the_order_of_our_labels():
    p = tfidf_probabilities(TEXTS, LABELLED, ["great", "terrible", "my invoice"])
    assert p.argmax(axis=1).tolist() == label_ids(["positive", "negative", "neutral"]).tolist()
    assert p.sum(axis=1) == pytest.approx(1)


def test_a_class_that_was_never_seen_gets_probability_zero():
    two = [(text, label) for text, label in zip(TEXTS, LABELLED, strict=True) if label != "neutral"]
    p = tfidf_probabilities([text for text, _ in two], [label for _, label in two], ["great"])
    assert p[0, 1] == 0 and p.sum() == pytest.approx(1)


def test_it_repeats_itself():
    first, again = (tfidf_probabilities(TEXTS, LABELLED, TEXTS) for _ in range(2))
    assert np.array_equal(first, again)


def test_what_cannot_be_learnt_from_is_one_line_that_names_the_file_and_no_text():
    with pytest.raises(TicketSentimentError, match="fewer than two classes"):
        tfidf_probabilities(["secret words"] * 3, ["neutral"] * 3, [])
    with pytest.raises(TicketSentimentError, match="column text") as caught:
        tfidf_probabilities(["secretone", "secrettwo"], ["neutral", "negative"], [])
    assert "secretone" not in str(caught.value) and "\n" not in str(caught.value)

import json

import pytest

from ticket_sentiment.cache.answer import Answer, decode, encode

ANSWER = Answer("positive", (0.125, 0.25, 0.625), "cpu")


def test_there_and_back():
    assert decode(encode(ANSWER, "k"), "k") == ANSWER
    assert decode(encode(ANSWER, "k").encode(), "k") == ANSWER
    assert ANSWER.confidence == 0.625


@pytest.mark.parametrize(
    "changes",
    [
        {"key": "another"},
        {"label": "great"},
        {"label": ["positive"]},
        {"probabilities": [0.5, 0.5]},
        {"probabilities": [0.5, 0.5, 0.5]},
        {"probabilities": [1.5, -0.5, 0]},
        {"probabilities": ["a", "b", "c"]},
        {"probabilities": None},
        {"probabilities": [10**400, 0, 0]},  # more than a float holds
        {"backend": 1},
        {"backend": "c" * 65},
        {"backend": "cpu\n"},
        {"backend": ""},
    ],
)
def test_what_is_no_answer_to_the_key_is_refused(changes):
    raw = {**json.loads(encode(ANSWER, "k")), **changes}
    with pytest.raises(ValueError, match=r"^not an answer to this key$"):
        decode(json.dumps(raw), "k")


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "{}", '"x"', "cos\nsystem\n(S'true'\ntR.", b"\x80\x04K\x01.", "[" * 100_000, "NaN"],
)
def test_hostile_values_are_refused(text):
    with pytest.raises(ValueError, match="not an answer"):
        decode(text, "k")


def test_a_probability_that_is_no_number_is_not_written():
    with pytest.raises(ValueError):
        encode(Answer("positive", (float("nan"), 0.5, 0.5), "cpu"), "k")

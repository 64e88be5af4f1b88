import numpy as np
import pandas as pd
import pytest

from ticket_sentiment.compare.differences import MIN_LABELLED, WORST, differences, distance
from ticket_sentiment.gates.scored import Scored
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Evaluate

SETTINGS = Evaluate(bootstrap_samples=200, seed=7, min_slice_rows=20)


def answered(labels: list[int], sure: float = 0.8) -> Scored:
    probabilities = np.full((len(labels), 3), (1 - sure) / 2)
    probabilities[np.arange(len(labels)), labels] = sure
    return Scored(probabilities)


def tickets(labels: list[int | None]) -> pd.DataFrame:
    rows = len(labels)
    return pd.DataFrame(
        {
            "ticket_id": [f"t{row:03d}" for row in range(rows)],
            "customer_id": [f"c{row // 2}" for row in range(rows)],
            "created_at": pd.Timestamp("2026-10-01", tz="UTC"),
            "channel": ["mail" if row % 2 else "chat" for row in range(rows)],
            "text": "the invoice is wrong",
            "label": [None if label is None else LABELS[label] for label in labels],
        }
    )


TRUTH = [0, 1, 2] * 40


def spoilt(rows: int) -> list[int]:
    """The truth with its first so many negative answers made positive."""
    answers = list(TRUTH)
    for row in range(rows):
        answers[3 * row] = 2
    return answers


def test_b_that_spoils_some_answers_is_told_with_all_its_numbers():
    found = differences(tickets(TRUTH), answered(TRUTH), answered(spoilt(12)), SETTINGS, 0.5)
    assert found.rows == 120 and found.moved == 12 and found.agreement.value == pytest.approx(0.9)
    (move,) = found.moves
    assert (move.before, move.after, move.rows, move.better, move.worse) == (
        "negative",
        "positive",
        12,
        0,
        12,
    )
    assert found.transitions.tolist() == [[28, 0, 12], [0, 40, 0], [0, 0, 40]]
    quality = found.quality
    assert (
        quality.a.value == 1.0 and quality.difference.high < 0 and (quality.better, quality.worse) == (0, 12)
    )
    assert quality.recalls[0] == ("negative", 1.0, pytest.approx(0.7))
    assert quality.calibration_errors[0] == pytest.approx(0.2)


def test_the_same_text_again_is_no_more_evidence():
    once = tickets(TRUTH).assign(customer_id=None, text=[f"text {row}" for row in range(len(TRUTH))])
    again = pd.concat([once] * 9, ignore_index=True)
    found = [
        differences(table, answered(TRUTH * copies), answered(spoilt(12) * copies), SETTINGS, 0.5).agreement
        for table, copies in ((once, 1), (again, 9))
    ]
    assert found[0] == found[1]


def test_the_worst_changes_are_those_that_lose_most_by_id():
    a = answered(TRUTH)
    b = answered(spoilt(WORST + 5), sure=0.6)
    b.probabilities[6] = [0.0, 0.0, 1.0]  # t006 is negative
    worst = differences(tickets(TRUTH), a, b, SETTINGS, 0.5).worst
    assert len(worst) == WORST
    assert (worst[0].ticket_id, worst[0].label, worst[0].a, worst[0].b) == (
        "t006", "negative", "negative", "positive",
    )  # fmt: skip
    assert worst[0].loss == pytest.approx(0.8) and worst[1].ticket_id == "t000"
    assert "invoice" not in repr(worst[0])


def test_without_labels_answers_are_compared_and_quality_is_not_claimed():
    table = tickets([None] * len(TRUTH))
    found = differences(table, answered(TRUTH), answered(spoilt(3)), SETTINGS, 0.5)
    assert found.quality is None and [one.label for one in found.worst] == [None] * 3
    assert all(part.difference is None for part in found.parts)
    assert {(part.value, part.rows) for part in found.parts} == {("mail", 60), ("chat", 60)}


def test_too_few_labels_are_no_quality():
    few = [*TRUTH[: MIN_LABELLED - 1], *[None] * 91]
    assert differences(tickets(few), answered(TRUTH), answered(spoilt(3)), SETTINGS, 0.5).quality is None


def test_a_mistake_that_both_make_is_no_change_and_one_mended_is_none_that_got_worse():
    found = differences(tickets(TRUTH), answered(spoilt(5)), answered(spoilt(3)), SETTINGS, 0.5)
    assert found.moved == 2 and found.worst == () and found.quality.better == 2


def test_a_distance_is_zero_for_equal_and_one_for_opposite_answers():
    a = np.array([[1.0, 0.0, 0.0], [0.5, 0.3, 0.2]])
    assert distance(a, np.array([[0.0, 0.0, 1.0], [0.5, 0.3, 0.2]])).tolist() == [1.0, 0.0]


def test_answers_under_the_limit_are_counted_for_both():
    found = differences(tickets(TRUTH), answered(TRUTH), answered(TRUTH, sure=0.4), SETTINGS, 0.5)
    assert found.abstained == (0, 120) and found.moves == ()

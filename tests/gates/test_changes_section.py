import pytest

from ticket_sentiment.gates.changes import Changes, Move
from ticket_sentiment.gates.changes_section import first_screen, of_thousand


def found(moves: tuple[Move, ...], against: str = "champion", **more) -> Changes:
    given = {
        "against": against,
        "rows": 500,
        "right": 385,
        "right_before": 380,
        "better": sum(move.better for move in moves),
        "worse": sum(move.worse for move in moves),
        "moves": moves,
        "answers": (("negative", 180, 187), ("neutral", 120, 116), ("positive", 200, 197)),
        "by_label": (),
        "better_examples": (),
        "worse_examples": (),
    }
    return Changes(**(given | more))


MOVES = (Move("neutral", "negative", 12, 7, 4), Move("positive", "negative", 6, 2, 1))


def test_counts_are_told_for_a_thousand_tickets():
    screen = first_screen(found(MOVES))
    assert [value for value, _ in screen["tiles"]] == ["36", "+18", "−10", "770"]
    assert screen["tiles"][-1][1] == "right answers, 760 before"
    assert screen["note"] == "Most often negative instead of neutral (24); 14 more are called negative."


@pytest.mark.parametrize(
    ("answers", "said"),
    [((180, 173), "14 fewer are called negative"), ((180, 180), "as many as before are called negative")],
)
def test_fewer_and_as_many_are_said_so(answers, said):
    assert said in first_screen(found(MOVES, answers=(("negative", *answers),)))["note"]


def test_few_is_not_none():
    assert [of_thousand(count, 10_000) for count in (0, 3, 12)] == ["0", "under 1", "1"]


def test_where_nothing_changes_nothing_is_counted():
    assert first_screen(found(()))["note"] == "No ticket gets another answer."


def test_a_first_model_changes_no_answer():
    screen = first_screen(found(MOVES, against="tfidf"))
    assert "no champion yet" in screen["note"] and len(screen["tiles"]) == 2

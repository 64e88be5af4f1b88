from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tests.support.evidence import edit_frontier, edit_json, tried
from tests.support.frontier import frontier_point, measured_frontier
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.frontier_section import (
    answer,
    choice,
    frontier,
    how_often,
    lost,
    summary_line,
    title,
)

REPORT = "reports/compression.json"
DENSE = tried("dense", 0.0012, 23.2, False)


@pytest.fixture
def part(good_evidence, params):
    """The part of the report, after the attempts were set and more was changed by hand."""
    root = good_evidence()

    def of(attempts: list | None = None, **budget) -> dict | None:
        if attempts is not None:
            edit_json(root / REPORT, "attempts", attempts)
        limits = params.budget.model_copy(update={"margin": 0.0} | budget)
        return frontier(gather(datetime.now(UTC)), limits, "tiny")

    return of


def test_the_released_shape_is_the_finding_and_marked(part):
    found = part()
    assert (
        found["title"] == "4 of 6 layers and 33 % of the neurons are left: 0.6 points lost, 11.1 times faster"
    )
    (chosen,) = [row for row in found["rows"] if row["chosen"]]
    assert chosen["name"] == "4x8x768-e96" and chosen["answer"] == "yes"
    assert f"(number {chosen['number']}, ringed)" in found["choice"]
    assert "3x8x768-e48 loses 1.34 points on the tuning tickets, 0.34 too many" in found["choice"]
    assert found["plot"].count('class="ring"') == 1


@pytest.mark.parametrize(
    ("seeds", "said"),
    [
        ((1, 1), "Each was made"),
        ((1, 3), "scored 3 times"),
        ((3, 1, 5), "scored 3 to 5 times, anything else"),
    ],
)
def test_how_often_a_shape_was_scored_is_said_as_it_is(seeds, said):
    assert said in how_often([frontier_point(seeds=number) for number in seeds])


def test_every_point_has_a_dot_a_number_and_a_row(part):
    found = part()
    points = measured_frontier()
    assert found["plot"].count('class="dot') == len(points) == len(found["rows"])
    assert [row["number"] for row in found["rows"]] == list(range(1, len(points) + 1))
    milliseconds = [float(row["values"][2]) for row in found["rows"]]
    assert milliseconds == sorted(milliseconds)


def test_a_shape_that_held_when_measured_and_not_this_month_says_so(part):
    answers = {row["name"]: row["answer"] for row in part()["rows"]}
    assert answers["3x8x768-e48"].startswith("yes when measured, but this month it loses 1.34 points")
    assert answers["2x6x512-e48"] == "no: loses 2.40 points on the tuning tickets, 1.40 too many"
    assert answers["Dense model"] == answers["Small model, trained from scratch"] == "only to compare"


def test_the_dense_model_in_place_of_a_shape_is_the_finding(part):
    found = part(attempts=[tried("2x6x512-e48", 0.0241, 3.2, False), DENSE])
    assert (
        found["title"] == "Nothing was cut this month: no shape that was tried kept the budget of 1.0 points"
    )
    assert "dense one in 8-bit numbers" in found["choice"] and "2x6x512-e48 loses 2.41" in found["choice"]
    (chosen,) = [row for row in found["rows"] if row["chosen"]]
    assert chosen["name"].startswith("Dense model in 8-bit")
    assert chosen["answer"] == "no shape: a person decides"


def test_a_shape_that_was_not_measured_has_no_ring(part):
    found = part(attempts=[tried("5x5x5", 0.001, 3.2, True)])
    assert 'class="ring"' not in found["plot"] and "ringed" not in found["choice"]
    assert found["title"].startswith("3 of 6 layers")  # the cheapest that the budget allows
    assert "Tried before" not in found["choice"]


def test_a_gain_on_the_tuning_tickets_is_called_one(part):
    assert "gains 0.30 points" in part(attempts=[tried("4x8x768-e96", -0.003, 7.0, True)])["choice"]


def test_without_a_compression_report_the_shapes_are_shown_and_the_choice_is_not_known(part):
    found = part(attempts=[])
    assert "is not known" in found["choice"] and REPORT in found["choice"]
    assert 'class="ring"' not in found["plot"]


def test_without_a_frontier_there_is_no_part(good_evidence, params):
    good_evidence()
    evidence = gather(datetime.now(UTC))
    assert frontier(replace(evidence, frontier=()), params.budget, "tiny") is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"base_model": "another"}, "no: measured with another base model, another"),
        ({"mb": 9.0}, "no: takes 9.0 MB, 1.0 too many"),
        ({"ms": 3.0}, "no: takes 3.00 ms, 1.00 too many"),
        ({}, "yes"),
    ],
)
def test_why_not_is_said_for_every_limit(params, changes, words):
    budget = params.budget.model_copy(update={"max_mb": 8.0, "max_ms": 2.0, "margin": 0.005})
    assert answer(frontier_point(**changes), [], budget, "package:base") == words


def test_titles_of_frontiers_without_a_shape_to_name(params):
    dense = [point for point in measured_frontier() if point.kind == "dense"]
    assert title(None, dense, None, params.budget) == "No smaller shape has been measured yet"
    assert title(None, measured_frontier(), None, params.budget) == (
        "None of the 8 measured shapes is inside the budget of 1.0 points"
    )
    assert title(frontier_point(loss=-0.002), [frontier_point()], None, params.budget) == (
        "2 layers of 32 neurons are left: nothing lost, 14.0 times faster"
    )


def test_one_seed_has_no_interval(part):
    alone = frontier_point(loss_low=float("-inf"), loss_high=float("inf"), seeds=1)
    assert lost(alone) == "0.5"
    assert lost(frontier_point()) == "0.5 (0.1 to 0.9)"
    assert lost(frontier_point(loss=-0.001, loss_low=-0.005)) == "−0.1 (−0.5 to 0.9)"
    edit_frontier(loss_low=float("-inf"), loss_high=float("inf"))
    assert "inf" not in part()["plot"]


def test_the_summary_says_shape_and_budget(good_evidence, params):
    root = good_evidence()
    budget = params.budget.model_copy(update={"max_mb": 8.0})
    report = gather(datetime.now(UTC)).compression
    assert summary_line(report, budget) == (
        "4x8x768-e96, the cheapest within 1.0 points and 8.0 MB (tuning tickets: −0.4 points)"
    )
    edit_json(root / REPORT, "attempts", [tried("4x8x768-e96", 0.021, 4.0, False)])
    report = gather(datetime.now(UTC)).compression
    assert "-e96, not within 1.0 points (tuning tickets: −2.1" in summary_line(report, params.budget)
    assert "4x8x768-e96, outside the budget: on the tuning" in choice(report, [], params.budget)
    for attempts, shapes in (([tried("a", 0.02, 3.0, False), DENSE], "a"), ([DENSE], "none")):
        edit_json(root / REPORT, "attempts", attempts)
        line = summary_line(gather(datetime.now(UTC)).compression, params.budget)
        assert line.startswith("dense model in 8-bit numbers") and line.endswith(f"for 1.0 points: {shapes}")

import pytest

from tests.support.evidence import edit_frontier, edit_json, tried
from ticket_sentiment.gates.evidence import gather
from ticket_sentiment.gates.rules.compression import compression, excess, in_words
from ticket_sentiment.model.frontier import FRONTIER

REPORT = "reports/compression.json"
DIFFERENCE = "differences.compressed_minus_dense.macro_f1"
DENSE = tried("dense", 0.001, 23.2, False)


@pytest.fixture
def judged(good_evidence, changed_limits, now):
    """The verdict after some keys of the reports and of the limits were set."""

    def of(attempts: list | None = None, difference: tuple | None = None, **changed):
        root = good_evidence()
        if attempts is not None:
            edit_json(root / REPORT, "attempts", attempts)
        for key, value in zip(("value", "low", "high"), difference or (), strict=False):
            edit_json(root / "reports/evaluation/metrics.json", f"{DIFFERENCE}.{key}", value)
        return lambda: compression(gather(now), changed_limits(**changed))

    return of


@pytest.mark.parametrize(
    ("difference", "decision", "words"),
    [
        ((-0.010, -0.02, 0.001), "pass", "up to 1.0 points is accepted"),
        ((0.004, -0.02, 0.02), "pass", "+0.4 points"),
        ((-0.011, -0.02, -0.010), "review", "probably breaks the budget"),
        ((-0.016, -0.03, -0.0101), "fail", "surely breaks the budget"),
        ((-0.016, -0.028, -0.003), "review", "−1.6 points (−2.8 to −0.3)"),
        ((-0.013, -0.02, -0.001), "pass", "−1.3 points (−2.0 to −0.1)"),
        ((-0.013, -0.03, 0.004), "pass", "−1.3 points (−3.0 to +0.4)"),
    ],
)
def test_the_loss_on_the_holdout_is_held_against_the_budget(judged, difference, decision, words):
    verdict = judged(difference=difference)()
    assert verdict.decision == decision
    assert words in verdict.reasons[0]
    assert verdict.evidence["loss_to_dense"]["low"] == -difference[2]


def test_a_shape_inside_the_budget_passes_with_what_was_tried(judged):
    verdict = judged()()
    assert verdict.decision == "pass"
    assert verdict.evidence["shape"] == "4x8x768-e96"
    assert [one["shape"] for one in verdict.evidence["attempts"]] == ["3x8x768-e48", "4x8x768-e96"]
    assert set(verdict.evidence["label_agreement"]) == {"fp32", "int8", "fp16", "edge", "edge_to_cpu"}


def test_a_ticket_that_takes_longer_than_the_budget_waits_for_a_person(judged):
    verdict = judged(attempts=[tried("a", 0.0, 5.0, True)], max_ms=0.0001)()
    assert verdict.decision == "review"
    assert "ms on this machine, budget 0.00 ms" in " ".join(verdict.reasons)


@pytest.mark.parametrize("inside", [True, False])
def test_the_dense_model_in_place_of_a_shape_waits_for_a_person(judged, inside):
    """Even when it keeps the budget of points itself: nothing was compressed but the numbers."""
    dense = tried("dense", 0.001, 23.2, inside)
    attempts = [tried("2x8x768-e48", 0.0241, 3.9, False), tried("3x8x768-e48", 0.0134, 4.8, False), dense]
    verdict = judged(attempts=attempts)()
    (reason,) = verdict.reasons
    assert verdict.decision == "review"
    for words in (
        "2x8x768-e48 loses 2.41 points on the tuning tickets, 1.41 too many",
        "3x8x768-e48 loses 1.34 points on the tuning tickets, 0.34 too many",
        "budget.max_loss",
        "make search",
    ):
        assert words in reason


def test_no_shape_inside_the_budget_is_said_with_the_nearest(judged):
    verdict = judged(attempts=[DENSE])
    edit_frontier(tune_loss=0.03)
    found = verdict()
    assert found.decision == "review"
    assert "none of the 8 shapes" in found.reasons[0] and "loses 3.00 points" in found.reasons[0]


def test_no_shape_of_the_base_model_is_said(judged):
    verdict = judged(attempts=[DENSE])
    edit_frontier(base_model="another")
    found = verdict()
    assert found.decision == "review"
    assert "no shape for the base model tiny" in found.reasons[0] and "make search" in found.reasons[0]


def test_tries_that_are_none_are_said(judged):
    verdict = judged(attempts=[DENSE], tries=0, margin=0.005)()
    assert verdict.decision == "review" and "budget.tries is 0" in verdict.reasons[0]


def test_shapes_that_were_not_tried_fail(judged):
    """The frontier is newer than the model."""
    verdict = judged(attempts=[DENSE], margin=0.005)()
    assert verdict.decision == "fail" and "dvc repro prune" in verdict.reasons[0]


BROKEN = [None, "name\nx\n", "\xff\x00", "nan"]


def break_frontier(content: str | None) -> None:
    if content == "nan":
        edit_frontier(speedup_torch=float("nan"))
    elif content is None:
        FRONTIER.unlink()
    else:
        FRONTIER.write_text(content, encoding="latin-1")


@pytest.mark.parametrize("content", BROKEN)
def test_why_nothing_was_cut_cannot_be_said_without_the_frontier(judged, content):
    verdict = judged(attempts=[DENSE])
    break_frontier(content)
    found = verdict()
    assert found.decision == "fail" and "frontier.csv" in found.reasons[0]


@pytest.mark.parametrize("content", BROKEN)
def test_a_shape_that_was_chosen_is_judged_without_the_frontier(judged, content):
    verdict = judged()
    break_frontier(content)
    assert verdict().decision == "pass"


def test_a_frontier_without_points_holds_no_shape(judged):
    verdict = judged(attempts=[DENSE])
    FRONTIER.write_text("")
    assert verdict().decision == "review" and "holds no shape" in verdict().reasons[0]


@pytest.mark.parametrize(
    "attempts",
    [[tried("a", 0.011, 5.0, True)], [tried("a", 0.009, 5.0, False)], [tried("b", 0.0, 1.0, False), DENSE]],
)
def test_attempts_of_another_budget_fail(judged, attempts):
    verdict = judged(attempts=attempts)()
    assert verdict.decision == "fail" and "another budget" in verdict.reasons[0]


def test_a_shape_outside_the_budget_is_not_released_without_a_person(judged):
    verdict = judged(attempts=[tried("3x8x768-e48", 0.0134, 4.8, False)])()
    assert verdict.decision == "review" and "0.34 too many" in verdict.reasons[0]


def test_the_megabytes_of_the_budget_are_held_where_they_are_set(judged):
    verdict = judged(attempts=[tried("a", 0.0, 1e-9, True)], max_mb=1e-6)()
    assert verdict.decision == "fail" and "MB, budget" in verdict.reasons[0]


def test_a_bundle_inside_the_megabytes_passes(judged):
    assert judged(attempts=[tried("a", 0.0, 5.0, True)], max_mb=8.0)().decision == "pass"


def test_a_bundle_that_does_not_verify_has_no_megabytes(judged):
    verdict = judged(attempts=[tried("a", 0.0, 5.0, True)], max_mb=8.0)
    with open("models/release/cpu/model.onnx", "ab") as stream:
        stream.write(b"x")
    assert verdict().decision == "fail"


def test_every_limit_that_is_passed_is_named(params):
    budget = params.budget.model_copy(update={"max_mb": 8.0, "max_ms": 2.0})
    assert in_words(budget) == "1.0 points and 8.0 MB and 2.00 ms"
    assert excess(budget, 0.01, 8.0, 2.0) == ""
    over = excess(budget, 0.0104, 8.5, 2.25)
    assert over == (
        "loses 1.04 points on the tuning tickets, 0.04 too many and takes 8.5 MB, 0.5 too many "
        "and takes 2.25 ms, 0.25 too many"
    )

"""The part "How small can it be?" of the release report: all measured shapes, which was chosen, and why."""

import math
from collections.abc import Sequence
from typing import Any

from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.evidence_types import DENSE_SHAPE, Attempt, Compression
from ticket_sentiment.gates.frontier_plot import Dot, frontier_plot
from ticket_sentiment.gates.rules.compression import excess, in_words, misses
from ticket_sentiment.gates.words import number, points, share, times
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.frontier import FrontierPoint, allowed
from ticket_sentiment.params import Budget

PLAIN_NAMES = {
    "dense": "Dense model",
    "dense_int8": "Dense model in 8-bit numbers, nothing cut",
    "upper_layers_dropped": "Lowest {layers} layers kept, the others dropped",
    "trained_from_scratch": "Small model, trained from scratch",
}
TONES = {"dense": "ink", "compressed": "main"}  # any other kind is a plain alternative: other


def name(point: FrontierPoint) -> str:
    """What a person calls it: a shape by its name, anything else in words."""
    return PLAIN_NAMES.get(point.kind, "").format(layers=point.layers) or point.name


def lost(point: FrontierPoint) -> str:
    """ "0.4 (−0.1 to 0.9)": points lost with the interval over the seeds, if there are several."""
    value, low, high = (
        number(100 * one, 1).replace("-", "−") if math.isfinite(one) else None
        for one in (point.loss, point.loss_low, point.loss_high)
    )
    if point.kind == "dense" or low is None or high is None:
        return str(value)
    return f"{value} ({low} to {high})"


def answer(point: FrontierPoint, refused: Sequence[Attempt], budget: Budget, base_model: str) -> str:
    """Whether the budget allows a point, and if not, why.

    Args:
        point: as it was measured by the search.
        refused: what was tried this month and not taken.
        budget: the limits.
        base_model: of this month's model.
    """
    if point.kind != "compressed":
        return "only to compare"
    if point.base_model != base_model:
        return f"no: measured with another base model, {point.base_model}"
    if over := excess(budget, point.tune_loss, point.mb, point.ms):
        return f"no: {over}"
    if not allowed([point], budget, base_model):
        return f"no: within the margin of {points(budget.margin, sign=False)} below the limit"
    for one in refused:
        if one.shape == point.name:
            return f"yes when measured, but this month it {excess(budget, one.tune_loss, one.mb)}"
    return "yes"


def dot(label: int, point: FrontierPoint, chosen: str | None) -> Dot:
    """A point as it is drawn."""
    drawn = point.kind != "dense" and math.isfinite(point.loss_low) and math.isfinite(point.loss_high)
    return Dot(
        label=str(label),
        speedup=point.speedup_torch,
        loss=point.loss,
        low=point.loss_low if drawn else None,
        high=point.loss_high if drawn else None,
        mb=point.mb,
        tone=TONES.get(point.kind, "other"),
        ringed=is_chosen(point, chosen),
    )


def is_chosen(point: FrontierPoint, chosen: str | None) -> bool:
    """Whether this is the month's shape; the dense model goes on in int8, not as it is."""
    if chosen == DENSE_SHAPE:
        return point.kind == "dense_int8"
    return point.kind == "compressed" and point.name == chosen


def title(
    subject: FrontierPoint | None, measured: Sequence[FrontierPoint], chosen: str | None, budget: Budget
) -> str:
    """The finding.

    Args:
        subject: this month's shape, or the cheapest that the budget allows.
        measured: all points.
        chosen: name of this month's shape, where it is known.
        budget: the limits.
    """
    shapes = [point for point in measured if point.kind == "compressed"]
    if not shapes:
        return "No smaller shape has been measured yet"
    if chosen == DENSE_SHAPE:
        return f"Nothing was cut this month: no shape that was tried kept the budget of {in_words(budget)}"
    if subject is None:
        return f"None of the {len(shapes)} measured shapes is inside the budget of {in_words(budget)}"
    dense = next((point for point in measured if point.kind == "dense"), None)
    left = f"{subject.layers} layers of {subject.ffn} neurons"
    if dense is not None:
        neurons = subject.layers * subject.ffn / (dense.layers * dense.ffn)
        left = f"{subject.layers} of {dense.layers} layers and {share(neurons)} of the neurons"
    cost = f"{points(subject.loss, sign=False)} lost" if subject.loss >= 0.0005 else "nothing lost"
    return f"{left} are left: {cost}, {times(subject.speedup_torch)} faster"


def choice(report: Compression | Missing, ringed: Sequence[int], budget: Budget) -> str:
    """Which shape this month's model has, and what was tried first.

    Args:
        report: with the attempts.
        ringed: numbers of the dots that are this month's model: one or none.
        budget: the limits.
    """
    if isinstance(report, Missing):
        return f"Which shape this month's model has is not known. {report.sentence}"
    chosen = report.chosen
    where = f" (number {ringed[0]}, ringed)" if ringed else ""
    model = (
        f"the dense one in 8-bit numbers{where}, with nothing cut"
        if chosen.dense
        else f"{chosen.shape}{where}, "
        + ("the cheapest found inside the budget" if chosen.inside_budget else "outside the budget")
    )
    verb = "loses" if chosen.tune_loss >= 0 else "gains"
    sentence = (
        f"This month's model is {model}: on the tuning tickets it {verb} "
        f"{number(abs(100 * chosen.tune_loss), 2)} points, and it takes {number(chosen.mb, 1)} MB."
    )
    if not report.refused:
        return sentence
    return f"{sentence} Tried before it and not taken: {misses(report.refused, budget)}."


def row(place: int, point: FrontierPoint, chosen: str | None, allows: str) -> dict[str, Any]:
    """A line of the table; `allows` says whether the budget does."""
    chosen_now = is_chosen(point, chosen)
    return {
        "number": place,
        "name": name(point),
        "shape": f"{point.layers} × {point.heads} × {point.ffn:,}",
        "values": (
            lost(point),
            number(point.mb, 1),
            number(point.ms, 2),
            number(point.speedup_torch, 1),
            number(point.speedup_onnx, 1),
        ),
        "answer": "no shape: a person decides" if chosen_now and chosen == DENSE_SHAPE else allows,
        "chosen": chosen_now,
    }


def how_often(measured: Sequence[FrontierPoint]) -> str:
    """How many models the points stand for, and what the lines through them are; one sentence."""
    several = sorted({point.seeds for point in measured if point.seeds > 1})
    if not several:
        return "Each was made and scored once."
    times = f"{several[0]} to {several[-1]}" if len(several) > 1 else f"{several[0]}"
    return (
        f"What has a thin line was made and scored {times} times, anything else once; the line is where its "
        "mean loss on these tickets may well lie (95 % over the training runs)."
    )


def frontier(evidence: Evidence, budget: Budget, base_model: str) -> dict[str, Any] | None:
    """The plot, its table and this month's choice; None where no shape can be read.

    Args:
        evidence: the measured shapes and the compression report are read.
        budget: the limits.
        base_model: of this month's model, where its bundle does not say it.
    """
    if isinstance(evidence.frontier, Missing) or not evidence.frontier:
        return None
    if isinstance(evidence.cpu, Bundle):
        base_model = evidence.cpu.manifest.base_model
    report = evidence.compression
    known = isinstance(report, Compression)
    chosen, refused = (report.chosen.shape, report.refused) if known else (None, ())
    measured = sorted(evidence.frontier, key=lambda point: point.ms)
    places = list(enumerate(measured, start=1))
    own = [(place, point) for place, point in places if is_chosen(point, chosen)]
    expected = own[0][1] if own else next(iter(allowed(measured, budget, base_model)), None)
    dots = [dot(place, point, chosen) for place, point in places]
    return {
        "title": title(expected, measured, chosen, budget),
        "choice": choice(report, [place for place, _ in own], budget),
        "plot": frontier_plot(
            sorted(dots, key=lambda one: -one.mb),  # a small dot is not hidden by a large one
            budget.max_loss,
            "Points of macro-F1 lost and times as fast as the dense model, of every measured shape; "
            "the table below holds the numbers",
        ),
        "budget": in_words(budget),
        "scored": how_often(measured),
        "rows": [
            row(place, point, chosen, answer(point, refused, budget, base_model)) for place, point in places
        ],
    }


def summary_line(report: Compression, budget: Budget) -> str:
    """ "4x12x1024-e96, the cheapest within 1.0 points (tuning tickets: −0.3 points)"."""
    chosen = report.chosen
    tuning = f"(tuning tickets: {points(-chosen.tune_loss)})"
    if not chosen.dense:
        place = "the cheapest within" if chosen.inside_budget else "not within"
        return f"{chosen.shape}, {place} {in_words(budget)} {tuning}"
    tried = ", ".join(one.shape for one in report.refused) or "none"
    return f"dense model in 8-bit numbers {tuning}; shapes tried for {in_words(budget)}: {tried}"

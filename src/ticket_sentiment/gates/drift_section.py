"""What the release report says of drift: each measure as a share of its own limit."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Drift, DriftTest
from ticket_sentiment.gates.rules import DECIDING_DRIFT
from ticket_sentiment.gates.words import number
from ticket_sentiment.pages.figures import Axis, Row, rows_plot

DRIFT = {
    "label": "Mix of labels",
    "predicted_label": "Mix of predictions",
    "embedding": "What is written (embedding)",
    "confidence": "The model's confidence",
    "unknown_word_share": "Words the model does not know whole",
    "text_chars": "Length in characters",
    "text_tokens": "Length in tokens",
}
NO_DRIFT = {"embedding": 0.5}  # of a classifier that cannot tell the months apart; a distance is 0


def reach(name: str, test: DriftTest) -> float:
    """How far a drift test is on its way to its limit: 0 no drift, 1 at the limit."""
    none = NO_DRIFT.get(name, 0.0)
    return max((test.value - none) / (test.threshold - none), 0.0)


def drift_section(report: Drift) -> dict[str, Any]:
    """Every drift test as a share of its limit."""
    tests = {**report.columns, "embedding": report.embedding}
    known = [name for name in DRIFT if name in tests] + sorted(set(tests) - set(DRIFT))
    usable = {name: tests[name] for name in known if tests[name].usable}
    moved = [DRIFT.get(name, name).lower() for name in usable if usable[name].drifted]
    silent = [DRIFT.get(name, name).lower() for name in known if name not in usable]
    rows = [
        Row(
            DRIFT.get(name, name),
            reach(name, test),
            f"{number(test.value, 3)} of {number(test.threshold, 2)}",
            tone="bad" if test.drifted else "main",
        )
        for name, test in usable.items()
    ]
    title = (
        f"{report.current.month} differs from the training months in {len(moved)} of {len(usable)} measures: "
        + ", ".join(moved)
        if moved
        else f"{report.current.month} is like the training months in all {len(usable)} measures"
    )
    axis = Axis(0, 2, [(0, "no change"), (1, "limit"), (2, "twice the limit")], 1)
    return {
        "title": title,
        "plot": rows_plot(rows, axis, "Distance of this month from the training months, with its limit"),
        "silent": silent,
    }


def drift_line(report: Drift) -> str:
    """For the summary."""
    tests = {**report.columns, "embedding": report.embedding}
    moved = [name for name, test in tests.items() if test.drifted]
    if not moved:
        return f"none in {len(tests)} measures of {report.current.month}"
    deciding = [name for name in moved if name in (*DECIDING_DRIFT, "embedding")]
    return f"{len(moved)} of {len(tests)} measures moved: {', '.join(moved)}; " + (
        f"{', '.join(deciding)} asks for a person" if deciding else "none of those that decide"
    )

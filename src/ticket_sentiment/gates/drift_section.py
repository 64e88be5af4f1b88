"""Drift on the release page and in the summary: every measure as a share of its own limit."""

from collections.abc import Mapping
from typing import Any

from ticket_sentiment.gates.evidence_types import Drift, DriftTest
from ticket_sentiment.gates.rules.drift import NAMES, live_words
from ticket_sentiment.gates.words import number
from ticket_sentiment.pages.figures import Axis, Row, rows_plot

NO_DRIFT = {"embedding": 0.5}  # of a classifier that cannot tell two tables apart; a distance is 0
AXIS = Axis(0, 2, [(0, "no change"), (1, "limit"), (2, "twice the limit")], 1)
# Question: what moved where, and what did not.
TITLES = {
    "incoming": ("{month} differs from the training months in ", "{month} is like the training months"),
    "holdout": ("The holdout is unlike live traffic in ", "The holdout looks like live traffic"),
    "answers": ("It answers otherwise than the champion in ", "It answers much as the champion does"),
}


def reach(name: str, test: DriftTest) -> float:
    """How far a drift test is on its way to its limit: 0 no drift, 1 at the limit."""
    none = NO_DRIFT.get(name, 0.0)
    if test.threshold <= none:  # any change at all
        return 2.0 if test.drifted else 0.0
    return max((test.value - none) / (test.threshold - none), 0.0)


def _words(test: DriftTest) -> str:
    """Effect and limit, and where the limit is from."""
    limit = f"{number(test.value, 3)} of {number(test.threshold, 3)}"
    if test.learnt is None:
        return limit
    origin = "the floor, " if test.threshold == test.floor else ""
    return f"{limit} ({origin}learnt {number(test.learnt, 3)})"


def drift_rows(tests: Mapping[str, DriftTest]) -> list[Row]:
    """A bar for each usable test, on an axis from no change (0) to its limit (1) and beyond."""
    return [
        Row(
            NAMES.get(key, key).capitalize(),
            reach(key, tests[key]),
            _words(tests[key]),
            tone="bad" if tests[key].drifted else "main",
        )
        for key in _known(tests)
        if tests[key].usable
    ]


def _known(tests: Mapping[str, DriftTest]) -> list[str]:
    return [key for key in NAMES if key in tests] + sorted(set(tests) - set(NAMES))


def question(name: str, month: str, tests: Mapping[str, DriftTest]) -> dict[str, Any]:
    """One question: a title that states the finding, its plot, and the tests without an answer.

    Args:
        name: of TITLES.
        month: the newest.
        tests: its measures.
    """
    known = _known(tests)
    usable = [key for key in known if tests[key].usable]
    moved = [NAMES.get(key, key) for key in usable if tests[key].drifted]
    changed, still = TITLES[name]
    title = (
        f"{changed.format(month=month)}{len(moved)} of {len(usable)} measures: {', '.join(moved)}"
        if moved
        else f"{still.format(month=month)} in all {len(usable)} measures"
    )
    return {
        "title": title,
        "plot": rows_plot(drift_rows(tests), AXIS, title),
        "silent": [NAMES.get(key, key) for key in known if key not in usable],
    }


def drift_section(report: Drift) -> dict[str, Any]:
    """The first question as the section's own, and the two others; what could not be asked is said."""
    month = report.current.month
    notes = {
        "holdout": f"Compared with {live_words(report)}.",
        "answers": "Both on all tickets of the month.",
    }
    others = [
        question(name, month, tests) | {"note": notes[name]}
        for name, tests in (("holdout", report.holdout), ("answers", report.answers))
        if tests
    ]
    absent = [] if report.holdout else [f"Nothing to compare the holdout with: {live_words(report)}."]
    if not report.answers:
        absent.append("No other model is in service whose answers could be compared.")
    return question("incoming", month, report.incoming) | {"others": others, "absent": absent}


def drift_line(report: Drift) -> str:
    """One line of the summary: what moved, by question, else that nothing did."""
    questions = {
        "what came in": report.incoming,
        "the holdout against live traffic": report.holdout,
        "answers against the champion's": report.answers,
    }
    asked = {name: tests for name, tests in questions.items() if tests}
    moved = {
        name: ", ".join(NAMES.get(key, key) for key, test in tests.items() if test.drifted)
        for name, tests in asked.items()
    }
    words = "; ".join(f"{name}: {measures}" for name, measures in moved.items() if measures)
    if not words:
        count = sum(len(tests) for tests in asked.values())
        return f"none in {count} measures of {report.current.month}"
    return f"{report.current.month} moved in {words}"

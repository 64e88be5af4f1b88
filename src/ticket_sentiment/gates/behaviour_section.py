"""What the release report says of the behaviour suite: capability by capability, with the worst cases."""

from collections.abc import Sequence
from typing import Any

from ticket_sentiment.gates.evidence_types import BehaviourReport, BehaviourResult, Estimate, Example
from ticket_sentiment.gates.rules.behaviour import deciding
from ticket_sentiment.gates.words import number, points, share

KINDS = {
    "minimum": "Plain cases with one right answer",
    "invariance": "The answer must not change",
    "directional": "More praise or blame must count",
    "fairness": "People of all groups get the same answer",
    "robustness": "Left-overs of mail and forms must not matter",
}
MODELS = ("compressed", "dense", "champion")
SHOWN_CAPABILITIES = 6  # with an example
LONG, HEAD, TAIL = 260, 120, 120  # characters of a text that is shown cut, and what stays of it
NOTICED = 0.03  # rise of a failure rate by compression that is counted in the text


def pooled(tests: Sequence[BehaviourResult], model: str) -> float | None:
    """Share of the cases of some tests that a model fails; None where it was not scored."""
    rates = [(getattr(test, model), test.cases) for test in tests]
    if any(rate is None for rate, _ in rates):
        return None
    return sum(rate.value * cases for rate, cases in rates) / sum(cases for _, cases in rates)


def by_capability(report: BehaviourReport) -> dict[tuple[str, str], list[BehaviourResult]]:
    """Tests by kind and capability, in the order of the suite."""
    groups: dict[tuple[str, str], list[BehaviourResult]] = {}
    for kind in dict.fromkeys([*KINDS, *(test.kind for test in report.tests)]):
        for test in report.tests:
            if test.kind == kind:
                groups.setdefault((kind, test.capability), []).append(test)
    return groups


def excerpt(text: str) -> str:
    """A long text without its middle: what is asked of a model stands at one of the ends."""
    return text if len(text) <= LONG else f"{text[:HEAD].rstrip()} … {text[-TAIL:].lstrip()}"


def example(shown: Example, test: BehaviourResult) -> dict[str, Any]:
    """One failed case: each of its texts with its answer."""
    return {
        "test": test.name,
        "texts": list(zip(map(excerpt, shown.texts), shown.answers, strict=False)),
        "expected": shown.expected,
    }


def _shown(rate: Estimate | None) -> str:
    return "–" if rate is None else f"{share(rate.value)} ({number(100 * rate.low, 0)}–{share(rate.high)})"


def _rise(rise: Estimate | None) -> str:
    return "–" if rise is None else points(rise.value)


def behaviour_line(report: BehaviourReport) -> str:
    """For the summary."""
    whole = {model: pooled(report.tests, model) for model in MODELS}
    others = [f"{share(rate, 1)} {name}" for name, rate in whole.items() if rate is not None][1:]
    return (
        f"{share(whole['compressed'] or 0.0, 1)} of the {report.cases:,} cases of {len(report.tests)} tests "
        f"fail ({', '.join(others)})"
    )


def behaviour_section(report: BehaviourReport) -> dict[str, Any]:
    """Title, a row for each capability, the worst cases, and every test."""
    groups = by_capability(report)
    rated = {key: pooled(tests, "compressed") or 0.0 for key, tests in groups.items()}
    clean = sum(test.compressed.value == 0 for test in report.tests)
    compared = deciding(report) or report.tests
    worst = max(compared, key=lambda test: test.rise_over_dense.value)
    risen = sum(test.rise_over_dense.value > NOTICED for test in compared)
    by_compression = f"the failure rate of {risen or 'no'} test{'s' if risen > 1 else ''} by more than"
    judged = {key: rate for key, rate in rated.items() if not all(test.diagnosis for test in groups[key])}
    weakest = max(judged or rated, key=rated.__getitem__)
    digits = 0 if rated[weakest] >= 0.01 else 1
    weak = (
        f"; weakest: {weakest[1]}, where {share(rated[weakest], digits)} of the cases do"
        if rated[weakest]
        else ""
    )
    failing = sorted((key for key in groups if rated[key] > 0), key=lambda key: -rated[key])
    return {
        "title": f"In {clean} of {len(report.tests)} tests of behaviour nothing fails{weak}",
        "cases": f"{report.cases:,}",
        "compression": f"Compression raised {by_compression} {points(NOTICED, False)}"
        + (f", most that of {worst.name}: {points(worst.rise_over_dense)}." if risen else "."),
        "capabilities": [
            {
                "kind": KINDS.get(kind, kind),
                "name": name + (" (diagnosis only)" if all(test.diagnosis for test in tests) else ""),
                "cases": f"{sum(test.cases for test in tests):,}",
                "rates": [
                    "–" if (rate := pooled(tests, model)) is None else share(rate, 1) for model in MODELS
                ],
            }
            for (kind, name), tests in groups.items()
        ],
        "worst": [
            (name, share(rated[kind, name]), [example(test.examples[0], test)])
            for kind, name in failing[:SHOWN_CAPABILITIES]
            if (test := max(groups[kind, name], key=lambda test: test.compressed.value)).examples
        ],
        "tests": [
            {
                "name": test.name + (" (diagnosis)" if test.diagnosis else ""),
                "cases": f"{test.cases:,}",
                "rates": [_shown(getattr(test, model)) for model in MODELS],
                "rises": [_rise(test.rise_over_dense), _rise(test.rise_over_champion)],
                "gap": "–" if test.compressed_gap is None else number(test.compressed_gap, 3),
            }
            for tests in groups.values()
            for test in tests
        ],
        "examples": [
            (test.name, [example(shown, test) for shown in test.examples])
            for tests in groups.values()
            for test in tests
            if test.examples
        ],
    }

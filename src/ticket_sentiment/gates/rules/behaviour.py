"""The gate of the behaviour suite: no test may fail much more often than with the champion.

No test has a floor of its own unless its author gave it one (`max_failure_rate`): what a model of this size
cannot do is no reason against a release, that it can no longer do something is.
"""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import BehaviourReport, BehaviourResult, Estimate
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import points, share, shares, telling

OTHERS = {"champion": "the champion", "dense": "the dense model"}


def in_words(test: BehaviourResult) -> str:
    """ "negated-praise (negation)"."""
    return f"{test.name} ({test.capability})"


def rose(rise: Estimate | None, margin: float | None) -> bool:
    """Whether a failure rate rose beyond the margin, and beyond what a few cases do by chance."""
    return rise is not None and margin is not None and rise.value > margin and rise.low > 0


def deciding(report: BehaviourReport) -> list[BehaviourResult]:
    """The tests that are no mere diagnosis."""
    return [test for test in report.tests if not test.diagnosis]


@gate("Does it still understand plain cases?", place=60)
def behaviour(evidence: Evidence, limits: Limits) -> Looked:
    """In plain, made-up cases the model does what it did before."""
    report, present = need(evidence.behaviour), need(evidence.champion)
    digest = present.digest if present else None
    tests = deciding(report)
    if any((test.champion is None) == bool(digest) for test in tests):
        raise MissingEvidence(
            "The behaviour report does not compare with the present champion: run `dvc repro behaviour`."
        )
    gate, missed = limits.gate, limits.missed
    compared = (
        ("champion", gate.max_behaviour_rise, missed("max_behaviour_rise")),
        ("dense", gate.max_behaviour_rise_by_compression, missed("max_behaviour_rise_by_compression")),
    )

    def findings() -> Iterator[Finding]:
        for test in tests:
            for other, margin, otherwise in compared:
                rise = getattr(test, f"rise_over_{other}")
                if rose(rise, margin):
                    digits = telling(100 * rise.value, 100 * margin, 1)
                    yield finding(
                        otherwise,
                        f"It fails {share(test.compressed.value)} of the cases of {in_words(test)}, "
                        f"{points(rise, digits=digits)} against {OTHERS[other]}; "
                        f"{points(margin, digits=digits)} are accepted.",
                    )
            allowed, rate = test.max_failure_rate, test.compressed.value
            if allowed is not None and rate > allowed:
                failed, accepted = shares(rate, allowed)
                yield finding(
                    "review",
                    f"It fails {failed} of the cases of {in_words(test)}, of which the test allows "
                    f"{accepted}.",
                )
        against = "no champion to compare with yet" if digest is None else "none much worse than the champion"
        yield finding("pass", f"{len(report.tests)} tests in {report.cases:,} made-up cases: {against}.")

    worst = max(tests, key=lambda test: test.rise_over_dense.value, default=None)
    return findings(), {
        "tests": len(report.tests),
        "cases": report.cases,
        "largest_rise_by_compression": worst
        and {"test": worst.name, "rise": worst.rise_over_dense.model_dump()},
    }

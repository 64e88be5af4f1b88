"""The gate `drift`: the newest month is like the months before."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import number

DECIDING_DRIFT = ("label", "predicted_label")  # with the embedding; the other columns are shown only


@gate(place=80)
def drift(evidence: Evidence, limits: Limits) -> Looked:
    """The newest month resembles the training months in labels, predictions and meaning."""
    report, split = need(evidence.drift), need(evidence.split)
    if (report.reference.sha256, report.current.sha256) != (split.sha256.train, split.sha256.holdout):
        raise MissingEvidence(
            "The drift report is about other tickets than this model's: run `dvc repro drift`."
        )
    tests = {**report.columns, "embedding": report.embedding}
    absent = [name for name in DECIDING_DRIFT if name not in tests]
    if absent:
        raise MissingEvidence(f"The drift report says nothing about {absent[0]}: run `dvc repro -f drift`.")
    names = {
        "label": "the mix of labels",
        "predicted_label": "the mix of predictions",
        "embedding": "what is written",
    }

    def findings() -> Iterator[Finding]:
        for name, test in tests.items():
            if not test.usable:
                yield finding("fail", f"The drift test of {name} gave no usable answer.")
            elif test.drifted and name in names:
                yield finding(
                    "review",
                    f"In {report.current.month} {names[name]} has moved away from the training months: "
                    f"distance {number(test.value, 3)} ({test.method}), limit {number(test.threshold, 3)}.",
                )
        yield finding(
            "pass",
            f"Labels, predictions and meaning of {report.current.month} resemble the training months.",
        )

    return findings(), {"drifted": sorted(name for name, test in tests.items() if test.drifted)}

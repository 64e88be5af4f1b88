"""The gate `quality`: the compressed model is good enough."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import measure, months, number, shares, telling
from ticket_sentiment.labels import LABELS


@gate("Is it good enough?", place=20)
def quality(evidence: Evidence, limits: Limits) -> Looked:
    """The compressed model is good enough as a whole and on each class."""
    evaluation = need(evidence.evaluation)
    scores = evaluation.models.compressed
    floor = limits.gate.min_class_recall
    recalls = {label: scores.classes[label].recall for label in LABELS}
    least = limits.gate.min_macro_f1

    def findings() -> Iterator[Finding]:
        yield found(
            scores.macro_f1.value >= least,
            limits.missed("min_macro_f1"),
            f"Macro-F1 {measure(scores.macro_f1, telling(scores.macro_f1.value, least, 3))} on "
            f"{evaluation.holdout.rows:,} tickets of {months(evaluation.holdout.months)}, floor "
            f"{number(least, telling(scores.macro_f1.value, least, 2))}.",
        )
        for label, recall in recalls.items():
            if recall is None:
                yield finding("fail", f"The holdout has no {label} ticket to judge the model on.")
                continue
            found_share, wanted = shares(recall, floor)
            yield found(
                recall >= floor,
                limits.missed("min_class_recall"),
                f"It finds {found_share} of the {label} tickets, floor {wanted}.",
            )

    return findings(), {"macro_f1": scores.macro_f1.model_dump(), "recall": recalls}

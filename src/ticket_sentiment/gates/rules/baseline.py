"""The gate `baseline`: the model has learnt more than simple methods do."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import number, points, telling


@gate("Has it learnt more than simple methods?", place=30)
def baseline(evidence: Evidence, limits: Limits) -> Looked:
    """The model has learnt something: it beats a bag of words, and the same answer for every ticket."""
    evaluation = need(evidence.evaluation)
    models, gain = evaluation.models, evaluation.differences.compressed_minus_tfidf.macro_f1
    wanted = limits.gate.min_gain_over_tfidf
    digits = telling(100 * gain.value, 100 * wanted, 1)
    over_majority = models.compressed.macro_f1.value - models.majority.macro_f1.value

    def findings() -> Iterator[Finding]:
        yield found(
            gain.value >= wanted,
            limits.missed("min_gain_over_tfidf"),
            f"{points(gain, digits=digits)} of macro-F1 over a bag of words (TF-IDF with logistic "
            f"regression, {number(models.tfidf.macro_f1.value)}), at least "
            f"{points(wanted, digits=digits)} wanted.",
        )
        if not over_majority > 0:
            yield finding(
                "fail",
                f"Macro-F1 {number(models.compressed.macro_f1.value)} is no better than giving every "
                f"ticket the commonest label ({number(models.majority.macro_f1.value)}): "
                "are the labels in the right rows?",
            )

    return findings(), {"gain_over_tfidf": gain.model_dump(), "gain_over_majority": over_majority}

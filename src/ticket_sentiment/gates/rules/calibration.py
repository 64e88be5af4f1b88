"""The gate `calibration`: the model's confidence can be trusted."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import points


@gate("Can its confidence be trusted?", place=70)
def calibration(evidence: Evidence, limits: Limits) -> Looked:
    """When the model says 80 %, it is right about 80 times in 100."""
    error = need(evidence.evaluation).models.compressed.calibration_error

    def findings() -> Iterator[Finding]:
        yield found(
            error <= limits.gate.max_calibration_error,
            limits.missed("max_calibration_error"),
            f"Stated confidence and share of right answers differ by {points(error, sign=False)} on "
            f"average, limit {points(limits.gate.max_calibration_error, sign=False)}.",
        )

    return findings(), {"calibration_error": error}

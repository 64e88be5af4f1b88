"""The gate `calibration`: the model's confidence can be trusted."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import points, share, shares, telling

ORDER = 1.1  # times the risk of all tickets: a confidence without any order comes to 1, give or take chance


@gate("Can its confidence be trusted?", place=70)
def calibration(evidence: Evidence, limits: Limits) -> Looked:
    """When the model says 80 %, it is right about 80 times in 100, give or take what few tickets do."""
    scores = need(evidence.evaluation).models.compressed
    error, abstention = scores.calibration_error, scores.abstention
    limit, chance = limits.gate.max_calibration_error, scores.calibration_error_by_chance or 0.0
    digits = telling(100 * error, 100 * limit, 1)
    accepted = f"limit {points(limit, False, digits)}"
    if limit < error <= chance:
        accepted += f", but on so few tickets up to {points(chance, False, digits)} is chance"
    wanted = limits.gate.min_coverage
    answered, least = shares(abstention.coverage, wanted)

    def findings() -> Iterator[Finding]:
        yield found(
            error <= max(limit, chance),
            limits.missed("max_calibration_error"),
            f"Stated confidence and share of right answers differ by {points(error, False, digits)} on "
            f"average, {accepted}.",
        )
        yield found(
            abstention.coverage >= wanted,
            limits.missed("min_coverage"),
            f"From {share(abstention.below)} confidence on {answered} of the tickets are answered, at least "
            f"{least} wanted.",
        )
        if abstention.aurc > ORDER * abstention.risk_of_all:
            yield finding(
                limits.missed("min_coverage"),
                "It is surer of its wrong answers than of its right ones: from the surest on "
                f"{share(abstention.aurc, 1)} are wrong, of all {share(abstention.risk_of_all, 1)}.",
            )

    return findings(), {
        "calibration_error": error,
        "by_chance": scores.calibration_error_by_chance,
        "abstention": abstention.model_dump(),
    }

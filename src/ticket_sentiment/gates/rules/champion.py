"""The gate `champion`: the model is not worse than the present one."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import points, telling

DECIDE = "Read the report and decide: move the alias `champion` to the version, or leave it."


@gate("Is it as good as the present model?", place=50)
def champion(evidence: Evidence, limits: Limits) -> Looked:
    """The model is not worse than the present champion, both scored on the same tickets."""
    present = need(evidence.champion)
    evaluation, digest = need(evidence.evaluation), present.digest if present else None
    if digest is None:
        return iter([finding("pass", "First model: there is no champion to compare with.")]), {}
    if digest == need(evidence.cpu).digest:
        return iter([finding("pass", "Nothing to compare: this is the present champion itself.")]), {}
    learnt = evaluation.learnt
    if evaluation.differences.compressed_minus_champion is None:
        if learnt and learnt.rows:
            return iter([finding("review", f"{evaluation.left_out()} Too few are left. {DECIDE}")]), {}
        raise MissingEvidence(
            "The comparison with the present champion is missing: run `dvc repro evaluate`."
        )
    difference = evaluation.differences.compressed_minus_champion.macro_f1
    margin = limits.gate.max_loss_to_champion
    digits = telling(100 * difference.low, -100 * margin, 1)
    compared = f"{points(difference, digits=digits)} of macro-F1 against the champion on the same tickets"
    looked_at = {"champion_digest": digest, "difference": difference.model_dump()}
    if learnt and learnt.rows:
        looked_at |= {"learnt": learnt.rows}
        compared += f" ({learnt.rows:,} left out that it learnt as a hotfix)"
    if learnt and learnt.unknown:
        said = f"{evaluation.left_out()} {points(difference)} of macro-F1 with them. {DECIDE}"
        return iter([finding("review", said)]), looked_at

    accepted = f"a loss of up to {points(margin, False, digits)}"

    def findings() -> Iterator[Finding]:
        if difference.high < -margin:
            yield finding(
                "fail", f"Worse than the champion beyond doubt: {compared}; {accepted} is accepted."
            )
        better = f"Better than the champion beyond doubt: {compared}."
        yield found(
            difference.low >= -margin,
            limits.missed("max_loss_to_champion"),
            better if difference.low > 0 else f"{compared}; {accepted} is accepted.",
            f"{compared}: more than {accepted} cannot be ruled out.",
        )

    return findings(), looked_at

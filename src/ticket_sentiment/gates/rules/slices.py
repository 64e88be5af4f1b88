"""The gate `slices`: in no part of the holdout is the model much worse than another one."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import SliceScores
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import points, telling


def weakest(parts: tuple[SliceScores, ...]) -> SliceScores | None:
    """The part with the lowest share of right answers."""
    return min(parts, key=lambda part: part.right.value, default=None)


@gate("Is it good for everybody?", place=55)
def slices(evidence: Evidence, limits: Limits) -> Looked:
    """No channel, length, language, product or kind of customer lost what the mean hides."""
    evaluation, present = need(evidence.evaluation), need(evidence.champion)
    parts, margin = evaluation.slices, limits.gate.max_slice_loss
    learnt = evaluation.learnt
    few = learnt is not None and learnt.rows > 0  # then parts may lack rows that the champion has not learnt
    if present and any(
        part.right_minus_champion is None and not (few and part.rows_beside_champion == 0) for part in parts
    ):
        raise MissingEvidence(
            "The parts of the holdout are not compared with the champion: run `dvc repro -f -s evaluate`."
        )

    def findings() -> Iterator[Finding]:
        for part in parts:
            # What the champion knows by heart is not known: the gate `champion` asks a person.
            champion = None if learnt and learnt.unknown else part.right_minus_champion
            compared = (
                ("champion", champion, part.rows_beside_champion or part.rows),
                ("dense model", part.right_minus_dense, part.rows),
            )
            for other, change, rows in compared:
                if change is not None and change.value < -margin and change.high < 0:
                    digits = telling(100 * change.value, -100 * margin, 1)
                    yield finding(
                        limits.missed("max_slice_loss"),
                        f"In {part.slice} {part.value} ({rows:,} tickets) right answers changed by "
                        f"{points(change, digits=digits)} against the {other}; a loss of "
                        f"{points(margin, False, digits)} is accepted.",
                    )
        yield finding(
            "pass",
            f"None of {len(parts)} parts of the holdout is much worse than with another model."
            if parts
            else "No part of the holdout is large enough to be looked at (evaluate.min_slice_rows).",
        )

    low = weakest(parts)
    return findings(), {"parts": len(parts), "weakest": low and low.model_dump()}

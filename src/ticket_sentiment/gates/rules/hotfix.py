"""The gate `hotfix`: the corrected tickets are right now, and hardly anything that was right broke."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import Corrected, Hotfix
from ticket_sentiment.gates.fail_closed import Limits, Looked, MissingEvidence, finding, found, gate, need
from ticket_sentiment.gates.verdict import Decision, Finding
from ticket_sentiment.gates.words import between, share, telling


def require_same(evidence: Evidence) -> Hotfix:
    """The comparison, which must be about these bundles and these tickets.

    Raises:
        MissingEvidence: it is missing or about others, or there is no champion.
    """
    report, champion = need(evidence.hotfix), need(evidence.champion)
    if champion is None:
        raise MissingEvidence("A hotfix starts from a champion, and there is none to compare it with.")
    here = (
        champion.digest,
        need(evidence.cpu).digest,
        need(evidence.prepared_sha256),
        need(evidence.holdout_sha256),
    )
    about = (report.champion.digest, report.bundle_digest, report.prepared_sha256, report.holdout_sha256)
    if about != here:
        raise MissingEvidence(
            "The comparison with the champion is about other models or tickets: run `dvc repro compare`."
        )
    return report


def learnt(corrected: Corrected, wanted: float, missed: Decision) -> Iterator[Finding]:
    """Whether what was wrong is right now: rows that the champion answers right already prove nothing."""
    if not corrected.wrong_before:
        yield finding(
            "fail",
            f"The champion answers all of the {corrected.rows:,} corrected tickets right already: "
            "nothing to correct.",
        )
        return
    mended, reached = corrected.mended / corrected.wrong_before, corrected.right_now / corrected.rows
    exact, digits = (telling(100 * one, 100 * wanted, 1) for one in (mended, reached))
    yield found(
        mended >= wanted,
        missed,
        f"Of {corrected.wrong_before:,} corrected tickets that the champion answers wrong, "
        f"{corrected.mended:,} are right now ({share(mended, exact)}), at least {share(wanted)} wanted.",
    )
    yield found(
        reached >= wanted and corrected.mended > corrected.spoilt,
        missed,
        f"{corrected.right_now:,} of {corrected.rows:,} corrected tickets are right now "
        f"({share(reached, digits)}, {corrected.right_before:,} were before), at least {share(wanted)} "
        "and more than before wanted.",
    )


@gate(
    "Are the corrected tickets right now, and the others still?",
    place=110,
    applies=lambda evidence: evidence.hotfix is not None,
)
def hotfix(evidence: Evidence, limits: Limits) -> Looked:
    """The corrected tickets are right now, and what the champion answers right is not broken."""
    report = require_same(evidence)
    corrected, kept, limit = report.corrected, report.kept, limits.gate.max_broken

    def findings() -> Iterator[Finding]:
        yield from learnt(corrected, limits.gate.min_corrected, limits.missed("min_corrected"))
        digits = telling(100 * kept.broken.high, 100 * limit, 1)
        accepted = share(limit, digits)
        broke = (
            f"Of {kept.right_before:,} tickets of the holdout that the champion answers right, "
            f"{between(kept.broken, digits)} are wrong now"
        )
        if kept.broken.low > limit:
            yield finding("fail", f"{broke}, surely more than the {accepted} that are accepted.")
        yield found(
            kept.broken.high <= limit,
            limits.missed("max_broken"),
            f"{broke}; up to {accepted} are accepted.",
            f"{broke}: more than the {accepted} that are accepted cannot be ruled out.",
        )
        yield found(
            kept.right_before >= limits.gate.min_holdout_rows,
            limits.missed("min_holdout_rows"),
            f"What broke was counted on {kept.right_before:,} tickets, at least "
            f"{limits.gate.min_holdout_rows:,} are needed for a decision without a person.",
        )

    return findings(), {
        "champion_version": report.champion.version,
        "corrected": corrected.model_dump(),
        "broken": kept.broken.model_dump(),
    }

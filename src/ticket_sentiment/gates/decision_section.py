"""The first screen of the release report: the decision, its strongest reasons, and what happens now."""

from collections.abc import Sequence
from typing import Any

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.rules import GATES
from ticket_sentiment.gates.verdict import Verdict

QUESTIONS = {name: one.question for name, one in GATES.items()}
DECISIONS = {
    "pass": "Pass: the new model may be released",
    "review": "Review: a person has to decide",
    "fail": "Fail: the new model must not be released",
}
REASONS = 3  # on the first screen
# Whose reason weighs most. Where tickets or reports are wrong, no other number means anything; then comes
# what customers notice. A gate that is not named here comes after those that are.
WEIGHT = (
    "data", "integrity", "hotfix", "champion", "quality", "behaviour", "baseline", "calibration", "drift",
)  # fmt: skip
COMPARING = ("champion", "behaviour")  # which say little where there is no champion to compare with
TAKEN_FOR_GRANTED = ("data", "integrity")  # a reason against a release, and none for it


def in_words(decision: str, evidence: Evidence) -> str:
    """The decision as a heading."""
    words = DECISIONS[decision]
    return words if evidence.hotfix is None else words.replace("new model", "hotfix")


def next_step(decision: str, evidence: Evidence) -> str:
    """What happens now, and what a person does."""
    if decision == "fail":
        return (
            "The model is not registered and what serves today stays. Correct what the reasons name, "
            f"then run {'make retrain' if evidence.hotfix is None else 'the hotfix'} again."
        )
    if decision == "review":
        return (
            "The model is registered and waits; what serves today stays. "
            "If you accept it, move the alias champion to it in MLflow (make ui)."
        )
    if getattr(evidence.champion, "digest", None) == getattr(evidence.cpu, "digest", ""):
        return "It is the present champion already: make serve answers with it."
    if evidence.champion is None:
        return "It is the first model and becomes the champion: make serve answers with it."
    if evidence.hotfix is not None:
        return "The short rollout of a hotfix begins, beside the champion: ticket-sentiment status."
    return "Its rollout, one a version, begins beside the champion, unseen at first: ticket-sentiment status."


def _weight(verdict: Verdict, decision: str, evidence: Evidence) -> int:
    says_little = decision == "pass" and (
        verdict.gate in TAKEN_FOR_GRANTED or (verdict.gate in COMPARING and evidence.champion is None)
    )
    return len(WEIGHT) if says_little or verdict.gate not in WEIGHT else WEIGHT.index(verdict.gate)


def strongest(verdicts: Sequence[Verdict], decision: str, evidence: Evidence) -> list[tuple[str, str]]:
    """(question, reason) of what decided: the first reason of each gate by weight, then their others.

    Args:
        verdicts: of all gates.
        decision: of all together; gates that decided otherwise are no reason for it.
        evidence: as the gates saw it.
    """
    deciding = sorted(
        (verdict for verdict in verdicts if verdict.decision == decision),
        key=lambda verdict: _weight(verdict, decision, evidence),  # stable: else in the gates' order
    )
    depth = max((len(verdict.reasons) for verdict in deciding), default=0)
    ordered = [
        (QUESTIONS[verdict.gate], verdict.reasons[place])
        for place in range(depth)
        for verdict in deciding
        if place < len(verdict.reasons)
    ]
    seen: set[str] = set()  # one missing report is the reason of several gates: it is said once
    return [item for item in ordered if not (item[1] in seen or seen.add(item[1]))]


def decision_section(evidence: Evidence, gate: dict[str, Any]) -> dict[str, Any]:
    """The decision, the reasons that are shown at once and the others, every check, and the next step."""
    verdicts = [Verdict.model_validate(verdict) for verdict in gate["verdicts"]]
    decision = gate["decision"]
    reasons = strongest(verdicts, decision, evidence)
    return {
        "decision": decision,
        "headline": in_words(decision, evidence),
        "reasons": reasons[:REASONS],
        "more": len(reasons) - REASONS,
        "next_step": next_step(decision, evidence),
        "checks": [(QUESTIONS[verdict.gate], verdict) for verdict in verdicts],
        "passed": sum(verdict.decision == "pass" for verdict in verdicts),
    }

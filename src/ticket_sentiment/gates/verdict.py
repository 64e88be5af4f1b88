"""What a gate answers. A decision travels in a file, never in an exit code."""

from collections.abc import Iterable
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Decision = Literal["pass", "review", "fail"]
SEVERITY: dict[Decision, int] = {"pass": 0, "review": 1, "fail": 2}


class Finding(BaseModel):
    """One thing that a gate looked at: a sentence with its numbers, and what follows from it."""

    model_config = ConfigDict(frozen=True)

    decision: Decision
    sentence: str = Field(min_length=1)


class Verdict(BaseModel):
    """The answer of one gate: its decision, the sentences that decided, and the numbers looked at."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    gate: str
    decision: Decision
    reasons: tuple[str, ...] = Field(min_length=1)
    evidence: dict[str, Any] = {}


def worst(decisions: Iterable[Decision]) -> Decision:
    """The gravest of some decisions; none at all is `fail`, because nothing was looked at."""
    return max(decisions, key=SEVERITY.__getitem__, default="fail")


def decide(gate: str, findings: Iterable[Finding], evidence: dict[str, Any]) -> Verdict:
    """A verdict from findings: the gravest decides, and only the sentences as grave as it are its reasons."""
    findings = tuple(findings)
    decision = worst(finding.decision for finding in findings)
    reasons = tuple(finding.sentence for finding in findings if finding.decision == decision)
    return Verdict(
        gate=gate, decision=decision, reasons=reasons or ("Nothing was looked at.",), evidence=evidence
    )


def combine(verdicts: Iterable[Verdict]) -> tuple[Decision, list[str]]:
    """The decision of all gates, and each different reason of the gates that decided, in order."""
    verdicts = tuple(verdicts)
    decision = worst(verdict.decision for verdict in verdicts)
    deciding = (verdict.reasons for verdict in verdicts if verdict.decision == decision)
    return decision, list(dict.fromkeys(reason for reasons in deciding for reason in reasons))

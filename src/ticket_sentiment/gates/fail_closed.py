"""What makes a function a gate: evidence and limits in, a verdict out, `fail` where evidence is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.verdict import Decision, Finding, Verdict, decide
from ticket_sentiment.params import Budget, Gate, Params


@dataclass(frozen=True)
class Limits:
    """What a model is held against: sections `gate` and `budget` of params.yaml."""

    gate: Gate
    budget: Budget

    @classmethod
    def of(cls, params: Params) -> "Limits":
        """The two sections, and nothing else that a stage would have to follow."""
        return cls(params.gate, params.budget)


Looked = tuple[Iterator[Finding], dict[str, Any]]
GateFunction = Callable[[Evidence, Limits], Verdict]


class MissingEvidence(Exception):
    """Raised inside a gate that needs what is not there; never leaves it."""


def need(part: Any) -> Any:
    """The evidence, or out of the gate with its sentence."""
    if isinstance(part, Missing):
        raise MissingEvidence(part.sentence)
    return part


def gate(function: Callable[[Evidence, Limits], Looked]) -> GateFunction:
    """Make a verdict, under the function's name, of what a gate found; missing evidence is `fail`."""
    name = function.__name__

    def judged(evidence: Evidence, limits: Limits) -> Verdict:
        try:
            findings, looked_at = function(evidence, limits)
            return decide(name, findings, looked_at)
        except MissingEvidence as missing:
            return Verdict(gate=name, decision="fail", reasons=(str(missing),))

    judged.__name__, judged.__doc__ = name, function.__doc__
    return judged


def finding(decision: Decision, sentence: str) -> Finding:
    """A finding, by position."""
    return Finding(decision=decision, sentence=sentence)


def found(good: bool, otherwise: Decision, sentence: str, bad_sentence: str | None = None) -> Finding:
    """`pass` when good, else `otherwise`; the sentence may differ."""
    return finding("pass", sentence) if good else finding(otherwise, bad_sentence or sentence)

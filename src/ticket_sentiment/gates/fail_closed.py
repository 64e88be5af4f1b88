"""What makes a function a gate: evidence and limits in, a verdict out, `fail` where evidence is missing."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from ticket_sentiment import params
from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.verdict import Decision, Finding, Verdict, decide


@dataclass(frozen=True)
class Limits:
    """What a model is held against: sections `gate` and `budget` of params.yaml."""

    gate: params.Gate
    budget: params.Budget

    @classmethod
    def of(cls, whole: params.Params) -> "Limits":
        """The two sections, and nothing else that a stage would have to follow."""
        return cls(whole.gate, whole.budget)

    def missed(self, key: str) -> Decision:
        """What follows from a missed threshold of section `gate`: `review` where the section says so."""
        return "review" if key in self.gate.review else "fail"


Looked = tuple[Iterator[Finding], dict[str, Any]]


class MissingEvidence(Exception):
    """Raised inside a gate that needs what is not there; never leaves it."""


def need(part: Any) -> Any:
    """The evidence, or out of the gate with its sentence."""
    if isinstance(part, Missing):
        raise MissingEvidence(part.sentence)
    return part


def _always(evidence: Evidence) -> bool:
    return True


@dataclass(frozen=True)
class Gate:
    """A function that makes a verdict, under its name, of what it found; missing evidence is `fail`.

    Attributes:
        look: the function.
        question: that it answers, for a person.
        place: among the gates, by which their reasons are told; lower is earlier.
        applies: whether a result is judged by it at all.
    """

    look: Callable[[Evidence, Limits], Looked]
    question: str
    place: int
    applies: Callable[[Evidence], bool]

    @property
    def name(self) -> str:
        """As the function's."""
        return self.look.__name__

    def __call__(self, evidence: Evidence, limits: Limits) -> Verdict:
        """Judge."""
        try:
            findings, looked_at = self.look(evidence, limits)
            return decide(self.name, findings, looked_at)
        except MissingEvidence as missing:
            return Verdict(gate=self.name, decision="fail", reasons=(str(missing),))


def gate(
    question: str, place: int, applies: Callable[[Evidence], bool] = _always
) -> Callable[[Callable[[Evidence, Limits], Looked]], Gate]:
    """Make a gate of a function; the arguments as of `Gate`."""
    return lambda look: Gate(look, question, place, applies)


def finding(decision: Decision, sentence: str) -> Finding:
    """A finding, by position."""
    return Finding(decision=decision, sentence=sentence)


def found(good: bool, otherwise: Decision, sentence: str, bad_sentence: str | None = None) -> Finding:
    """`pass` when good, else `otherwise`; the sentence may differ."""
    return finding("pass", sentence) if good else finding(otherwise, bad_sentence or sentence)

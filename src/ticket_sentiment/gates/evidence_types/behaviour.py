"""The report of stage `behaviour`, as frozen, finite, strict types."""

from typing import Annotated

from pydantic import Field

from ticket_sentiment.gates.evidence_types.part import Count, Estimate, Part, Subject
from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Label, Share


class Example(Part):
    """A failed case: one text; two of a pair; or one of each group."""

    texts: tuple[str, ...] = Field(min_length=1)
    answers: tuple[Label, ...] = Field(min_length=1)
    expected: str


class BehaviourResult(Part):
    """What the models did in the cases of one test: failure rates, and how far the new one's rose."""

    name: Annotated[str, Field(min_length=1)]
    kind: Annotated[str, Field(min_length=1)]
    capability: Annotated[str, Field(min_length=1)]
    diagnosis: bool
    max_failure_rate: Share | None
    cases: Annotated[int, Field(ge=1)]
    compressed: Estimate
    dense: Estimate
    champion: Estimate | None
    rise_over_dense: Estimate
    rise_over_champion: Estimate | None
    compressed_gap: float | None  # fairness: largest difference of two groups' mean scores
    examples: tuple[Example, ...]


class BehaviourReport(Part):
    """reports/behaviour.json."""

    bundle_digest: Sha256
    champion_digest: Sha256 | None
    cases: Count
    tests: tuple[BehaviourResult, ...] = Field(min_length=1)

    def foreign(self, subject: Subject) -> str | None:
        if self.bundle_digest != subject.cpu:
            return "The behaviour report is about another bundle: run `dvc repro behaviour`."
        if self.champion_digest != subject.champion:
            return (
                "The behaviour report does not compare with the present champion: run `dvc repro behaviour`."
            )
        return None

"""The report of stage `price`."""

from typing import Annotated

from pydantic import Field

from ticket_sentiment.gates.evidence_types.part import Part, Positive, Subject
from ticket_sentiment.model.bundle import Sha256


class Answer(Part):
    """What a cost comes to, in words (costs/words.py)."""

    title: Annotated[str, Field(min_length=1)]
    lines: tuple[str, ...]


class ModelCost(Part):
    """Of one model on machines that are always busy; null: it cannot meet the objective."""

    usd_per_thousand_tickets: Positive | None
    usd_per_million_tokens_tokenizer: Positive | None
    usd_per_million_tokens_rule_of_thumb: Positive | None


class CostVariants(Part):
    dense_torch_fp32: ModelCost
    dense_onnx_fp32: ModelCost
    cpu_bundle: ModelCost


class CostMachine(Part):
    instance: str
    region: str
    price_date: str


class Cost(Part):
    """reports/cost.json."""

    bundle_digest: Sha256
    answer: Answer
    cpu: CostMachine
    variants: CostVariants
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]

    def foreign(self, subject: Subject) -> str | None:
        if self.bundle_digest != subject.cpu:
            return "The cost report is about another bundle: run `dvc repro price`."
        return None

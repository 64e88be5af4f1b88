"""The report of stages `prune` and `quantize`."""

from typing import Annotated

from pydantic import Field

from ticket_sentiment.gates.evidence_types.part import Part, Positive, Subject
from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Share

DENSE_SHAPE = "dense"  # name of the attempt that is no shape of the frontier


class Weights(Part):
    parameters: Annotated[int, Field(ge=1)]


class DenseWeights(Weights):
    bytes: Annotated[int, Field(ge=1)]


class Release(Part):
    bytes: Annotated[int, Field(ge=1)]
    digest: Sha256


class Agreement(Part):
    max_logit_difference: Annotated[float, Field(ge=0)]
    label_agreement: Share
    rows: Annotated[int, Field(ge=1)]


class Parity(Part):
    fp32: Agreement
    int8: Agreement
    fp16: Agreement
    edge: Agreement
    edge_to_cpu: Agreement


class Attempt(Part):
    """A shape that stage `prune` tried; the loss is of macro-F1 on the tuning tickets."""

    shape: Annotated[str, Field(min_length=1)]
    tune_loss: float
    mb: Positive
    inside_budget: bool

    @property
    def dense(self) -> bool:
        """Whether nothing was cut: the dense model in int8, because no shape stayed inside the budget."""
        return self.shape == DENSE_SHAPE


class Compression(Part):
    """reports/compression.json."""

    dense: DenseWeights
    pruned: Weights
    attempts: tuple[Attempt, ...] = Field(min_length=1)
    cpu: Release
    gpu: Release
    edge: Release
    parity: Parity

    def foreign(self, subject: Subject) -> str | None:
        if any(getattr(self, name).digest != getattr(subject, name) for name in ("cpu", "gpu", "edge")):
            return "The compression report is about other bundles: run `dvc repro -f -s quantize`."
        return None

    @property
    def chosen(self) -> Attempt:
        """The last attempt: what the bundles hold."""
        return self.attempts[-1]

    @property
    def refused(self) -> tuple[Attempt, ...]:
        """The shapes that were tried before and not taken."""
        return self.attempts[:-1]

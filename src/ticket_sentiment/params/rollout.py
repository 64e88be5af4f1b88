"""Sections of params.yaml about what happens in service: events, labelling, rollout."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from ticket_sentiment.params.section import Section, Share, without_password


class Events(Section):
    """The event database: predictions, exposures, feedback, rollout states."""

    url: Annotated[str, Field(pattern=r"^[a-z0-9+]+://"), without_password("that events.url_env names")]
    url_env: str = Field(min_length=1)
    queue: int = Field(ge=1)
    store_text: bool
    keep_days: int = Field(ge=1)
    keep_text_days: int = Field(ge=1)


class Quotas(Section):
    """Shares of the labelling queue by reason; what they leave goes to the most uncertain."""

    audit: Share
    disagreement: Share
    drifted: Share
    doubted: Share

    @model_validator(mode="after")
    def _at_most_all(self) -> "Quotas":
        total = self.audit + self.disagreement + self.drifted + self.doubted
        if total > 1 + 1e-9:
            raise ValueError(f"the shares add up to {total:g}, more than 1")
        return self


class EarlyRetraining(Section):
    enabled: bool
    cooldown_days: float = Field(gt=0)
    deployment: str = Field(pattern=r"^[^/]+/[^/]+$")


class Monitor(Section):
    short_days: float = Field(gt=0)
    long_days: float = Field(gt=0)
    min_rows: int = Field(ge=30)
    max_rows: int = Field(ge=100)
    max_abstention_rise: Share
    min_labels: int = Field(ge=1)
    max_accuracy_loss: Share
    accuracy_alpha: float = Field(gt=0, lt=0.5)
    max_label_silence_hours: float = Field(gt=0)
    max_traffic_silence_hours: float = Field(gt=0)
    keep_months: int = Field(ge=1)
    early_retraining: EarlyRetraining

    @model_validator(mode="after")
    def _a_short_and_a_long_window(self) -> Self:
        if self.short_days >= self.long_days:
            raise ValueError("short_days: expected fewer than long_days")
        return self


class Labelling(Section):
    """The queue of tickets that are worth a person's label."""

    count: int = Field(ge=1)
    since_days: int = Field(ge=1)
    quotas: Quotas
    drift_rows: int = Field(ge=100)
    seed: int


class Step(Section):
    """One step of a rollout: the challenger's share, and what must have come before it is left."""

    share: float = Field(ge=0, lt=1)
    min_hours: float = Field(ge=0)
    min_labels: int = Field(ge=0)
    min_units: int = Field(ge=0)


def _rising(steps: list[Step]) -> list[Step]:
    shares = [step.share for step in steps]
    if shares[0] != 0 or any(later <= earlier for earlier, later in pairwise(shares)):
        raise ValueError("the first step is shadow, share 0, and each later share is above the one before")
    return steps


Steps = Annotated[list[Step], Field(min_length=2), AfterValidator(_rising)]


class Margins(Section):
    """How much worse the challenger may be and still count as no worse, as shares of tickets."""

    quality: float = Field(gt=0, lt=1)
    errors: float = Field(gt=0, lt=1)
    slow: float = Field(gt=0, lt=1)


class RolloutHotfix(Section):
    """What holds instead in the rollout of a hotfix; the guardrails are the same."""

    steps: Steps
    max_days: float = Field(gt=0)


class Rollout(Section):
    steps: Steps
    max_days: float = Field(gt=0)
    maturity_hours: float = Field(ge=0)
    audit_share: float = Field(gt=0, le=1)
    audit_salt: str = Field(min_length=1)
    audit_source: str = Field(min_length=1)
    pair_hours: float = Field(gt=0)
    alpha: float = Field(gt=0, lt=0.5)
    margins: Margins
    require_improvement: bool
    split_alpha: float = Field(gt=0, lt=0.5)
    min_coverage: Share
    missing_looks: int = Field(ge=1)
    max_silent_hours: float = Field(gt=0)
    max_look_gap_hours: float = Field(gt=0)
    tuning: float = Field(gt=0)
    hotfix: RolloutHotfix

    @field_validator("audit_salt")
    @classmethod
    def _short(cls, salt: str) -> str:
        if len(salt.encode()) > 64:
            raise ValueError("is longer than 64 bytes, the longest key of BLAKE2b")
        return salt

"""Sections of params.yaml about what happens in service: events, labelling, rollout."""

from itertools import pairwise
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    Field,
    field_validator,
    model_validator,
)

from ticket_sentiment.params.section import Days, Hours, Section, Seed, Share, WholeDays, without_password


class Events(Section):
    """The event database: predictions, exposures, feedback, rollout states."""

    url: Annotated[str, Field(pattern=r"^[a-z0-9+]+://"), without_password("that events.url_env names")]
    url_env: str = Field(min_length=1)
    queue: int = Field(ge=1)
    store_text: bool
    keep_days: WholeDays
    keep_text_days: WholeDays


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
    cooldown_days: Days
    deployment: str = Field(pattern=r"^[^/]+/[^/]+$")


class Monitor(Section):
    short_days: Days
    long_days: Days
    min_rows: int = Field(ge=30)
    max_rows: int = Field(ge=100)
    max_abstention_rise: Share
    min_labels: int = Field(ge=1)
    max_accuracy_loss: Share
    accuracy_alpha: float = Field(gt=0, lt=0.5)
    max_label_silence_hours: Hours
    max_traffic_silence_hours: Hours
    keep_months: int = Field(ge=1)
    early_retraining: EarlyRetraining

    @model_validator(mode="after")
    def _a_short_and_a_long_window(self) -> Self:
        if self.short_days >= self.long_days:
            raise ValueError("short_days: expected fewer than long_days")
        return self

    @model_validator(mode="after")
    def _enough_rows_however_many_come(self) -> Self:
        if 2 * self.min_rows > self.max_rows:  # of one more than max_rows every second is taken
            raise ValueError("min_rows: expected at most half of max_rows, or a busy window says nothing")
        return self


class Labelling(Section):
    """The queue of tickets that are worth a person's label."""

    count: int = Field(ge=1)
    since_days: WholeDays
    quotas: Quotas
    drift_rows: int = Field(ge=100)
    seed: Seed


class Step(Section):
    """One step of a rollout: the challenger's share, and what must have come before it is left."""

    share: float = Field(ge=0, lt=1)
    min_hours: float = Field(ge=0, le=876_000)
    min_labels: int = Field(ge=0)
    min_units: int = Field(ge=0)


def _rising(steps: list[Step]) -> list[Step]:
    shares = [step.share for step in steps]
    if shares[0] != 0 or any(later <= earlier for earlier, later in pairwise(shares)):
        raise ValueError("the first step is shadow, share 0, and each later share is above the one before")
    return steps


Steps = Annotated[list[Step], Field(min_length=2), AfterValidator(_rising)]


def _require_time(steps: list[Step], max_days: float) -> None:
    """Raise ValueError where a rollout would always be over before its last step is."""
    least = sum(step.min_hours for step in steps) / 24
    if least > max_days:
        raise ValueError(f"max_days: expected at least {least:g}, the min_hours of all steps together")


class Margins(Section):
    """How much worse the challenger may be and still count as no worse, as shares of tickets."""

    quality: float = Field(gt=0, lt=1)
    errors: float = Field(gt=0, lt=1)
    slow: float = Field(gt=0, lt=1)


class RolloutHotfix(Section):
    """What holds instead in the rollout of a hotfix; the guardrails are the same."""

    steps: Steps
    max_days: Days

    @model_validator(mode="after")
    def _time_for_all_steps(self) -> Self:
        _require_time(self.steps, self.max_days)
        return self


class Rollout(Section):
    steps: Steps
    max_days: Days
    maturity_hours: float = Field(ge=0, le=876_000)
    audit_share: float = Field(gt=0, le=1)
    audit_salt: str = Field(min_length=1)
    audit_source: str = Field(min_length=1)
    pair_hours: Hours
    alpha: float = Field(gt=0, lt=0.5)
    margins: Margins
    require_improvement: bool
    split_alpha: float = Field(gt=0, lt=0.5)
    min_coverage: Share
    missing_looks: int = Field(ge=1)
    max_silent_hours: Hours
    max_look_gap_hours: Hours
    tuning: float = Field(gt=0)
    hotfix: RolloutHotfix

    @field_validator("audit_salt")
    @classmethod
    def _short(cls, salt: str) -> str:
        if len(salt.encode()) > 64:
            raise ValueError("is longer than 64 bytes, the longest key of BLAKE2b")
        return salt

    @model_validator(mode="after")
    def _time_for_all_steps(self) -> Self:
        _require_time(self.steps, self.max_days)
        return self

"""Sections of params.yaml about judging: evaluation, drift, speed, cost, the gate."""

import re
from typing import Literal

from pydantic import Field, field_validator

from ticket_sentiment.params.section import Purchase, Section, Seed, Share, WholeDays, without_repeats


class Evaluate(Section):
    bootstrap_samples: int = Field(ge=100)
    seed: Seed
    min_slice_rows: int = Field(ge=1)
    products: dict[str, str] = Field(default_factory=dict)

    @field_validator("products")
    @classmethod
    def _expressions(cls, products: dict[str, str]) -> dict[str, str]:
        for name, words in products.items():
            try:
                re.compile(words)
            except re.error as error:
                raise ValueError(f"{name}: {words!r} is no regular expression ({error})") from None
        return products


class Behaviour(Section):
    cases_per_test: int = Field(ge=10)
    tolerance: Share
    examples: int = Field(ge=0)
    seed: Seed


class Drift(Section):
    max_rows: int = Field(ge=100)
    embedding_rows: int = Field(ge=100)
    min_live_rows: int = Field(ge=30)
    # Distances only: with a p-value the threshold turns round and the verdict depends on the row count.
    numeric_method: Literal["wasserstein", "jensenshannon", "hellinger", "kl_div", "psi"]
    numeric_floor: float = Field(gt=0)
    categorical_method: Literal["jensenshannon", "hellinger", "kl_div", "psi"]
    categorical_floor: float = Field(gt=0)
    embedding_floor: float = Field(gt=0.5, le=1)
    max_over_floor: float = Field(ge=1)
    resamples: int = Field(ge=20)
    quantile: float = Field(gt=0.5, lt=1)
    max_changed_answers: Share
    seed: Seed


class Benchmark(Section):
    texts: int = Field(ge=10)
    rounds: int = Field(ge=1)
    threads: int = Field(ge=1)
    warmup: int = Field(ge=0)
    seed: Seed


class Costs(Section):
    prices: str = Field(min_length=1)
    cpu_instance: str = Field(min_length=1)
    gpu_instance: str = Field(min_length=1)
    purchase: Purchase
    tickets_per_day: float | None = Field(gt=0)
    profile: str = Field(min_length=1)
    cache_hit_rate: float = Field(ge=0, lt=1)
    min_replicas: int = Field(ge=1)
    utilisation: float = Field(gt=0, le=1)
    objective_share: float = Field(gt=0.5, lt=1)
    request_ms: float = Field(ge=0)
    service_tickets_per_second: float | None = Field(gt=0)
    gpu_tickets_per_second: float | None = Field(gt=0)
    gpu_per_dollar: float = Field(gt=0)
    batch_utilisation: float = Field(gt=0, le=1)
    batch_hours: float = Field(gt=0, le=24)
    batch_start_minutes: float = Field(ge=0)
    spot_fallback: Share
    disk_gb: float = Field(ge=0)
    storage_gb: float = Field(ge=0)
    answer_kb: float = Field(ge=0)
    free_transfer_gb: float = Field(ge=0)
    max_price_age_days: int = Field(ge=1)


class Gate(Section):
    """Thresholds. One that is missed is a fail, or a review where `review` names it."""

    review: list[str]
    min_holdout_rows: int = Field(ge=1)
    max_signal: Share
    max_label_noise: Share
    min_channel_share: Share
    min_macro_f1: Share
    min_class_recall: Share
    min_gain_over_tfidf: float = Field(ge=-1)
    max_loss_to_champion: float = Field(ge=0)
    max_behaviour_rise: Share
    max_behaviour_rise_by_compression: Share | None
    max_slice_loss: Share
    max_calibration_error: Share
    min_coverage: Share
    min_edge_agreement: Share
    min_label_agreement: Share
    max_bundle_mb: float = Field(gt=0)
    max_memory_mb: float = Field(gt=0)
    max_cost_over_champion: float = Field(ge=1)
    licences: list[str]
    min_speedup: float = Field(gt=0)
    max_report_age_days: WholeDays
    min_corrected: Share
    max_broken: Share

    @field_validator("review")
    @classmethod
    def _thresholds(cls, keys: list[str]) -> list[str]:
        unknown = [key for key in keys if key not in cls.model_fields or key == "review"]
        if unknown:
            raise ValueError(f"{unknown[0]} is no threshold of this section")
        return without_repeats(keys)


class Report(Section):
    excerpts: int = Field(ge=0)
    owner: str
    intended_use: str = Field(min_length=1)
    not_for: str = Field(min_length=1)
    watts_per_core: float = Field(gt=0)
    watts_per_gb: float = Field(ge=0)
    pue: float = Field(ge=1)

"""The report of stage `benchmark`."""

from typing import Annotated, Self

from pydantic import AwareDatetime, Field, model_validator

from ticket_sentiment.gates.evidence_types.part import Part, Positive, Subject
from ticket_sentiment.model.bundle import Sha256


class Spread(Part):
    median: Positive
    low: Positive
    high: Positive


class Ratio(Part):
    throughput: Spread


class Ratios(Part):
    cpu_bundle_over_dense_torch_fp32: Ratio
    cpu_bundle_over_dense_onnx_fp32: Ratio


class Batch1(Part):
    p50_ms: Positive
    p95_ms: Positive
    texts_per_second: Positive
    texts_per_second_low: Positive | None = None  # over the rounds; not in a report from before December 2026
    texts_per_second_high: Positive | None = None


class Variant(Part):
    bytes: Annotated[int, Field(ge=1)]
    batch1: Batch1
    peak_memory_mb: Positive


class ChampionVariant(Variant):
    """The champion in the same rounds; how many times as fast the candidate is."""

    ratio: Ratio


class Variants(Part):
    dense_torch_fp32: Variant
    dense_onnx_fp32: Variant
    cpu_bundle: Variant


class Machine(Part):
    cpu: str
    versions: dict[str, str] = Field(default_factory=dict)


class Benchmark(Part):
    """reports/benchmark.json."""

    machine: Machine
    threads: Annotated[int, Field(ge=1)]
    measured_at: AwareDatetime
    bundle_digest: Sha256
    variants: Variants
    ratios: Ratios
    size_ratio: Positive
    champion_digest: Sha256 | None
    champion: ChampionVariant | None

    @model_validator(mode="after")
    def _measured(self) -> Self:
        if (self.champion is None) != (self.champion_digest is None):
            raise ValueError("a champion that was not measured")
        return self

    def foreign(self, subject: Subject) -> str | None:
        if self.bundle_digest != subject.cpu:
            return "The benchmark is about another bundle: run `dvc repro benchmark`."
        if self.champion_digest != subject.champion:
            return "The benchmark is about another champion: run `dvc repro benchmark`."
        return None

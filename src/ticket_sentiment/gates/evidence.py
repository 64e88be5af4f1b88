"""What the gates look at: the files of the stages before, read into frozen, finite, strict types.

A file that is missing, or a field that is null, NaN or of the wrong type, becomes `Missing` with a sentence;
whatever needs it fails. Fields that no gate or report reads may be in the files and are passed over.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, sha256_tree
from ticket_sentiment.model.bundle import MANIFEST, Bundle, Sha256, load_bundle
from ticket_sentiment.params import Label, Month, Share

TICKETS = Path("data/tickets")
PREPARED = Path("data/prepared")
SPLIT = Path("data/prepared/split.json")
HOLDOUT = Path("data/prepared/holdout.parquet")
VALIDATION = Path("reports/validation/result.json")
EVALUATION = Path("reports/evaluation/metrics.json")
COMPRESSION = Path("reports/compression.json")
DRIFT = Path("reports/drift.json")
BENCHMARK = Path("reports/benchmark.json")
CPU_BUNDLE = Path("models/release/cpu")
GPU_BUNDLE = Path("models/release/gpu")
CHAMPION = Path("models/champion/bundle")

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


class Part(BaseModel):
    """Frozen, strict about types, and NaN is no number."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="ignore")


class Estimate(Part):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class MonthFacts(Part):
    rows: Count
    labelled: Count
    masks: dict[str, Count] = {}


class Failure(Part):
    sentence: str


class Validation(Part):
    """reports/validation/result.json."""

    success: bool
    data_sha256: Sha256
    months: dict[Month, MonthFacts] = Field(min_length=1)
    failures: tuple[Failure, ...]


class SplitMonths(Part):
    train: tuple[Month, ...] = Field(min_length=1)
    tune: tuple[Month, ...] = Field(min_length=1)
    holdout: tuple[Month, ...] = Field(min_length=1)


class SplitRows(Part):
    train: Count
    tune: Count
    holdout: Count


class SplitHashes(Part):
    train: Sha256
    tune: Sha256
    holdout: Sha256


class Split(Part):
    """data/prepared/split.json."""

    months: SplitMonths
    rows: SplitRows
    sha256: SplitHashes


class ClassScores(Part):
    precision: Share | None  # null: never predicted
    recall: Share | None  # null: not in the holdout
    f1: Share | None
    rows: Count


class ModelScores(Part):
    macro_f1: Estimate
    accuracy: Estimate
    classes: dict[Label, ClassScores] = Field(min_length=3)
    brier: Annotated[float, Field(ge=0, le=2)]
    calibration_error: Share
    calibration_error_uncalibrated: Share | None  # null: a baseline, which is not scaled
    confusion: tuple[tuple[Count, Count, Count], tuple[Count, Count, Count], tuple[Count, Count, Count]]


class Models(Part):
    majority: ModelScores
    tfidf: ModelScores
    dense: ModelScores
    compressed: ModelScores
    champion: ModelScores | None


class Difference(Part):
    macro_f1: Estimate


class Differences(Part):
    compressed_minus_dense: Difference
    compressed_minus_champion: Difference | None
    dense_minus_tfidf: Difference
    compressed_minus_tfidf: Difference


class SliceScores(Part):
    slice: str
    value: str
    rows: Count
    macro_f1: Share
    low: Share
    high: Share


class EvaluatedHoldout(Part):
    sha256: Sha256
    rows: Annotated[int, Field(ge=1)]
    months: tuple[Month, ...] = Field(min_length=1)


class Evaluation(Part):
    """reports/evaluation/metrics.json."""

    holdout: EvaluatedHoldout
    bundle_digest: Sha256
    champion_digest: Sha256 | None
    models: Models
    differences: Differences
    slices: tuple[SliceScores, ...]


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


class Compression(Part):
    """reports/compression.json."""

    dense: DenseWeights
    pruned: Weights
    cpu: Release
    gpu: Release
    parity: Parity


class DriftTest(Part):
    method: str | None  # null, as threshold and value, where the status is ERROR
    threshold: float | None
    value: float | None
    status: Literal["SUCCESS", "FAIL", "ERROR"]
    drifted: bool

    @property
    def usable(self) -> bool:
        """Whether the test came to an answer that does not contradict itself."""
        known = None not in (self.method, self.threshold, self.value)
        return known and self.status != "ERROR" and self.drifted == (self.status == "FAIL")


class DriftReference(Part):
    sha256: Sha256


class DriftCurrent(Part):
    sha256: Sha256
    month: Month


class Drift(Part):
    """reports/drift.json."""

    reference: DriftReference
    current: DriftCurrent
    columns: dict[str, DriftTest]
    embedding: DriftTest
    evidently: str


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


class Variant(Part):
    bytes: Annotated[int, Field(ge=1)]
    batch1: Batch1
    peak_memory_mb: Positive


class Variants(Part):
    dense_torch_fp32: Variant
    dense_onnx_fp32: Variant
    cpu_bundle: Variant


class BreakEven(Part):
    instance: str
    usd_per_hour: Positive
    break_even_tickets_per_second: Positive


class Cost(Part):
    """What a model costs on a rented machine, by variant (costs/cost.py)."""

    instance: str
    region: str
    usd_per_hour: Positive
    price_date: str
    utilisation: Positive
    per_million_tokens_tokenizer: dict[str, Positive]
    per_million_tokens_rule_of_thumb: dict[str, Positive]
    per_thousand_tickets: dict[str, Positive]
    gpu: BreakEven
    assumptions: tuple[str, ...]
    warnings: tuple[str, ...]


class Machine(Part):
    cpu: str
    versions: dict[str, str] = {}


class Benchmark(Part):
    """reports/benchmark.json."""

    machine: Machine
    threads: Annotated[int, Field(ge=1)]
    measured_at: AwareDatetime
    bundle_digest: Sha256
    variants: Variants
    ratios: Ratios
    size_ratio: Positive
    cost: Cost


@dataclass(frozen=True)
class Missing:
    """Evidence that is not there or cannot be used, and why: a sentence."""

    sentence: str


@dataclass(frozen=True)
class Evidence:
    """All that a decision is made from."""

    validation: Validation | Missing
    split: Split | Missing
    evaluation: Evaluation | Missing
    compression: Compression | Missing
    drift: Drift | Missing
    benchmark: Benchmark | Missing
    cpu: Bundle | Missing
    gpu: Bundle | Missing
    champion: Bundle | Missing | None  # None: there is none yet
    tickets_sha256: str | Missing
    prepared_sha256: str | Missing
    holdout_sha256: str | Missing
    now: datetime


PartType = TypeVar("PartType", bound=Part)


def read_part(path: Path, kind: type[PartType], what: str) -> PartType | Missing:
    """Read one JSON file as `kind`.

    Args:
        path: the file.
        kind: its type.
        what: what it says, for the sentence, e.g. "The drift report".
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError:
        return Missing(f"{what} is missing: there is no {path}.")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        others = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        return Missing(
            f"{what} cannot be used: {path}: {where + ': ' if where else ''}{first['msg']}{others}."
        )


def read_bundle(path: Path) -> Bundle | Missing:
    """Verify a bundle; what is wrong with it becomes the sentence."""
    try:
        return load_bundle(path)
    except TicketSentimentError as error:
        return Missing(f"A model bundle cannot be trusted: {error}.")


def gather(now: datetime) -> Evidence:
    """Read everything, relative to the repository's root.

    Args:
        now: the time that the age of the benchmark is counted to, with a time zone.
    """
    return Evidence(
        validation=read_part(VALIDATION, Validation, "The validation of the tickets"),
        split=read_part(SPLIT, Split, "The split into training and holdout"),
        evaluation=read_part(EVALUATION, Evaluation, "The evaluation"),
        compression=read_part(COMPRESSION, Compression, "The compression report"),
        drift=read_part(DRIFT, Drift, "The drift report"),
        benchmark=read_part(BENCHMARK, Benchmark, "The benchmark"),
        cpu=read_bundle(CPU_BUNDLE),
        gpu=read_bundle(GPU_BUNDLE),
        champion=read_bundle(CHAMPION) if (CHAMPION / MANIFEST).exists() else None,
        tickets_sha256=sha256_tree(TICKETS) if TICKETS.is_dir() else Missing(f"There is no {TICKETS}."),
        prepared_sha256=sha256_tree(PREPARED) if PREPARED.is_dir() else Missing(f"There is no {PREPARED}."),
        holdout_sha256=sha256_file(HOLDOUT) if HOLDOUT.is_file() else Missing(f"There is no {HOLDOUT}."),
        now=now,
    )

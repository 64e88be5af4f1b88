"""The reports of the stages before, as frozen, finite, strict types.

Fields that no gate or report reads may be in the files and are passed over.
"""

from dataclasses import dataclass
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Label, Month, Share

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]
DENSE_SHAPE = "dense"  # name of the attempt that is no shape of the frontier


@dataclass(frozen=True)
class Subject:
    """What lies here and is to be judged: what every report must be about.

    Digests of the bundles and hashes of the tickets; null where there is none or it cannot be trusted.
    """

    cpu: str | None
    gpu: str | None
    edge: str | None
    champion: str | None
    holdout: str | None
    prepared: str | None


class Part(BaseModel):
    """Frozen, strict about types, and NaN is no number."""

    model_config = ConfigDict(frozen=True, strict=True, allow_inf_nan=False, extra="ignore")

    def foreign(self, subject: Subject) -> str | None:
        """Why this is about something else than lies here, as a sentence; null where it is not."""
        return None


class Estimate(Part):
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


class MonthFacts(Part):
    rows: Count
    labelled: Count
    masks: dict[str, Count] = {}
    signal: Share | None  # null: too few labels to tell
    channels: dict[str, Share]


class Suspect(Part):
    ticket_id: str


class LabelNoise(Part):
    share: Share | None  # null: too few labels to tell
    suspects: tuple[Suspect, ...]  # the worst first


class Failure(Part):
    sentence: str


class Validation(Part):
    """reports/validation/result.json."""

    success: bool
    data_sha256: Sha256
    months: dict[Month, MonthFacts] = Field(min_length=1)
    failures: tuple[Failure, ...]
    label_noise: LabelNoise


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


class JoinedLabels(Part):
    """What people's labels changed (`tickets.relabel.Relabelled`)."""

    labels: Count
    orphans: Count
    changed: Count
    added: Count
    conflicts: Count


class Split(Part):
    """data/prepared/split.json."""

    months: SplitMonths
    rows: SplitRows
    sha256: SplitHashes
    feedback: JoinedLabels


class Shared(Part):
    tickets: Count
    customers: Count
    texts: Count


class SharedTables(Part):
    train_holdout: Shared
    tune_holdout: Shared
    train_tune: Shared


class BaseWeights(Part):
    base_model: Annotated[str, Field(min_length=1)]
    licence: str


class Inspection(Part):
    """reports/inspection.json."""

    prepared_sha256: Sha256
    rows: dict[str, Count] = Field(min_length=3)
    shared: SharedTables
    unmasked: dict[str, Count] = Field(min_length=3)
    weights: BaseWeights

    def foreign(self, subject: Subject) -> str | None:
        if self.prepared_sha256 != subject.prepared:
            return "The inspection is about other tickets than data/prepared: run `dvc repro inspect`."
        return None


class ClassScores(Part):
    precision: Share | None  # null: never predicted
    recall: Share | None  # null: not in the holdout
    f1: Share | None
    rows: Count


class Abstention(Part):
    """What answering only from a confidence on gives (`metrics.abstention`)."""

    below: Share
    coverage: Share
    risk: Share | None  # null: nothing is answered
    risk_of_all: Share
    aurc: Share


class ModelScores(Part):
    macro_f1: Estimate
    accuracy: Estimate
    classes: dict[Label, ClassScores] = Field(min_length=3)
    brier: Annotated[float, Field(ge=0, le=2)]
    calibration_error: Share
    calibration_error_uncalibrated: Share | None  # null: a baseline, which is not scaled
    abstention: Abstention
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
    right_minus_dense: Estimate
    right_minus_champion: Estimate | None


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

    def foreign(self, subject: Subject) -> str | None:
        if self.bundle_digest != subject.cpu:
            return "The evaluation is about another bundle: run `dvc repro evaluate`."
        if self.holdout.sha256 != subject.holdout:
            return "The evaluation was made on another holdout: run `dvc repro evaluate`."
        if self.champion_digest != subject.champion:
            return "The present champion was not scored on this holdout: run `dvc repro evaluate`."
        return None


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
            return "The compression report is about other bundles: run `dvc repro -f quantize`."
        return None

    @property
    def chosen(self) -> Attempt:
        """The last attempt: what the bundles hold."""
        return self.attempts[-1]

    @property
    def refused(self) -> tuple[Attempt, ...]:
        """The shapes that were tried before and not taken."""
        return self.attempts[:-1]


class DriftTest(Part):
    method: str | None  # null, as threshold and value, where the status is ERROR
    threshold: float | None  # what was learnt, between the floor and its multiple
    learnt: float | None  # from the quiet periods of the reference; null where there are none
    floor: float
    value: float | None
    status: Literal["SUCCESS", "FAIL", "ERROR"]
    drifted: bool

    @property
    def usable(self) -> bool:
        """Whether the test came to an answer that does not contradict itself."""
        known = None not in (self.method, self.threshold, self.value)
        return known and self.status != "ERROR" and self.drifted == (self.status == "FAIL")


DriftTests = Annotated[dict[str, DriftTest], Field(min_length=1)]


class DriftReference(Part):
    sha256: Sha256


class DriftCurrent(Part):
    sha256: Sha256
    month: Month


class DriftLive(Part):
    """What live traffic of the newest month there was to compare with (gates/drift_live.py)."""

    kind: Literal["predictions", "unlabelled", "none"]
    rows: Count
    labelled_share: Share

    @model_validator(mode="after")
    def _rows_where_there_are_some(self) -> Self:
        if (self.kind == "none") != (self.rows == 0):
            raise ValueError("live rows that do not fit their kind")
        return self


class Drift(Part):
    """reports/drift.json: three questions, each with its tests; null where there was nothing to compare."""

    reference: DriftReference
    current: DriftCurrent
    bundle_digest: Sha256
    champion_digest: Sha256 | None
    live: DriftLive
    incoming: DriftTests
    holdout: DriftTests | None
    answers: DriftTests | None
    evidently: str

    def foreign(self, subject: Subject) -> str | None:
        if self.current.sha256 != subject.holdout:
            return "The drift report is about other tickets than this model's: run `dvc repro drift`."
        if self.bundle_digest != subject.cpu:
            return "The drift report is about another bundle: run `dvc repro drift`."
        if self.champion_digest != subject.champion:
            return "The drift report is about another champion: run `dvc repro drift`."
        return None


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


class StartedFrom(Part):
    version: Annotated[str, Field(min_length=1)]
    digest: Sha256


class Corrected(Part):
    """How many of the corrected tickets are answered right, by the champion and by the hotfix."""

    rows: Annotated[int, Field(ge=1)]
    right_before: Count
    right_now: Count
    wrong_before: Count
    mended: Count  # wrong before and right now
    spoilt: Count  # right before and wrong now

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        if (
            self.right_before + self.wrong_before != self.rows
            or self.right_before - self.spoilt + self.mended != self.right_now
            or self.mended > self.wrong_before
            or self.spoilt > self.right_before
        ):
            raise ValueError("the counts do not add up")
        return self


class Kept(Part):
    """What became of the holdout: tickets that were right, the share of them that broke, others mended."""

    right_before: Count
    broken: Estimate
    mended: Count


class Hotfix(Part):
    """reports/hotfix.json."""

    champion: StartedFrom
    bundle_digest: Sha256
    prepared_sha256: Sha256
    holdout_sha256: Sha256
    corrected: Corrected
    kept: Kept

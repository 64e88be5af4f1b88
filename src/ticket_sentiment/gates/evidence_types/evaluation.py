"""The report of stage `evaluate`."""

from typing import Annotated

from pydantic import Field

from ticket_sentiment.gates.evidence_types.part import Count, Estimate, Part, Subject
from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Label, Month, Share


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

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
    # What a perfectly calibrated model stays under on so few tickets; null: a report from before it was told.
    calibration_error_by_chance: Share | None = None
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
    right: Estimate  # share of right answers: unlike macro-F1 it does not hang on how rare a label is there
    right_minus_dense: Estimate
    right_minus_champion: Estimate | None
    rows_beside_champion: Count | None = None  # 0: too few that it has not learnt, or there is no champion


class LearntByChampion(Part):
    """Tickets of the holdout that the champion learnt as a hotfix: nothing is compared with it there."""

    rows: Count
    sha256: Sha256  # of the list
    unknown: str | None  # why the list cannot be used


class EvaluatedHoldout(Part):
    sha256: Sha256
    rows: Annotated[int, Field(ge=1)]
    months: tuple[Month, ...] = Field(min_length=1)


class Evaluation(Part):
    """reports/evaluation/metrics.json."""

    holdout: EvaluatedHoldout
    bundle_digest: Sha256
    champion_digest: Sha256 | None
    learnt: LearntByChampion | None = None  # None: the champion is no hotfix, or there is none
    models: Models
    differences: Differences
    slices: tuple[SliceScores, ...]

    def left_out(self) -> str | None:
        """What is not compared with the champion and why, as a sentence; None where everything is."""
        if self.learnt is None:
            return None
        if self.learnt.unknown:
            return (
                "The champion is a hotfix, and which tickets it learnt is not known "
                f"({self.learnt.unknown}): it may know some of these by heart."
            )
        return (
            f"{self.learnt.rows:,} of {self.holdout.rows:,} tickets are left out where the champion is "
            "compared: it is a hotfix, and learnt them by heart."
        )

    def foreign(self, subject: Subject) -> str | None:
        if self.bundle_digest != subject.cpu:
            return "The evaluation is about another bundle: run `dvc repro evaluate`."
        if self.holdout.sha256 != subject.holdout:
            return "The evaluation was made on another holdout: run `dvc repro evaluate`."
        if self.champion_digest != subject.champion:
            return "The present champion was not scored on this holdout: run `dvc repro evaluate`."
        if (self.learnt and self.learnt.sha256) != subject.learnt:
            return "The champion learnt other tickets than the evaluation left out: run `dvc repro evaluate`."
        return None

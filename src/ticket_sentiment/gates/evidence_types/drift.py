"""The report of stage `drift`."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from ticket_sentiment.gates.evidence_types.part import Count, Part, Subject
from ticket_sentiment.model.bundle import Sha256
from ticket_sentiment.params import Month, Share


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

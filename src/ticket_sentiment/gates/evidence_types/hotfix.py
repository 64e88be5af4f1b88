"""What a hotfix started from, and its comparison with its champion."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from ticket_sentiment.gates.evidence_types.part import Count, Estimate, Part
from ticket_sentiment.model.bundle import Sha256


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

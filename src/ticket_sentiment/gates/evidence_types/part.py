"""What every report has in common: frozen, finite, strict, and about something."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Count = Annotated[int, Field(ge=0)]
Positive = Annotated[float, Field(gt=0)]


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
    learnt: str | None = None  # the list of what the champion learnt as a hotfix


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

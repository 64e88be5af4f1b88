"""What all sections of params.yaml are made of."""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
)

Share = Annotated[float, Field(ge=0, le=1)]
# A hundred years at most: "for ever" is no time that can be added to a date.
Days = Annotated[float, Field(gt=0, le=36_500)]
WholeDays = Annotated[int, Field(ge=1, le=36_500)]
Hours = Annotated[float, Field(gt=0, le=876_000)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]  # what NumPy and scikit-learn take
Month = Annotated[str, Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")]
Label = Literal["negative", "neutral", "positive"]
Device = Literal["cpu", "gpu"]
Purchase = Literal["on_demand", "spot", "reserved"]


class Section(BaseModel):
    """Frozen, strict about keys: a typo fails before any work starts."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


def without_password(variable: str) -> Any:
    """Refuse a URL with a password: what is in params.yaml is versioned, and shown with every run.

    Args:
        variable: the environment variable that may hold it instead.
    """

    def check(url: str) -> str:
        if re.search(r"://[^/]*:[^@]*@|password=", url):
            raise ValueError(f"holds a password: put the URL in the variable {variable}")
        return url

    return AfterValidator(check)


def without_repeats(values: list[Any]) -> list[Any]:
    """Refuse a list that names something twice."""
    twice = next((value for index, value in enumerate(values) if value in values[:index]), None)
    if twice is not None:
        raise ValueError(f"{getattr(twice, 'name', twice)} is there twice")
    return values

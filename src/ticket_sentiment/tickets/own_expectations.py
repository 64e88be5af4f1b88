"""A team's own expectations of every month of tickets, in data/expectations.yaml: no code."""

import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.yaml_files import read_yaml

OWN = Path("data/expectations.yaml")

Column = Literal["ticket_id", "customer_id", "channel", "text", "label", "label_source"]
# Of Great Expectations: which keys each takes, all of them needed but bounds, of which one is enough.
BOUNDS = frozenset({"min_value", "max_value"})
KNOWN: dict[str, frozenset[str]] = {
    "expect_column_values_to_be_in_set": frozenset({"value_set"}),
    "expect_column_values_to_not_be_in_set": frozenset({"value_set"}),
    "expect_column_values_to_match_regex": frozenset({"regex"}),
    "expect_column_values_to_not_match_regex": frozenset({"regex"}),
    "expect_column_values_to_not_be_null": frozenset(),
    "expect_column_value_lengths_to_be_between": BOUNDS,
    "expect_column_unique_value_count_to_be_between": BOUNDS,
}
OF_THE_WHOLE = frozenset({"expect_column_unique_value_count_to_be_between"})  # knows no `mostly`


class OwnExpectation(BaseModel):
    """One expectation; `say` is told where it does not hold, and says what to do."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    expectation: str
    column: Column
    say: Annotated[str, Field(min_length=1)]
    mostly: Annotated[float, Field(gt=0, le=1)] | None = None  # share of the rows that must keep it
    value_set: Annotated[list[str], Field(min_length=1)] | None = None
    regex: Annotated[str, Field(min_length=1)] | None = None
    min_value: int | None = None
    max_value: int | None = None

    @property
    def arguments(self) -> dict[str, Any]:
        """Those of Great Expectations that are set."""
        given = self.model_dump(exclude={"expectation", "say"})
        return {key: value for key, value in given.items() if value is not None}

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.expectation not in KNOWN:
            raise ValueError(f"{self.expectation} is not known (known: {', '.join(KNOWN)})")
        takes, given = KNOWN[self.expectation], self.arguments.keys() - {"column", "mostly"}
        if given - takes or not (given if takes == BOUNDS else given == takes):
            wanted = " and ".join(sorted(takes)) or "no more than a column"
            raise ValueError(f"{self.expectation} takes {wanted}")
        if self.mostly is not None and self.expectation in OF_THE_WHOLE:
            raise ValueError(f"{self.expectation} is about the month as a whole: leave `mostly` out")
        if self.regex is not None:
            try:
                re.compile(self.regex)
            except re.error as error:
                raise ValueError(f"{self.regex!r} is no regular expression ({error})") from None
        return self

    def build(self) -> Any:
        """As an object of Great Expectations."""
        import great_expectations.expectations as gxe

        name = "".join(part.capitalize() for part in self.expectation.split("_"))
        return getattr(gxe, name)(**self.arguments, meta={"say": self.say})


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    expectations: list[OwnExpectation] = []


def read_own(path: Path = OWN) -> list[OwnExpectation]:
    """The expectations of a file; none where there is no file.

    Raises:
        TicketSentimentError: it is no YAML, holds an unknown key or expectation or one key twice, or an
            argument is missing.
    """
    if not path.is_file():
        return []
    try:
        return _File.model_validate(read_yaml(path) or {}).expectations
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"{path}: {where}: {first['msg'].removeprefix('Value error, ')}") from None

"""The dated price table: what an hour of a machine costs, from where and since when it is known."""

import datetime
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from ticket_sentiment.errors import TicketSentimentError


class Price(BaseModel):
    """One row of prices.yaml: one instance type in one region."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    instance: str = Field(min_length=1)
    cloud: str = Field(min_length=1)
    region: str = Field(min_length=1)
    vcpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)
    gpu: str | None
    usd_per_hour: float = Field(gt=0)
    source: str = Field(min_length=1)
    checked: datetime.date
    spot_saving: float | None = Field(gt=0, lt=1)
    spot_checked: str | None = Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$")

    @model_validator(mode="after")
    def _spot_is_dated(self) -> "Price":
        if (self.spot_saving is None) != (self.spot_checked is None):
            raise ValueError("spot_saving and spot_checked go together")
        return self

    @property
    def usd_per_hour_spot(self) -> float | None:
        """Average spot price in US dollars an hour, where a saving is known."""
        return None if self.spot_saving is None else self.usd_per_hour * (1 - self.spot_saving)

    def age_warning(self, today: datetime.date, max_age_days: int) -> str | None:
        """One line when the price is older than `max_age_days`, else None."""
        age = (today - self.checked).days
        if age <= max_age_days:
            return None
        return f"the price of {self.instance} was checked {age} days ago ({self.checked}): check it again"


class PriceTable(BaseModel):
    """prices.yaml."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    prices: tuple[Price, ...] = Field(min_length=1, strict=False)

    @model_validator(mode="after")
    def _instances_are_unique(self) -> "PriceTable":
        names = [price.instance for price in self.prices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is listed twice")
        return self


def load_prices(path: Path) -> dict[str, Price]:
    """The price table by instance type.

    Raises:
        TicketSentimentError: the file is missing or no YAML, or a row has an unknown, missing or
            malformed key; the message names the row and the key.
    """
    remedy = "correct it or set costs.prices in params.yaml"
    try:
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        table = PriceTable.model_validate(raw)
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: {remedy}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        first_line = str(error).replace("\n", " ")
        raise TicketSentimentError(f"{path} is not valid YAML: {first_line}: {remedy}") from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"]) or "prices"
        problem = "is not a known key" if first["type"] == "extra_forbidden" else first["msg"]
        raise TicketSentimentError(f"{path}: {where}: {problem}: {remedy}") from None
    return {price.instance: price for price in table.prices}


def find_price(prices: dict[str, Price], instance: str, key: str) -> Price:
    """The row of an instance type.

    Args:
        prices: what `load_prices` gives.
        instance: its type, e.g. `c7i.large`.
        key: of params.yaml that asked for it, for the message.

    Raises:
        TicketSentimentError: there is no such row.
    """
    if instance not in prices:
        raise TicketSentimentError(
            f"params.yaml: {key}: {instance} is not in the price table; add a row or take one of "
            + ", ".join(sorted(prices))
        )
    return prices[instance]

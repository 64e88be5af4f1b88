"""The dated price table: what machines and services cost, from where and since when it is known."""

import datetime
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_text
from ticket_sentiment.params import Purchase
from ticket_sentiment.yaml_files import dump_yaml, read_yaml

Usd = Annotated[float, Field(gt=0)]
Saving = Annotated[float, Field(gt=0, lt=1)]
Source = Annotated[str, Field(min_length=1)]


def _written(value: Any) -> Any:
    """YAML reads 2026-12-01 as a date and 2026 as a number, and 2026-12 as text."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return value.isoformat() if type(value) is datetime.date else value


def first_day(dated: str) -> datetime.date:
    """The earliest day that a year, a month or a day can mean.

    Raises:
        ValueError: there is no such day.
    """
    year, month, day = ([int(part) for part in dated.split("-")] + [1, 1])[:3]
    return datetime.date(year, month, day)


def _existing(dated: str) -> str:
    first_day(dated)
    return dated


Dated = Annotated[
    str,
    BeforeValidator(_written),
    Field(pattern=r"^\d{4}(-\d{2}(-\d{2})?)?$"),
    AfterValidator(_existing),
]
Month = Annotated[
    str,
    BeforeValidator(lambda value: f"{value:%Y-%m}" if type(value) is datetime.date else value),
    Field(pattern=r"^\d{4}-(0[1-9]|1[0-2])$"),
]
SERVICE_NAMES = {
    "disk_gb_month": "disks",
    "storage_gb_month": "storage",
    "transfer_gb": "transfer",
    "load_balancer_hour": "load balancer",
    "load_balancer_unit_hour": "its capacity units",
}
REMEDY = "correct it or set costs.prices in params.yaml"


class _Row(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Price(_Row):
    """One row of prices.yaml: one instance type in one region."""

    instance: str = Field(min_length=1)
    cloud: str = Field(min_length=1)
    region: str = Field(min_length=1)
    vcpus: int = Field(ge=1)
    memory_gib: float = Field(gt=0)
    gpu: str | None
    usd_per_hour: Usd
    source: Source
    checked: datetime.date
    spot_saving: Saving | None
    spot_checked: Month | None
    reserved_saving: Saving | None
    reserved_checked: datetime.date | None

    @model_validator(mode="after")
    def _savings_are_dated(self) -> "Price":
        for name in ("spot", "reserved"):
            if (getattr(self, f"{name}_saving") is None) != (getattr(self, f"{name}_checked") is None):
                raise ValueError(f"{name}_saving and {name}_checked go together")
        return self

    @property
    def usd_per_hour_spot(self) -> float | None:
        """Average spot price in US dollars an hour, where a saving is known."""
        return None if self.spot_saving is None else self.usd_per_hour * (1 - self.spot_saving)


class Reserved(_Row):
    """The saving of a one-year commitment where a row has none of its own."""

    saving: Saving
    source: Source
    checked: Dated


class ServicePrice(_Row):
    usd: Usd
    source: Source
    checked: Dated


class Services(_Row):
    """What is paid beside machines; the units are in the names."""

    disk_gb_month: ServicePrice
    storage_gb_month: ServicePrice
    transfer_gb: ServicePrice
    load_balancer_hour: ServicePrice
    load_balancer_unit_hour: ServicePrice


class PriceTable(_Row):
    """prices.yaml."""

    prices: tuple[Price, ...] = Field(min_length=1, strict=False)
    reserved: Reserved
    services: Services

    @model_validator(mode="after")
    def _instances_are_unique(self) -> "PriceTable":
        names = [price.instance for price in self.prices]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"{twice[0]} is listed twice")
        return self

    def hourly(self, price: Price, purchase: Purchase, spot_fallback: float = 0.0) -> float | None:
        """US dollars for an hour of an instance.

        Args:
            price: its row.
            purchase: on_demand, spot, or reserved for a year.
            spot_fallback: share of the spot hours that are paid on demand, as there is no spot machine.

        Returns:
            None where the table knows no spot saving.
        """
        if purchase == "reserved":
            saving = self.reserved.saving if price.reserved_saving is None else price.reserved_saving
            return price.usd_per_hour * (1 - saving)
        if purchase == "spot":
            spot = price.usd_per_hour_spot
            return None if spot is None else (1 - spot_fallback) * spot + spot_fallback * price.usd_per_hour
        return price.usd_per_hour


def age_warnings(
    table: PriceTable, used: tuple[Price, ...], today: datetime.date, max_age_days: int
) -> list[str]:
    """One line for the prices of the machines that are used, one for savings and services, where old."""

    def old(dates: Iterator[tuple[str, str]]) -> str:
        return ", ".join(
            f"{name} ({dated})" for name, dated in dates if (today - first_day(dated)).days > max_age_days
        )

    machines = old((price.instance, price.checked.isoformat()) for price in used)
    spot = {price.spot_checked for price in used if price.spot_checked}
    rest = [("spot savings", dated) for dated in sorted(spot)]
    reserved = {price.reserved_checked for price in used if price.reserved_checked}
    rest += [("reserved savings", dated.isoformat()) for dated in sorted(reserved)]
    if any(price.reserved_saving is None for price in used):
        rest.append(("the reserved saving", table.reserved.checked))
    rest += [(words, getattr(table.services, name).checked) for name, words in SERVICE_NAMES.items()]
    others = old(iter(rest))
    limit = f"older than {max_age_days} days"
    return [
        line
        for found, line in (
            (machines, f"Prices of machines {limit}, check them again: {machines}."),
            (others, f"Other prices {limit}: {others}."),
        )
        if found
    ]


def read_table(raw: Any, where: str, remedy: str) -> PriceTable:
    """A parsed price table, checked.

    Args:
        raw: what the YAML holds.
        where: file or address, for the message.
        remedy: what to do, for the message.

    Raises:
        TicketSentimentError: a row has an unknown, missing or malformed key; the message names row and key.
    """
    try:
        return PriceTable.model_validate(raw)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "prices"
        problem = "is not a known key" if first["type"] == "extra_forbidden" else first["msg"]
        raise TicketSentimentError(f"{where}: {place}: {problem}: {remedy}") from None


def load_prices(path: Path) -> PriceTable:
    """The price table.

    Raises:
        TicketSentimentError: the file is missing, is no YAML or is no price table.
    """
    try:
        raw = read_yaml(path, REMEDY)
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: {REMEDY}") from None
    return read_table(raw, str(path), REMEDY)


def write_prices(table: PriceTable, path: Path) -> None:
    """Write the table as a whole, below the comment at the head of the file that it takes the place of."""
    head = ""
    if path.exists():
        lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
        for line in lines:
            if line.strip() and not line.startswith("#"):
                break
            head += line
    rows = {"prices": [row.model_dump() for row in table.prices]}
    body = dump_yaml(table.model_dump() | rows, width=110)
    write_text(path, head + body)


def find_price(table: PriceTable, instance: str, key: str) -> Price:
    """The row of an instance type.

    Args:
        table: what `load_prices` gives.
        instance: its type, e.g. `c7i.large`.
        key: of params.yaml that asked for it, for the message.

    Raises:
        TicketSentimentError: there is no such row.
    """
    for price in table.prices:
        if price.instance == instance:
            return price
    raise TicketSentimentError(
        f"params.yaml: {key}: {instance} is not in the price table; add a row or take one of "
        + ", ".join(sorted(price.instance for price in table.prices))
    )

"""One case to be priced: what was measured, what it is asked to do, and at which prices."""

import datetime
from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationError

from ticket_sentiment.costs.fleet import HOURS_A_MONTH, Pool
from ticket_sentiment.costs.prices import Price, PriceTable, find_price, load_prices
from ticket_sentiment.costs.speed import Capacity, Work, capacity, work
from ticket_sentiment.costs.traffic import SHAPES, Traffic, read_traffic
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates.evidence import BENCHMARK, Missing, read_part
from ticket_sentiment.gates.evidence_types import Benchmark, Part, Positive, Variant
from ticket_sentiment.params import Costs, Params, Purchase

SERVED = "cpu_bundle"
VARIANTS = (SERVED, "dense_onnx_fp32", "dense_torch_fp32")


class Batch8(Part):
    texts_per_second: Positive


class PricedVariant(Variant):
    batch8: Batch8


class PricedVariants(Part):
    dense_torch_fp32: PricedVariant
    dense_onnx_fp32: PricedVariant
    cpu_bundle: PricedVariant


class MeasuredOn(Part):
    cpu: str
    cores: Annotated[int, Field(ge=1)]
    flags: tuple[str, ...]


class Measured(Benchmark):
    """reports/benchmark.json, with what only a cost is made from."""

    machine: MeasuredOn
    variants: PricedVariants
    tokens_mean: Positive
    chars_mean: Positive


def read_measured(path: Path = BENCHMARK) -> Measured:
    """The benchmark's report.

    Raises:
        TicketSentimentError: it is missing, or a number in it is.
    """
    found = read_part(path, Measured, "The benchmark")
    if isinstance(found, Missing):
        raise TicketSentimentError(f"{found.sentence.rstrip('.')}: run `dvc repro benchmark`")
    return found


@dataclass(frozen=True)
class Case:
    """Everything that a cost follows from; what is not in a field is computed here, once."""

    measured: Measured
    costs: Costs
    objective_ms: float
    table: PriceTable
    traffic: Traffic
    today: datetime.date
    texts_at_once: int  # of a nightly run, in one call of the model

    @cached_property
    def cpu(self) -> Price:
        """The CPU instance's prices."""
        return find_price(self.table, self.costs.cpu_instance, "costs.cpu_instance")

    @cached_property
    def gpu(self) -> Price:
        """The GPU instance's prices."""
        found = find_price(self.table, self.costs.gpu_instance, "costs.gpu_instance")
        if found.gpu is None:
            raise TicketSentimentError(f"params.yaml: costs.gpu_instance: {found.instance} has no GPU")
        return found

    @cached_property
    def request_ms(self) -> float:
        """Processor time of a request beside the model; from the whole service's speed where that "
        "is known."""
        known = self.costs.service_tickets_per_second
        if known is None:
            return self.costs.request_ms
        model = self.measured.variants.cpu_bundle.batch1.texts_per_second
        rest = 1_000 * self.cpu.vcpus / known - 1_000 / model
        if rest < 0:
            raise TicketSentimentError(
                f"costs.service_tickets_per_second: {known:g} on the {self.cpu.vcpus} vCPUs of "
                f"{self.cpu.instance} is more than the bare model does, "
                f"{self.cpu.vcpus * model:.0f}: measure "
                "both on the same machine"
            )
        return rest

    def work(self, variant: str = SERVED, speed: float | None = None) -> Work:
        """A request's work with a variant, at its median speed or another."""
        batch1 = getattr(self.measured.variants, variant).batch1
        tickets_per_second = batch1.texts_per_second if speed is None else speed
        return work(batch1, tickets_per_second, self.request_ms, self.costs.cache_hit_rate)

    @property
    def night_speed(self) -> float:
        """Tickets a second of the served bundle on one thread in a nightly run; eight texts at once stand for
        every number above one, as no other is measured."""
        served = self.measured.variants.cpu_bundle
        return (served.batch1 if self.texts_at_once == 1 else served.batch8).texts_per_second

    def capacity(self, variant: str = SERVED, speed: float | None = None) -> Capacity:
        """What one CPU instance does with a variant.

        Raises:
            TicketSentimentError: the served bundle cannot meet the objective at any load.
        """
        found = self._capacity(variant, speed)
        if variant == SERVED and not found.planned:
            raise TicketSentimentError(
                f"serve.objective_ms: {self.objective_ms:g} ms cannot be met for "
                f"{self.costs.objective_share:.0%} of the "
                "requests, however few there are: the model takes longer"
            )
        return found

    def meets_objective(self, speed: float | None = None) -> bool:
        """Whether the served bundle, at its median speed or another, meets the objective at some load."""
        return self._capacity(SERVED, speed).planned > 0

    def _capacity(self, variant: str, speed: float | None) -> Capacity:
        costs = self.costs
        return capacity(
            self.work(variant, speed),
            self.cpu.vcpus,
            self.objective_ms,
            costs.objective_share,
            costs.utilisation,
        )

    def hourly(self, price: Price, purchase: Purchase) -> float | None:
        """US dollars for an hour of an instance and its disk; None where no spot price is known."""
        machine = self.table.hourly(price, purchase, self.costs.spot_fallback)
        return None if machine is None else machine + self.disk_hour

    @property
    def disk_hour(self) -> float:
        """US dollars for an hour of an instance's disk."""
        return self.costs.disk_gb * self.table.services.disk_gb_month.usd / HOURS_A_MONTH

    def cpu_pool(
        self, purchase: Purchase | None = None, variant: str = SERVED, speed: float | None = None
    ) -> Pool:
        """The CPU instances."""
        return self._pool(self.cpu, purchase, self.capacity(variant, speed).planned)

    def gpu_pool(self, purchase: Purchase | None = None, tickets_per_second: float | None = None) -> Pool:
        """GPU instances that answer everything alone, at their speed or another."""
        return self._pool(self.gpu, purchase, tickets_per_second or self.gpu_planned)

    def _pool(self, price: Price, purchase: Purchase | None, tickets_per_second: float) -> Pool:
        usd = self.hourly(price, purchase or self.costs.purchase)
        if usd is None:
            raise TicketSentimentError(
                f"costs.purchase: no spot saving of {price.instance} is known: add spot_saving to "
                f"{self.costs.prices}"
            )
        always = (purchase or self.costs.purchase) == "reserved"
        return Pool(tickets_per_second, usd, self.costs.min_replicas, always)

    @cached_property
    def gpu_planned(self) -> float:
        """Requests a second that a GPU instance is given, hits of the cache among them.

        Where nobody measured it: `costs.gpu_per_dollar` of the CPU instance's for a dollar, both on demand.
        """
        known = self.costs.gpu_tickets_per_second
        if known is not None:
            return known / self.per_gpu_ticket
        return self.costs.gpu_per_dollar * self.gpu_for_same_price

    @property
    def per_gpu_ticket(self) -> float:
        """Tickets a second that a GPU does at the objective, for each request a second that it is given."""
        return (1 - self.costs.cache_hit_rate) / self.costs.utilisation

    @cached_property
    def gpu_for_same_price(self) -> float:
        """Requests a second that a GPU instance must be given to cost as much a ticket, both always busy."""
        pools = [self._pool(price, "on_demand", 1.0) for price in (self.gpu, self.cpu)]
        return self.capacity().planned * pools[0].usd_per_hour / pools[1].usd_per_hour

    def changed(self, **knobs: Any) -> "Case":
        """The same case with other knobs; `objective_ms` too."""
        objective = knobs.pop("objective_ms", self.objective_ms)
        costs = self.costs.model_copy(update=knobs)
        per_day = knobs.get("tickets_per_day", self.traffic.tickets_per_day)
        traffic = Traffic(self.traffic.name, per_day, self.traffic.shares)
        return replace(self, costs=costs, objective_ms=objective, traffic=traffic)


def build_case(
    params: Params,
    given: Mapping[str, Any],
    benchmark: Path = BENCHMARK,
    today: datetime.date | None = None,
) -> Case:
    """A case from params.yaml, the benchmark's report and what a person gave instead.

    Args:
        params: sections costs and serve, and batch.texts_at_once.
        given: keys of section costs that go before those of params.yaml.
        benchmark: the report.
        today: for the age of prices; None is the day of the measurement.

    Raises:
        TicketSentimentError: a value is out of its range, or a file is missing or malformed.
    """
    try:
        costs = Costs.model_validate(params.costs.model_dump() | dict(given))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"costs.{key}: {first['msg']}, but {first['input']} was given") from None
    if "profile" in given and "tickets_per_day" not in given and given["profile"] not in SHAPES:
        costs = costs.model_copy(update={"tickets_per_day": None})
    measured = read_measured(benchmark)
    return Case(
        measured,
        costs,
        params.serve.objective_ms,
        load_prices(Path(costs.prices)),
        read_traffic(costs.profile, costs.tickets_per_day),
        today or measured.measured_at.date(),
        params.batch.texts_at_once,
    )

"""reports/cost.json: what a case costs, what it would cost otherwise, and how sure that is."""

import math
from typing import Any

import numpy as np

from ticket_sentiment.costs.case import VARIANTS, Case
from ticket_sentiment.costs.fleet import (
    HOURS_A_MONTH,
    Mix,
    Pool,
    break_even,
    cheapest_mix,
    monthly,
    reserved_base,
)
from ticket_sentiment.costs.prices import Price, age_warnings
from ticket_sentiment.costs.sensitivity import sensitivity
from ticket_sentiment.params import Purchase

DAYS_A_MONTH = HOURS_A_MONTH / 24
CHARS_PER_TOKEN = 3.75  # the usual rule of thumb for English where no tokenizer is at hand
PURCHASES: tuple[Purchase, ...] = ("on_demand", "spot", "reserved")
CONNECTIONS_A_UNIT, GB_A_UNIT = (
    25,
    1.0,
)  # a second, an hour: a capacity unit of AWS's Application Load Balancer
ASSUMPTIONS = (
    "Speed was measured on the machine of the benchmark, not on the instance that is priced; a "
    "vCPU is taken for "
    "as fast as the measured core. Where two vCPUs are the threads of one core the instance does "
    "less, for every "
    "model alike.",
    "Requests come at random within an hour, and machines follow the hours without delay.",
    "Not counted: staff, a cluster's control plane, public addresses, traffic between zones, PostgreSQL, "
    "monitoring, the monthly retraining, taxes.",
)


def rule_of_thumb_tokens(chars: float) -> float:
    """Tokens of a text by the rule of thumb, 3.75 characters each."""
    return chars / CHARS_PER_TOKEN


def fixed_month(case: Case) -> dict[str, float]:
    """US dollars a month for what is paid beside machines, whatever kind they are."""
    costs, services = case.costs, case.table.services
    tickets = case.traffic.tickets_per_day * DAYS_A_MONTH
    gigabytes = tickets * costs.answer_kb / 1e6
    per_second = case.traffic.per_second()
    units = np.maximum(per_second / CONNECTIONS_A_UNIT, per_second * 3600 * costs.answer_kb / 1e6 / GB_A_UNIT)
    return {
        "load_balancer": HOURS_A_MONTH
        * (services.load_balancer_hour.usd + float(units.mean()) * services.load_balancer_unit_hour.usd),
        "storage": costs.storage_gb * services.storage_gb_month.usd,
        "transfer": max(gigabytes - costs.free_transfer_gb, 0.0) * services.transfer_gb.usd,
    }


def month(case: Case) -> dict[str, float]:
    """US dollars a month, by what they are paid for, on the CPU instances as they are bought."""
    pool, load = case.cpu_pool(), case.traffic.per_second()
    disks = monthly(pool.instances(load), case.disk_hour)
    parts = {"machines": pool.usd_per_month(load) - disks, "disks": disks, **fixed_month(case)}
    return parts | {"total": sum(parts.values())}


def _prices(case: Case, usd_per_ticket: float | None) -> dict[str, float | None]:
    """The price of a ticket as that of a thousand, and of a million tokens by both counts."""

    def of(tickets: float) -> float | None:
        return None if usd_per_ticket is None else usd_per_ticket * tickets

    return {
        "usd_per_thousand_tickets": of(1e3),
        "usd_per_million_tokens_tokenizer": of(1e6 / case.measured.tokens_mean),
        "usd_per_million_tokens_rule_of_thumb": of(1e6 / rule_of_thumb_tokens(case.measured.chars_mean)),
    }


def usd_per_ticket(pool: Pool) -> float:
    """US dollars for a ticket where every instance always gets what it may be given."""
    return pool.usd_per_hour / (pool.tickets_per_second * 3600)


def _option(
    case: Case, name: str, machines: float, cpu: Any, gpu: Any, kind: str, pool: Pool | None = None
) -> dict[str, Any]:
    """A way to serve: `cpu` and `gpu` are instances in each hour; `pool` where they are all of one price."""
    total = machines + sum(fixed_month(case).values())
    return {
        "name": name,
        "kind": kind,
        "usd_per_month": total,
        **_prices(case, total / (case.traffic.tickets_per_day * DAYS_A_MONTH)),
        "always_busy": _prices(case, usd_per_ticket(pool) if pool else None),
        "cpu_instances": [int(cpu.min()), int(cpu.max())],
        "gpu_instances": [int(gpu.min()), int(gpu.max())],
    }


def options(case: Case) -> list[dict[str, Any]]:
    """All ways to serve the case's traffic in real time, the way that params.yaml says first."""
    load, none = case.traffic.per_second(), np.zeros(1, dtype=np.int64)
    found = []
    for device, price, pool_of in (("cpu", case.cpu, case.cpu_pool), ("gpu", case.gpu, case.gpu_pool)):
        for purchase in PURCHASES:
            if case.hourly(price, purchase) is None:
                continue
            pool: Pool = pool_of(purchase)
            needed = pool.instances(load)
            pair = (needed, none) if device == "cpu" else (none, needed)
            name = f"{price.instance}, {purchase.replace('_', ' ')}"
            kind = f"{device}_{purchase}"
            found.append(_option(case, name, pool.usd_per_month(load), *pair, kind, pool))
    found += _mixtures(case)
    own = f"cpu_{case.costs.purchase}"
    return sorted(found, key=lambda one: (one["kind"] != own, one["usd_per_month"]))


def _mixtures(case: Case) -> list[dict[str, Any]]:
    """Reserved machines for what always runs and others for the rest; CPU with GPU for the peaks."""
    load, none = case.traffic.per_second(), np.zeros(1, dtype=np.int64)
    needed = case.cpu_pool("on_demand").instances(load)
    found = []
    for rest in ("on_demand", "spot"):
        other, reserved = case.hourly(case.cpu, rest), case.hourly(case.cpu, "reserved")
        if other is None or reserved is None:
            continue
        base, usd = reserved_base(needed, reserved, other)
        if 0 < base < needed.max():
            words = f"{case.cpu.instance}, {base} reserved + {rest.replace('_', ' ')}"
            found.append(_option(case, words, usd, needed, none, f"cpu_reserved_{rest}"))
    if (mix := _hybrid(case)).gpu.any():
        name = f"{case.cpu.instance} + {case.gpu.instance} at peaks"
        found.append(_option(case, name, mix.usd_per_month, mix.cpu, mix.gpu, "hybrid"))
    return found


def _hybrid(case: Case) -> Mix:
    load = case.traffic.per_second()
    cpu, gpu = case.cpu_pool("on_demand"), case.gpu_pool("on_demand")
    return cheapest_mix(cpu, gpu, load, case.request_ms / case.work().mean_ms)


def hybrid(case: Case) -> dict[str, Any]:
    """The cheapest mix of CPU instances and GPU instances by the hour, on demand; often it holds no GPU."""
    mix, load = _hybrid(case), case.traffic.per_second()
    return {
        "usd_per_month": mix.usd_per_month + sum(fixed_month(case).values()),
        "saves_usd_per_month": case.cpu_pool("on_demand").usd_per_month(load) - mix.usd_per_month,
        "gpu_hours_a_week": int((mix.gpu > 0).sum()),
        "cpu_instances": [int(mix.cpu.min()), int(mix.cpu.max())],
        "gpu_instances": [int(mix.gpu.min()), int(mix.gpu.max())],
    }


def variants(case: Case) -> dict[str, dict[str, Any]]:
    """The served bundle and the dense model in two engines: at full use, and at the case's traffic.

    Values are None where a variant cannot meet the objective.
    """
    load, found = case.traffic.per_second(), {}
    for name in VARIANTS:
        at = case.capacity(name)
        pool = case.cpu_pool(variant=name) if at.planned else None
        found[name] = {
            "tickets_per_second_peak": at.peak,
            "highest_load": at.load,
            "tickets_per_second": at.planned,
            **_prices(case, usd_per_ticket(pool) if pool else None),
            "instances_at_peak": int(pool.instances(load).max()) if pool else None,
            "usd_per_month": pool.usd_per_month(load) + sum(fixed_month(case).values()) if pool else None,
            "mb": getattr(case.measured.variants, name).bytes / 1e6,
        }
    return found


def batch(case: Case) -> dict[str, Any]:
    """A nightly run over the day's tickets; spot where priced.

    There are as many CPU instances as end in time after the busiest day; `hours_a_night` is of that one, and
    what they cost is of the mean day.
    """
    costs = case.costs
    tickets_per_second = case.night_speed * case.cpu.vcpus * costs.batch_utilisation
    hours = case.traffic.tickets_per_day / tickets_per_second / 3600
    usd = case.hourly(case.cpu, "spot") or case.hourly(case.cpu, "on_demand")
    assert usd is not None
    busiest = hours * case.traffic.busiest_day
    instances = max(1, math.ceil(busiest / costs.batch_hours))
    machines = DAYS_A_MONTH * (hours + instances * costs.batch_start_minutes / 60) * usd
    storage = fixed_month(case)["storage"]
    return {
        "tickets_per_second": tickets_per_second,
        "instances": instances,
        "hours_a_night": busiest / instances,
        "usd_per_month": machines + storage,
        "always_busy": _prices(case, usd_per_ticket(Pool(tickets_per_second, usd, 0))),
    }


def _speeds(case: Case) -> tuple[float, float, float] | None:
    """(low, median, high) tickets a second of the bundle over the benchmark's rounds, where it says so."""
    batch1 = case.measured.variants.cpu_bundle.batch1
    low, high = batch1.texts_per_second_low, batch1.texts_per_second_high
    return None if low is None or high is None else (low, batch1.texts_per_second, high)


def gpu_break_even(case: Case) -> dict[str, Any]:
    """From which traffic the GPU instance is cheaper, with what is known of how sure that is.

    `any_gpu` is the same for a GPU of endless speed: below it none is cheaper, whatever it does.
    `gpu_tickets_per_second_needed`: at the objective, to be as cheap a ticket where both are always busy.
    """
    return {
        **_from_traffic(case, case.gpu_planned),
        "any_gpu": _from_traffic(case, math.inf),
        "gpu_tickets_per_second_needed": case.gpu_for_same_price * case.per_gpu_ticket,
    }


def _from_traffic(case: Case, planned: float) -> dict[str, Any]:
    """Tickets a day from which a GPU instance that is given so many a second is cheaper; None is never.

    `tickets_per_day`: for good, at the median speed, both on demand. `by_speed`: at the slowest and at the
    fastest round; 0 where the CPU cannot meet the objective at that speed, however few tickets there are.
    `by_price`: with the GPU bought as cheaply and the CPU as dearly as the table has it, and the other way
    round.
    """

    def between(cpu: Pool, gpu: Pool) -> float | None:
        return break_even(cpu, gpu, case.traffic.shares).for_good

    def at(speed: float) -> float | None:
        return between(case.cpu_pool("on_demand", speed=speed), gpu) if case.meets_objective(speed) else 0.0

    def ends(price: Price) -> tuple[Purchase, Purchase]:
        usd = {one: hourly for one in PURCHASES if (hourly := case.hourly(price, one)) is not None}
        ordered = sorted(usd, key=lambda one: usd[one])
        return ordered[0], ordered[-1]

    gpu, (cpu_ends, gpu_ends) = case.gpu_pool("on_demand", planned), (ends(case.cpu), ends(case.gpu))
    found, speeds = break_even(case.cpu_pool("on_demand"), gpu, case.traffic.shares), _speeds(case)
    by_speed = speeds and [at(one) for one in speeds[::2]]
    return {
        "tickets_per_day": found.for_good,
        "first_tickets_per_day": found.first,
        "by_speed": by_speed,
        "by_price": [
            between(case.cpu_pool(cpu), case.gpu_pool(gpu, planned))
            for cpu, gpu in zip(cpu_ends[::-1], gpu_ends, strict=True)
        ],
    }


def _machine(case: Case, price: Price) -> dict[str, Any]:
    return {
        "instance": price.instance,
        "region": f"{price.cloud} {price.region}",
        "vcpus": price.vcpus,
        "usd_per_hour": {one: case.table.hourly(price, one, case.costs.spot_fallback) for one in PURCHASES},
        "price_date": price.checked.isoformat(),
        "price_source": price.source,
        "spot_date": price.spot_checked,
        "reserved_date": str(price.reserved_checked or case.table.reserved.checked),
        "reserved_source": price.source if price.reserved_checked else case.table.reserved.source,
    }


def cost_figures(case: Case) -> dict[str, Any]:
    """All of reports/cost.json but the words."""
    measured, costs, load = case.measured, case.costs, case.traffic.per_second()
    at = case.capacity()
    known = costs.gpu_tickets_per_second is not None
    return {
        "as_of": case.today.isoformat(),
        "bundle_digest": measured.bundle_digest,
        "measured": {
            "cpu": measured.machine.cpu,
            "cores": measured.machine.cores,
            "flags": list(measured.machine.flags),
            "at": measured.measured_at.isoformat(),
            "speeds": _speeds(case),
        },
        "objective": {"ms": case.objective_ms, "share": costs.objective_share},
        "traffic": {
            "tickets_per_day": case.traffic.tickets_per_day,
            "profile": case.traffic.name,
            "per_second_mean": float(load.mean()),
            "per_second_peak": float(load.max()),
            "cache_hit_rate": costs.cache_hit_rate,
        },
        "tokens_per_ticket": {
            "tokenizer": measured.tokens_mean,
            "rule_of_thumb": rule_of_thumb_tokens(measured.chars_mean),
        },
        "purchase": costs.purchase,
        "utilisation": costs.utilisation,
        "min_replicas": costs.min_replicas,
        "request_ms": case.request_ms,
        "cpu": _machine(case, case.cpu)
        | {
            "tickets_per_second_peak": at.peak,
            "tickets_per_second_at_objective": at.at_objective,
            "tickets_per_second": at.planned,
        },
        "gpu": _machine(case, case.gpu)
        | {
            "tickets_per_second_at_objective": case.gpu_planned * case.per_gpu_ticket,
            "tickets_per_second": case.gpu_planned,
            "assumed": not known,
        },
        "month": month(case),
        "options": options(case),
        "variants": variants(case),
        "break_even": gpu_break_even(case),
        "batch": batch(case),
        "hybrid": hybrid(case),
        "sensitivity": sensitivity(case),
        "prices": {"services": case.table.services.model_dump()},
        "assumptions": [*ASSUMPTIONS, *_about_gpu(case)],
        "warnings": age_warnings(case.table, (case.cpu, case.gpu), case.today, costs.max_price_age_days),
    }


def _about_gpu(case: Case) -> list[str]:
    if case.costs.gpu_tickets_per_second is not None:
        return [
            f"The GPU instance's {case.costs.gpu_tickets_per_second:,.0f} tickets a second were "
            "given by hand."
        ]
    return [
        f"No GPU was measured. {case.gpu.instance} is taken to answer "
        f"{case.costs.gpu_per_dollar:g} times as many "
        "tickets a dollar as the CPU: Roblox reported five times the throughput at equal cost on CPUs, for a "
        "DistilBERT (blog.roblox.com, May 2020). Give yours with --gpu-throughput."
    ]

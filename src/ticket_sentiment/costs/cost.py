"""What a million tokens and a thousand tickets cost, from a measured speed and a dated price.

    USD per million tokens  = USD per hour / (tokens per second * 3600 * utilisation) * 1,000,000
    USD per thousand tickets = USD per hour / (tickets per second * 3600 * utilisation) * 1,000

Tokens per second are those of the whole instance: one session's, measured on one thread, times the vCPUs.
"""

import datetime
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticket_sentiment.costs.prices import Price, find_price, load_prices
from ticket_sentiment.params import Costs

SECONDS_PER_HOUR = 3600
CHARS_PER_TOKEN = 3.75  # the usual rule of thumb for English where no tokenizer is at hand
ASSUMPTIONS = (
    "one single-thread session on each vCPU, each as fast as the one that was measured; where two vCPUs are "
    "the threads of one core the instance does less, for every model alike",
    "measured on the machine of this report, not on the instance that is priced",
    "on-demand machine hours only: no storage, traffic, load balancer, idle spare or staff",
)


@dataclass(frozen=True)
class Speed:
    """What one single-thread session of a model does, measured."""

    tickets_per_second: float
    tokens_per_second: float  # by the tokenizer
    chars_per_second: float


def usd_per_million_tokens(usd_per_hour: float, tokens_per_second: float, utilisation: float) -> float:
    """US dollars for a million tokens.

    Args:
        usd_per_hour: of the instance.
        tokens_per_second: of the instance, when it works.
        utilisation: share of the hour in which it works, (0, 1].
    """
    return usd_per_hour / (tokens_per_second * SECONDS_PER_HOUR * utilisation) * 1_000_000


def usd_per_thousand_tickets(usd_per_hour: float, tickets_per_second: float, utilisation: float) -> float:
    """US dollars for a thousand tickets; the arguments as in `usd_per_million_tokens`."""
    return usd_per_hour / (tickets_per_second * SECONDS_PER_HOUR * utilisation) * 1_000


def rule_of_thumb_tokens(chars: float) -> float:
    """Tokens of a text by the rule of thumb, 3.75 characters each."""
    return chars / CHARS_PER_TOKEN


def break_even_tickets_per_second(cpu: Price, cpu_tickets_per_second: float, gpu: Price) -> float:
    """The speed from which the GPU instance is the cheaper one for each ticket.

    Both at the same utilisation and both kept busy: usd_gpu / speed_gpu = usd_cpu / speed_cpu.

    Args:
        cpu: price of the CPU instance.
        cpu_tickets_per_second: of the whole CPU instance.
        gpu: price of the GPU instance.
    """
    return cpu_tickets_per_second * gpu.usd_per_hour / cpu.usd_per_hour


def cost_report(speeds: dict[str, Speed], serving: str, costs: Costs, today: datetime.date) -> dict[str, Any]:
    """The `cost` block of reports/benchmark.json.

    Args:
        speeds: variant to the speed of one of its sessions.
        serving: the variant that is served, for the break-even with a GPU.
        costs: instance types, utilisation and the price table's path.
        today: to judge the age of the prices.

    Raises:
        TicketSentimentError: the price table is malformed or has no such instance.
    """
    prices = load_prices(Path(costs.prices))
    cpu = find_price(prices, costs.cpu_instance, "costs.cpu_instance")
    gpu = find_price(prices, costs.gpu_instance, "costs.gpu_instance")
    warnings = [price.age_warning(today, costs.max_price_age_days) for price in (cpu, gpu)]

    def million(tokens_per_second: float) -> float:
        return usd_per_million_tokens(cpu.usd_per_hour, tokens_per_second * cpu.vcpus, costs.utilisation)

    def thousand(tickets_per_second: float) -> float:
        return usd_per_thousand_tickets(cpu.usd_per_hour, tickets_per_second * cpu.vcpus, costs.utilisation)

    served = speeds[serving].tickets_per_second * cpu.vcpus
    return {
        "instance": cpu.instance,
        "region": f"{cpu.cloud} {cpu.region}",
        "vcpus": cpu.vcpus,
        "usd_per_hour": cpu.usd_per_hour,
        "usd_per_hour_spot": cpu.usd_per_hour_spot,
        "price_date": cpu.checked.isoformat(),
        "price_source": cpu.source,
        "utilisation": costs.utilisation,
        "per_million_tokens_tokenizer": {name: million(s.tokens_per_second) for name, s in speeds.items()},
        "per_million_tokens_rule_of_thumb": {
            name: million(rule_of_thumb_tokens(s.chars_per_second)) for name, s in speeds.items()
        },
        "per_thousand_tickets": {name: thousand(s.tickets_per_second) for name, s in speeds.items()},
        "gpu": {
            "instance": gpu.instance,
            "usd_per_hour": gpu.usd_per_hour,
            "price_date": gpu.checked.isoformat(),
            "break_even_tickets_per_second": break_even_tickets_per_second(cpu, served, gpu),
        },
        "assumptions": list(ASSUMPTIONS),
        "warnings": [line for line in warnings if line],
    }

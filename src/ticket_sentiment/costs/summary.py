"""The answer in the terminal: one screen."""

import textwrap
from typing import Any

from ticket_sentiment.costs.words import BOUGHT, NAMES, Figures, machines, short, usd
from ticket_sentiment.gates.words import share

WIDTH, INDENT = 110, 10  # characters of a line, and of its first column
THOUSAND = "usd_per_thousand_tickets"
MILLION, ROUGH = "usd_per_million_tokens_tokenizer", "usd_per_million_tokens_rule_of_thumb"
PARTS = {
    "machines": "machines",
    "disks": "disks",
    "load_balancer": "load balancer",
    "storage": "storage",
    "transfer": "transfer",
}


def _wrapped(name: str, text: str) -> str:
    return textwrap.fill(text, WIDTH, initial_indent=f"{name:<{INDENT}}", subsequent_indent=" " * INDENT)


def columns(head: tuple[str, ...], rows: list[tuple[str, ...]]) -> list[str]:
    """Lines of a table: the first column to the left, all others to the right."""
    widths = [max(len(row[place]) for row in (head, *rows)) for place in range(len(head))]
    return [
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width)
            for place, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (head, *rows)
    ]


def _speed(found: Figures) -> str:
    cpu, objective = found["cpu"], found["objective"]
    return (
        f"one {cpu['instance']} does {cpu['tickets_per_second_peak']:,.0f} tickets/s at most, "
        f"{cpu['tickets_per_second_at_objective']:,.0f} with {share(objective['share'])} of the "
        "answers within "
        f"{objective['ms']:g} ms; {cpu['tickets_per_second']:,.0f} are planned (at most "
        f"{share(found['utilisation'])} "
        "of its time)"
    )


def _prices(found: Figures) -> str:
    cpu, gpu = found["cpu"], found["gpu"]
    each = [
        f"{one['instance']} {usd(one['usd_per_hour']['on_demand'])} an hour ({one['region']}, "
        f"{one['price_date']})"
        for one in (cpu, gpu)
    ]
    return ", ".join(each)


def _ways(found: Figures) -> list[str]:
    head = (
        "Ways to serve",
        "a month",
        "1,000 tickets",
        "M tokens",
        "busy: 1,000",
        "busy: M tokens",
        "machines",
    )
    assumed = found["gpu"]["assumed"]
    rows = [
        (
            one["name"] + (" *" if assumed and one["gpu_instances"][1] else ""),
            usd(one["usd_per_month"]),
            *(usd(place[key]) for place in (one, one["always_busy"]) for key in (THOUSAND, MILLION)),
            machines(one),
        )
        for one in found["options"]
    ]
    return columns(head, rows) + (["* the GPU's speed is assumed, not measured"] if assumed else [])


def _models(found: Figures) -> list[str]:
    head = (
        f"Always busy, {BOUGHT[found['purchase']]}",
        "tickets/s",
        "1,000 tickets",
        "M tokens",
        "by 3.75 characters",
    )
    rows = [
        (
            NAMES[name],
            f"{one['tickets_per_second']:,.0f}",
            *(usd(one[key]) for key in (THOUSAND, MILLION, ROUGH)),
        )
        for name, one in found["variants"].items()
    ]
    return columns(head, rows)


def cost_summary(found: dict[str, Any]) -> str:
    """About thirty short lines; the first says what a month costs."""
    month, traffic = found["month"], found["traffic"]
    parts = ", ".join(f"{usd(month[name])} {words}" for name, words in PARTS.items() if month[name] >= 0.005)
    measured = found["measured"]
    lines = [
        _wrapped("Cost", f"{found['answer']['title']}."),
        *(_wrapped("", line) for line in found["answer"]["lines"]),
        _wrapped("Of that", parts),
        _wrapped(
            "Traffic",
            f"{traffic['profile']}: {short(traffic['per_second_mean'])} tickets/s on average, "
            f"{short(traffic['per_second_peak'])} in the busiest hour; "
            f"{share(traffic['cache_hit_rate'])} from the cache",
        ),
        _wrapped("Speed", _speed(found)),
        _wrapped(
            "Measured",
            f"{measured['cpu']}, {measured['cores']} cores, {measured['at'][:10]}: not the instance",
        ),
        _wrapped("Prices", _prices(found)),
        "",
        *_ways(found),
        "",
        *_models(found),
        *(["", *(_wrapped("Warning", line) for line in found["warnings"])] if found["warnings"] else []),
    ]
    return "\n".join(lines)

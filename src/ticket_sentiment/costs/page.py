"""reports/cost.html: one page for whoever pays, which opens without a network."""

import math
from pathlib import Path
from typing import Any

from ticket_sentiment.costs.case import Case
from ticket_sentiment.costs.figures import DAYS_A_MONTH, fixed_month
from ticket_sentiment.costs.plots import Line, break_even_plot, moved, tornado, ways_plot
from ticket_sentiment.costs.prices import SERVICE_NAMES
from ticket_sentiment.costs.words import BOUGHT, NAMES, Figures, gpu_answer, machines, short, usd, ways
from ticket_sentiment.files import write_text
from ticket_sentiment.gates.words import share
from ticket_sentiment.pages.render import render

TEMPLATE = Path(__file__).parent / "templates/cost.html"
PARTS = {
    "machines": "Machines",
    "disks": "Their disks",
    "load_balancer": "Load balancer",
    "storage": "Storage of tickets, models and images",
    "transfer": "Answers that leave the cloud",
}


def write_page(found: dict[str, Any], case: Case, path: Path) -> None:
    """Write the page as a whole.

    Args:
        found: what `command.report` gives.
        case: it was made from.
        path: of the HTML file.
    """
    filters = {"usd": usd, "share": share, "short": short, "machines": machines}
    write_text(path, render(TEMPLATE, context(found, case), filters))


def context(found: Figures, case: Case) -> dict[str, Any]:
    """All that the template shows."""
    rows, busy = found["sensitivity"], found["variants"]["cpu_bundle"]["usd_per_thousand_tickets"]
    missed = any(None in row["usd_per_month"] for row in rows)
    month = case.cpu_pool().usd_per_month(case.traffic.per_second())
    return {
        "found": found,
        "bought": BOUGHT,
        "names": NAMES,
        "services": SERVICE_NAMES,
        "parts": [(words, found["month"][name]) for name, words in PARTS.items() if found["month"][name]],
        "month_tickets": case.traffic.tickets_per_day * DAYS_A_MONTH,
        "beside": sum(fixed_month(case).values()),
        "ways": {"title": ways(found), "plot": ways_plot(found)},
        "night": _night(found),
        "even": _even(found, case),
        "missed": missed,
        "tornadoes": [
            {
                "title": mover(rows, "usd_per_month", "A month of machines"),
                "plot": tornado(rows, "usd_per_month", month, "US dollars a month by assumption"),
            },
            {
                "title": mover(rows, "usd_per_thousand_tickets", "A ticket on a machine that is always busy"),
                "plot": tornado(
                    rows, "usd_per_thousand_tickets", busy, "US dollars for 1,000 tickets by assumption"
                ),
            },
        ],
    }


def _night(found: Figures) -> str:
    batch, cpu = found["batch"], found["cpu"]
    minutes = 60 * batch["hours_a_night"]
    took = f"at most {short(minutes)} minutes" if minutes >= 1 else "less than a minute"
    bought = "" if cpu["usd_per_hour"]["spot"] is None else ", as spot"
    machine = f"{batch['instances']} {cpu['instance']}{bought}"
    return f"One run a night takes {took} on {machine}; answers come the day after."


def mover(rows: list[Figures], key: str, what: str) -> str:
    """What moves a cost most, as the title of its plot."""
    first, *others = sorted(rows, key=lambda row: -moved(row, key))
    still = sum(not moved(row, key) for row in rows)
    if not moved(first, key):
        return f"{what} costs the same whatever is assumed"
    words = f"{what} hangs most on: {first['what'].lower()}"
    return f"{words}; {still} of {len(others) + 1} assumptions move nothing" if still else words


def _even(found: Figures, case: Case) -> dict[str, Any]:
    """The break-even plot, with what its lines are."""
    gpu, even = case.gpu_pool("on_demand"), found["break_even"]
    kind = "assumed speed" if found["gpu"]["assumed"] else "the speed given"
    shown = even["tickets_per_day"]
    lines = [
        Line(case.cpu_pool("on_demand"), "main"),
        Line(gpu, "other"),
        Line(case.gpu_pool("on_demand", math.inf), "plain"),
    ]
    names = (
        f"{case.cpu.instance}",
        f"{case.gpu.instance}, {kind} ({short(case.gpu_planned)} tickets/s are planned for one)",
        f"{case.gpu.instance} if it were endlessly fast",
    )
    return {
        "title": gpu_answer(found).rstrip("."),
        "plot": break_even_plot(lines, case.traffic, shown, gpu_answer(found)),
        "legend": [(line.tone, name) for line, name in zip(lines, names, strict=True)],
        "marked": shown is not None,
    }

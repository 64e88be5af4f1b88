"""Which assumption a cost hangs on: each is moved alone, between a low and a high value, the others stay."""

import math
from typing import Any

from ticket_sentiment.costs.case import Case

# (what, knob of section costs or None for the objective, low, high). A factor where `relative`.
RANGES: tuple[tuple[str, str, float, float, bool], ...] = (
    ("Tickets a day", "tickets_per_day", 0.5, 2.0, True),
    ("Instances that always run", "min_replicas", 1, 4, False),
    ("Time that is planned with", "utilisation", 0.4, 0.8, False),
    ("Tickets that the cache answers", "cache_hit_rate", 0.0, 0.5, False),
    ("Work of a request beside the model (ms)", "request_ms", 0.5, 2.0, True),
    ("Objective (ms)", "objective_ms", 0.5, 2.0, True),
)
SPEED = 0.2  # where the benchmark does not say how far its rounds are apart
# (machines in US dollars a month, US dollars for a thousand tickets at full use); None: none does it.
Both = tuple[float, float] | tuple[None, None]


def _both(case: Case, speed: float | None = None) -> Both:
    if not case.meets_objective(speed):
        return None, None
    pool = case.cpu_pool(speed=speed)
    return pool.usd_per_month(case.traffic.per_second()), pool.usd_per_hour / pool.tickets_per_second / 3.6


def _row(what: str, words: tuple[str, str], low: Both, high: Both) -> dict[str, Any]:
    return {
        "what": what,
        "low": words[0],
        "high": words[1],
        "usd_per_month": [low[0], high[0]],
        "usd_per_thousand_tickets": [low[1], high[1]],
    }


def _knob(case: Case, knob: str) -> float:
    if knob == "objective_ms":
        return case.objective_ms
    if knob == "tickets_per_day":
        return case.traffic.tickets_per_day
    return case.request_ms if knob == "request_ms" else getattr(case.costs, knob)


def sensitivity(case: Case) -> list[dict[str, Any]]:
    """Cost at the low and at the high value of each assumption, the one that moves a month most first.

    A month is that of the machines alone; a thousand tickets is at full use. None is the cost at a value with
    which the objective cannot be met.
    """
    rows = []
    for what, knob, low, high, relative in RANGES:
        now = _knob(case, knob)
        # What is priced must lie between, or both ends would be of one side.
        values = (low * now, high * now) if relative else (min(low, now), max(high, now))
        changes: list[dict[str, Any]] = [
            {knob: int(value) if knob == "min_replicas" else value} for value in values
        ]
        if knob == "request_ms":  # a measured service would say it instead
            changes = [one | {"service_tickets_per_second": None} for one in changes]
        words = (f"{values[0]:,.4g}", f"{values[1]:,.4g}")
        rows.append(_row(what, words, *(_both(case.changed(**one)) for one in changes)))
    batch1 = case.measured.variants.cpu_bundle.batch1
    speeds = (
        batch1.texts_per_second_low or (1 - SPEED) * batch1.texts_per_second,
        batch1.texts_per_second_high or (1 + SPEED) * batch1.texts_per_second,
    )
    words = (f"{speeds[0]:,.0f}", f"{speeds[1]:,.0f}")
    guess = "" if batch1.texts_per_second_low else ", 20 % less and more"
    what = f"Speed of the model (tickets/s a thread){guess}"
    rows.append(_row(what, words, *(_both(case, one) for one in speeds)))
    bought = [one for one in ("spot", "reserved", "on_demand") if case.hourly(case.cpu, one) is not None]
    by_usd = sorted(bought, key=lambda one: case.hourly(case.cpu, one) or 0.0)
    ends = (by_usd[0], by_usd[-1])
    rows.append(
        _row(
            "How machines are bought",
            (ends[0].replace("_", " "), ends[1].replace("_", " ")),
            *(_both(case.changed(purchase=one)) for one in ends),
        )
    )
    return sorted(
        rows, key=lambda row: (-_span(row["usd_per_month"]), -_span(row["usd_per_thousand_tickets"]))
    )


def _span(ends: list[float | None]) -> float:
    low, high = ends
    return math.inf if low is None or high is None else abs(high - low)

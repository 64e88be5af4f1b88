"""Plots of a cost as inline SVG, whose titles state the finding: where a GPU gets cheaper, what "
"moves a cost."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ticket_sentiment.costs.fleet import Pool
from ticket_sentiment.costs.traffic import Traffic
from ticket_sentiment.costs.words import Figures, short, usd
from ticket_sentiment.pages.figures import Axis, Row, rows_plot, svg_line, svg_text

WIDTH, HEIGHT = 420, 300
LEFT, RIGHT, TOP, BOTTOM = 58, 12, 12, 44  # free beside the field
POINTS = 120  # of a line
LEAST, MOST = 1e3, 1e10  # tickets a day, unless the traffic lies outside


@dataclass(frozen=True)
class Line:
    """What one kind of machine costs at any traffic; `tone`: main | other | plain."""

    pool: Pool
    tone: str


@dataclass(frozen=True)
class _Field:
    """Where a traffic and a cost lie in the view box; both axes are logarithmic."""

    fewest: float
    most: float
    least_usd: float
    most_usd: float

    def x(self, per_day: float) -> float:
        part = math.log(per_day / self.fewest) / math.log(self.most / self.fewest)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * part, 1)

    def y(self, value: float) -> float:
        part = math.log(value / self.least_usd) / math.log(self.most_usd / self.least_usd)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part, 1)


def _tens(low: float, high: float, step: int) -> list[float]:
    """Powers of ten from low to high, every so manieth."""
    first, last = math.ceil(math.log10(low) - 1e-9), math.floor(math.log10(high) + 1e-9)
    return [10.0**power for power in range(first, last + 1, step)]


def break_even_plot(lines: Sequence[Line], traffic: Traffic, even: float | None, description: str) -> Markup:
    """US dollars a month over tickets a day, with the case's traffic and the break-even.

    Args:
        lines: what is compared.
        traffic: of the case; its hours share any traffic as they share this.
        even: tickets a day from which another kind is cheaper, marked on the first line; None is never.
        description: for readers who do not see the plot.
    """
    fewest, most = min(LEAST, traffic.tickets_per_day / 2), max(MOST, traffic.tickets_per_day * 2)
    places = [fewest * (most / fewest) ** (place / (POINTS - 1)) for place in range(POINTS)]
    hours = traffic.shares * 7 / 3600
    costs = [[line.pool.usd_per_month(one * hours) for one in places] for line in lines]
    flat = [one for row in costs for one in row]
    field = _Field(
        fewest, most, 10 ** math.floor(math.log10(min(flat))), 10 ** math.ceil(math.log10(max(flat)))
    )
    parts = _axes(field)
    for line, row in zip(lines, costs, strict=True):
        points = " ".join(f"{field.x(a)},{field.y(b)}" for a, b in zip(places, row, strict=True))
        parts.append(f'<polyline points="{points}" class="step {line.tone}"/>')
    here = field.x(traffic.tickets_per_day)
    parts.append(svg_line(here, TOP, here, HEIGHT - BOTTOM, "line"))
    anchor, shift = ("start", 5) if here < WIDTH / 2 else ("end", -5)
    parts.append(svg_text(here + shift, TOP + 11, anchor, "tick", "your traffic"))
    if even:
        x, y = field.x(even), field.y(lines[0].pool.usd_per_month(even * hours))
        parts.append(f'<circle cx="{x}" cy="{y}" r="6" class="ring"/>')
    return Markup(
        f'<svg class="frontier" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def _axes(field: _Field) -> list[str]:
    bottom, parts = HEIGHT - BOTTOM, []
    for value in _tens(field.least_usd, field.most_usd, 1):
        y = field.y(value)
        parts += [
            svg_line(LEFT, y, WIDTH - RIGHT, y, "grid"),
            svg_text(LEFT - 6, y + 4, "end", "tick", f"${short(value)}".replace(" million", "M")),
        ]
    for value in _tens(field.fewest, field.most, 1):
        words = short(value).replace(" million", "M").replace(" billion", "B").replace(",000", "k")
        parts.append(svg_text(field.x(value), bottom + 16, "middle", "tick", words))
    middle = (LEFT + WIDTH - RIGHT) / 2
    return [
        *parts,
        svg_text(middle, HEIGHT - 6, "middle", "label", "tickets a day, machines a month in US dollars"),
    ]


def ways_plot(found: Figures) -> Markup:
    """A bar for each way to serve."""
    rows = [
        Row(one["name"], one["usd_per_month"], usd(one["usd_per_month"]), tone="plain" if place else "main")
        for place, one in enumerate(found["options"])
    ]
    night = found["batch"]["usd_per_month"]
    rows.append(Row("One run a night, not at once", night, usd(night)))
    axis = Axis(0, max(row.value for row in rows))
    return rows_plot(rows, axis, "US dollars a month for each way to serve the same tickets")


def tornado(rows: Sequence[Figures], key: str, now: float, description: str) -> Markup:
    """For each assumption the range of a cost, around what it is now.

    Args:
        rows: of the sensitivity.
        key: which cost.
        now: the cost that the case has.
        description: for readers who do not see the plot.
    """
    ordered = sorted(rows, key=lambda row: -moved(row, key))
    drawn = [
        Row(
            f"{row['what']}: {row['low']} to {row['high']}",
            now,
            usd(row[key][0]) if moved(row, key) == 0 else f"{usd(row[key][0])} to {usd(row[key][1])}",
            min(_known(row, key, now)),
            max(_known(row, key, now)),
            "main" if moved(row, key) else "plain",
        )
        for row in ordered
    ]
    low, high = min(one.low or 0.0 for one in drawn), max(one.high or 0.0 for one in drawn)
    room = max(high - low, now * 0.1)
    axis = Axis(max(low - 0.05 * room, 0.0), high + 0.05 * room, [(now, f"now {usd(now)}")], now)
    return rows_plot(drawn, axis, description)


def _known(row: Figures, key: str, now: float) -> list[float]:
    """Ends of a range; where the objective cannot be met at one it is drawn from `now` on."""
    return [now if end is None else end for end in row[key]]


def moved(row: Figures, key: str) -> float:
    """By how much an assumption moves a cost, as a share of the smaller of its two ends; 0 below "
    "a thousandth, infinite where the objective cannot be met at one of them."""
    if None in row[key]:
        return math.inf
    low, high = sorted(row[key])
    part = (high - low) / low
    return part if part > 0.001 else 0.0

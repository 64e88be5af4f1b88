"""Plots as inline SVG, for a page that needs no network, no script and no image file.

The words of a plot are HTML above their track, and the tracks are laid out in percent without a view box:
on a phone the plot gets narrower, its text keeps its size and wraps, and a screen reader reads it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

HEIGHT = 18  # pixels of a track
INSET = 2.0  # percent left free at both ends, so that a dot at the end is not cut


@dataclass(frozen=True)
class Row:
    """One line of a plot.

    `low` and `high` are the interval; None draws a bar from the axis' start to `value` instead.
    """

    label: str
    value: float
    text: str
    low: float | None = None
    high: float | None = None
    tone: str = "plain"  # plain | main | bad: classes of the style sheet


@dataclass(frozen=True)
class Axis:
    """What the width stands for."""

    low: float
    high: float
    ticks: Sequence[tuple[float, str]] = ()
    line: float | None = None  # a dashed line to compare with

    def percent(self, value: float) -> float:
        """Place of a value, cut off at the ends."""
        clipped = min(max(value, self.low), self.high)
        return round(INSET + (100 - 2 * INSET) * (clipped - self.low) / (self.high - self.low), 2)


def tenths(low: float, high: float) -> Axis:
    """An axis between whole tenths that hold all of low to high, with a tick at each."""
    first, last = math.floor(10 * low), max(math.ceil(10 * high), math.floor(10 * low) + 1)
    return Axis(first / 10, last / 10, [(tick / 10, f"{tick / 10:.1f}") for tick in range(first, last + 1)])


def svg_line(x1: object, y1: object, x2: object, y2: object, kind: str, more: str = "") -> str:
    """A line; `kind` names classes of the style sheet."""
    return f'<line x1="{x1}" y1="{y1}" x2="{x2}" y2="{y2}" class="{kind}"{more}/>'


def svg_text(x: object, y: object, anchor: str, kind: str, words: str, more: str = "") -> str:
    """Escaped words; `kind` names classes of the style sheet."""
    return f'<text x="{x}" y="{y}" text-anchor="{anchor}" class="{kind}"{more}>{escape(words)}</text>'


def _strip(height: int, parts: Sequence[str]) -> str:
    return f'<svg width="100%" height="{height}" aria-hidden="true">{"".join(parts)}</svg>'


def _track(row: Row, axis: Axis) -> str:
    middle = HEIGHT // 2

    def at(value: float) -> str:
        return f"{axis.percent(value)}%"

    parts = [svg_line(f"{INSET}%", middle, f"{100 - INSET}%", middle, "track")]
    if axis.line is not None:
        parts.append(svg_line(at(axis.line), 0, at(axis.line), HEIGHT, "line"))
    start = at(axis.low if row.low is None else row.low)
    end = at(row.value if row.high is None else row.high)
    width = 10 if row.low is None else 5
    parts.append(svg_line(start, middle, end, middle, f"range {row.tone}", f' stroke-width="{width}"'))
    if row.low is not None:
        parts.append(f'<circle cx="{at(row.value)}" cy="{middle}" r="6" class="dot {row.tone}"/>')
    return _strip(HEIGHT, parts)


def _ticks(axis: Axis) -> str:
    parts = []
    for value, words in axis.ticks:
        place = axis.percent(value)
        anchor = "start" if place < 10 else "end" if place > 90 else "middle"
        parts.append(svg_text(f"{place}%", 14, anchor, "tick", words))
    return _strip(20, parts) if parts else ""


def rows_plot(rows: Sequence[Row], axis: Axis, description: str) -> Markup:
    """Dots with intervals, or bars, one row each.

    Args:
        rows: from the top.
        axis: the common scale.
        description: what the plot shows, for a reader who does not see it; the rows' words follow.
    """
    lines = "".join(
        f'<div class="row"><div class="words"><span>{escape(row.label)}</span> '
        f"<b>{escape(row.text)}</b></div>{_track(row, axis)}</div>"
        for row in rows
    )
    return Markup(
        f'<div class="plot" role="group" aria-label="{escape(description)}">{lines}{_ticks(axis)}</div>'
    )


class _Square:
    """A plot with a share of 0 to 1 along the bottom and one of 0 to `top` up the side.

    Args:
        top: of the side, above 0.
        names: what is along the bottom, and what up the side.
    """

    LEFT, UP, SIDE = 62, 8, 250

    def __init__(self, top: float, names: tuple[str, str]) -> None:
        self.top = top
        self.parts: list[str] = []
        for quarter in (0, 0.25, 0.5, 0.75, 1):
            height = self.y(quarter * top)
            self.parts += [
                svg_line(self.x(0), height, self.x(1), height, "grid"),
                svg_text(self.LEFT - 6, height + 4, "end", "tick", f"{100 * quarter * top:.3g}%"),
                svg_text(self.x(quarter), self.UP + self.SIDE + 18, "middle", "tick", f"{quarter:.0%}"),
            ]
        middle = self.y(top / 2)
        upright = f' transform="rotate(-90 14 {middle})"'
        self.names = [
            svg_text(self.x(0.5), self.UP + self.SIDE + 38, "middle", "label", names[0]),
            svg_text(14, middle, "middle", "label", names[1], upright),
        ]

    def x(self, value: float) -> float:
        return round(self.LEFT + self.SIDE * value, 1)

    def y(self, value: float) -> float:
        return round(self.UP + self.SIDE * (1 - value / self.top), 1)

    def dot(self, x: float, y: float, radius: float, kind: str) -> None:
        self.parts.append(f'<circle cx="{self.x(x)}" cy="{self.y(y)}" r="{radius}" class="{kind}"/>')

    def drawn(self, description: str) -> Markup:
        width, height = self.LEFT + self.SIDE + 18, self.UP + self.SIDE + 46
        return Markup(
            f'<svg class="square" viewBox="0 0 {width} {height}" role="img" '
            f'aria-label="{escape(description)}">{"".join(self.parts + self.names)}</svg>'
        )


def reliability_plot(points: Sequence[tuple[float, float, int]], description: str) -> Markup:
    """Share of right answers over stated confidence; on the diagonal the two agree.

    Args:
        points: (confidence, accuracy, rows) of each bin; the dot's area follows the rows.
        description: for readers who do not see the plot.
    """
    most = max((rows for _, _, rows in points), default=1)
    plot = _Square(1, ("stated confidence", "answers that are right"))
    plot.parts.append(svg_line(plot.x(0), plot.y(0), plot.x(1), plot.y(1), "line"))
    for confidence, accuracy, rows in points:
        plot.dot(confidence, accuracy, round(3 + 8 * (rows / most) ** 0.5, 1), "dot main see-through")
    return plot.drawn(description)


def coverage_plot(
    points: Sequence[tuple[float, float]], chosen: tuple[float, float], description: str
) -> Markup:
    """Share of wrong answers over the share of tickets that are answered, the surest first.

    Args:
        points: (coverage, risk), by rising coverage; at least one.
        chosen: where the service's threshold lies.
        description: for readers who do not see the plot.
    """
    highest = max(0.04, chosen[1], *(risk for _, risk in points))
    top = math.ceil(25 * highest) / 25  # its quarters are whole percents
    plot = _Square(top, ("tickets that are answered, the surest first", "answers that are wrong"))
    path = " ".join(f"{plot.x(coverage)},{plot.y(risk)}" for coverage, risk in points)
    plot.parts.append(f'<polyline points="{path}" class="step main"/>')
    plot.dot(*chosen, 6, "dot main")
    return plot.drawn(description)

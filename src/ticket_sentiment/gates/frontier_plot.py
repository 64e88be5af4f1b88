"""The frontier as inline SVG: times faster to the right, points lost upwards, a numbered dot for each shape.

Everything is laid out in a view box as wide as a phone and grows with the page; on a wide page the style
sheet makes the letters smaller in proportion, so what does not overlap on the phone overlaps nowhere.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from ticket_sentiment.pages.figures import svg_line, svg_text

WIDTH, HEIGHT = 340, 380
LEFT, RIGHT, TOP, BOTTOM = 42, 8, 10, 44  # free beside the field of the dots
SMALLEST, AREA = 2.5, 1.5  # radius of the smallest dot; radius of a dot of 1 MB
LETTER, LINE = 7.5, 13  # width and height of a letter, by the largest letters
NEAR = 5  # a label this close to another dot would be taken for that one's
X_LABEL, Y_LABEL = "times as fast as the dense model", "points lost (lower is better)"
TIMES = (0.5, 1, 2, 5, 10, 20, 50, 100, 200)
STEPS = (0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2)


@dataclass(frozen=True)
class Dot:
    """One shape. Losses are of macro-F1; low and high are None where one seed gives no interval."""

    label: str
    speedup: float
    loss: float
    low: float | None
    high: float | None
    mb: float
    tone: str  # main | other | ink: classes of the style sheet
    ringed: bool = False

    @property
    def radius(self) -> float:
        """The area follows the size in MB."""
        return round(max(SMALLEST, AREA * self.mb**0.5), 1)


@dataclass(frozen=True)
class Scales:
    """Where a value lies in the view box; the ticks of both axes."""

    fastest: float
    slowest: float
    best: float
    worst: float
    step: float

    @classmethod
    def around(cls, dots: Sequence[Dot], budget: float) -> "Scales":
        """Room for all dots; losses of the plain alternatives far above the rest are cut off at the top."""
        speeds = [dot.speedup for dot in dots]
        own = [dot.loss for dot in dots if dot.tone != "other"]
        highest = max([2 * budget, 0.005, *(1.2 * loss for loss in own)])
        lowest = min([0.0, *(dot.loss for dot in dots)])
        step = next((step for step in STEPS if (highest - lowest) / step <= 6), STEPS[-1])
        return cls(
            fastest=1.3 * max(speeds),
            slowest=min(speeds) / 1.3,
            best=step * math.floor(lowest / step) - 0.4 * step,
            worst=step * math.ceil(highest / step),
            step=step,
        )

    def x(self, speedup: float) -> float:
        """Logarithmic: twice as fast is everywhere the same distance."""
        part = math.log(speedup / self.slowest) / math.log(self.fastest / self.slowest)
        return round(LEFT + (WIDTH - LEFT - RIGHT) * part, 1)

    def y(self, loss: float) -> float:
        """Cut off at both ends; more loss is higher up."""
        part = (min(max(loss, self.best), self.worst) - self.best) / (self.worst - self.best)
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * part, 1)

    def losses(self) -> list[float]:
        """Ticks of the losses."""
        first, last = math.ceil(self.best / self.step), round(self.worst / self.step)
        return [self.step * tick for tick in range(first, last + 1)]


Box = tuple[float, float, float, float]  # left, top, right, bottom


def _overlap(one: Box, other: Box) -> float:
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _candidates(dot: Dot, words: str, x: float, y: float) -> list[Box]:
    """Places for a label around its dot, the best liked first."""
    width, gap = LETTER * len(words), dot.radius + (6 if dot.ringed else 2)
    slant = 0.75 * gap
    middles = [
        (x + gap + width / 2, y),
        (x - gap - width / 2, y),
        (x + slant + width / 2, y - slant - LINE / 3),
        (x + slant + width / 2, y + slant + LINE / 3),
        (x - slant - width / 2, y - slant - LINE / 3),
        (x - slant - width / 2, y + slant + LINE / 3),
        (x, y - gap - LINE / 2),
        (x, y + gap + LINE / 2),
    ]
    return [(a - width / 2, b - LINE / 2, a + width / 2, b + LINE / 2) for a, b in middles]


def label_places(dots: Sequence[Dot], words: Sequence[str], scales: Scales) -> list[Box]:
    """A box for each label that overlaps dots, intervals and other labels as little as can be."""
    centres = [(scales.x(dot.speedup), scales.y(dot.loss)) for dot in dots]
    circles, lines = [], []
    for dot, (x, y) in zip(dots, centres, strict=True):
        reach = dot.radius + (5 if dot.ringed else 1)
        circles.append((x - reach, y - reach, x + reach, y + reach))
        if dot.low is not None and dot.high is not None:
            lines.append((x - 1, scales.y(dot.high), x + 1, scales.y(dot.low)))
    field = (LEFT, 0, WIDTH, HEIGHT - BOTTOM)
    taken: list[Box] = []

    def cost(box: Box, own: int) -> float:
        outside = (box[2] - box[0]) * LINE - _overlap(box, field)
        near = (box[0] - NEAR, box[1] - NEAR, box[2] + NEAR, box[3] + NEAR)
        return (
            10 * outside
            + sum(5 * _overlap(box, label) for label in taken)
            + sum(3 * _overlap(near, circle) for place, circle in enumerate(circles) if place != own)
            + sum(_overlap(box, line) for line in lines)
        )

    for place, (x, y) in enumerate(centres):
        boxes = _candidates(dots[place], words[place], x, y)
        costs = [cost(box, place) for box in boxes]
        taken.append(boxes[costs.index(min(costs))])
    return taken


def _axes(scales: Scales, budget: float) -> list[str]:
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    line = scales.y(budget)
    parts = [f'<rect x="{LEFT}" y="{line}" width="{right - LEFT}" height="{bottom - line}" class="inside"/>']
    digits = 2 if scales.step < 0.005 else 1 if scales.step < 0.01 else 0
    for loss in scales.losses():
        y = scales.y(loss)
        parts += [
            svg_line(LEFT, y, right, y, "grid"),
            svg_text(LEFT - 5, y + 4, "end", "tick", f"{100 * loss + 0.0:.{digits}f}"),
        ]
    for times in TIMES:
        if scales.slowest <= times <= scales.fastest:
            x = scales.x(times)
            parts += [
                svg_line(x, TOP, x, bottom, "grid"),
                svg_text(x, bottom + 15, "middle", "tick", f"{times:g}×"),
            ]
    middle = (TOP + bottom) / 2
    upright = f' transform="rotate(-90 12 {middle})"'
    return [
        *parts,
        svg_line(LEFT, line, right, line, "line"),
        svg_text((LEFT + right) / 2, bottom + 35, "middle", "label", X_LABEL),
        svg_text(12, middle, "middle", "label", Y_LABEL, upright),
    ]


def frontier_plot(dots: Sequence[Dot], budget: float, description: str) -> Markup:
    """A numbered dot for each shape, with its interval, and the budget as a dashed line.

    Args:
        dots: at least one; those listed last are drawn on top.
        budget: the largest loss that is accepted.
        description: for readers who do not see the plot.
    """
    scales = Scales.around(dots, budget)
    words = [f"{dot.label} ↑{100 * dot.loss:.0f}" if dot.loss > scales.worst else dot.label for dot in dots]
    parts = _axes(scales, budget)
    for dot in dots:
        x, y = scales.x(dot.speedup), scales.y(dot.loss)
        if dot.low is not None and dot.high is not None and dot.loss <= scales.worst:
            parts.append(svg_line(x, scales.y(dot.low), x, scales.y(dot.high), f"interval {dot.tone}"))
        parts.append(f'<circle cx="{x}" cy="{y}" r="{dot.radius}" class="dot {dot.tone} see-through"/>')
        if dot.ringed:
            parts.append(f'<circle cx="{x}" cy="{y}" r="{dot.radius + 4}" class="ring"/>')
    for text, box in zip(words, label_places(dots, words, scales), strict=True):
        x, y = round((box[0] + box[2]) / 2, 1), round((box[1] + box[3]) / 2 + 4, 1)
        parts.append(svg_text(x, y, "middle", "number", text))
    return Markup(
        f'<svg class="frontier" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )

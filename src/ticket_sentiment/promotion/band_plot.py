"""How one guardrail narrowed over a rollout, as inline SVG: better for the challenger is always up."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from markupsafe import Markup, escape

from ticket_sentiment.pages.figures import svg_line, svg_text
from ticket_sentiment.promotion.progress import Seen

WIDTH, HEIGHT = 360, 196
LEFT, RIGHT, TOP, BOTTOM = 48, 8, 22, 28  # free beside the field
MAX_POINTS = 160  # of a band; of more looks every so manieth is drawn
WIDEST, NARROWEST = 12.0, 2.5  # margins shown above and below no difference


@dataclass(frozen=True)
class Mark:
    """A moment that the plot names: a step that began."""

    at: datetime
    label: str


@dataclass(frozen=True)
class _Field:
    """Where a time and a difference lie in the view box."""

    first: datetime
    last: datetime
    reach: float

    def x(self, at: datetime) -> float:
        seconds = (self.last - self.first).total_seconds() or 1.0
        share = min(1.0, max(0.0, (at - self.first).total_seconds() / seconds))
        return round(LEFT + share * (WIDTH - LEFT - RIGHT), 1)

    def y(self, difference: float) -> float:
        clipped = min(self.reach, max(-self.reach, difference))
        return round(TOP + (self.reach - clipped) / (2 * self.reach) * (HEIGHT - TOP - BOTTOM), 1)


def thinned(seen: Sequence[Seen]) -> list[Seen]:
    """At most MAX_POINTS of them, the first and the last among them."""
    if len(seen) <= MAX_POINTS:
        return list(seen)
    places = {round(number * (len(seen) - 1) / (MAX_POINTS - 1)) for number in range(MAX_POINTS)}
    return [seen[place] for place in sorted(places)]


def band_plot(
    seen: Sequence[Seen],
    margin: float,
    higher_is_better: bool,
    began: datetime,
    marks: Sequence[Mark],
    description: str,
) -> Markup:
    """The interval at every look, against no difference and against the margin.

    Args:
        seen: by every look, in order; one at which nothing was there to compare is left out.
        margin: how much worse still counts as no worse, a share.
        higher_is_better: whether a positive difference speaks for the challenger.
        began: of the rollout: the left end.
        marks: the steps that began.
        description: what the plot shows, for a reader who does not see it.
    """
    shown = thinned([one for one in seen if one.estimate is not None])
    turned = [_turned(one, higher_is_better) for one in shown]
    field = _Field(began, shown[-1].at if shown else began, _reach(turned, margin))
    parts = [*_ground(field, margin, marks), *_band(field, shown, turned), *_times(field)]
    return Markup(
        f'<svg class="band" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )


def _turned(one: Seen, higher_is_better: bool) -> tuple[float, float | None, float | None]:
    """(estimate, low, high) with better above."""
    assert one.estimate is not None
    if higher_is_better:
        return one.estimate, one.low, one.high
    return -one.estimate, _minus(one.high), _minus(one.low)


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


def _reach(turned: Sequence[tuple[float, float | None, float | None]], margin: float) -> float:
    """Room for the last band; the wide ones of the first looks are cut off."""
    last = [abs(value) for value in turned[-1] if value is not None] if turned else []
    return min(WIDEST * margin, max(NARROWEST * margin, 1.3 * max(last, default=0.0)))


def _ground(field: _Field, margin: float, marks: Sequence[Mark]) -> list[str]:
    """Axis, both lines and the steps."""
    right, bottom = WIDTH - RIGHT, HEIGHT - BOTTOM
    parts = [f'<rect x="{LEFT}" y="{TOP}" width="{right - LEFT}" height="{bottom - TOP}" class="frame"/>']
    free = -1.0  # right end of the last label
    for mark in marks:
        place = field.x(mark.at)
        parts.append(svg_line(place, TOP, place, bottom, "grid"))
        if place >= free:
            anchor = "end" if place > right - 30 else "start"
            parts.append(svg_text(place, TOP - 7, anchor, "tick", mark.label))
            free = place + 7 * len(mark.label) + 6
    for value, kind in ((0.0, "zero"), (-margin, "line")):
        parts.append(svg_line(LEFT, field.y(value), right, field.y(value), kind))
    highest = field.reach - margin / 2
    ticks = [(0.0, "0"), (-margin, _points(-margin)), (highest, "better"), (-highest, "worse")]
    placed: list[float] = []
    for value, words in ticks:
        place = field.y(value)
        if all(abs(place - other) >= 13 for other in placed):
            placed.append(place)
            parts.append(svg_text(LEFT - 6, place + 4, "end", "tick", words))
    return parts


def _band(
    field: _Field, shown: Sequence[Seen], turned: Sequence[tuple[float, float | None, float | None]]
) -> list[str]:
    if not shown:
        middle = (LEFT + WIDTH - RIGHT) / 2
        return [svg_text(middle, TOP + 20, "middle", "label", "nothing to compare yet")]
    xs = [field.x(one.at) for one in shown]
    highs = [field.y(field.reach if high is None else high) for _, _, high in turned]
    lows = [field.y(-field.reach if low is None else low) for _, low, _ in turned]
    middles = [field.y(estimate) for estimate, _, _ in turned]
    outline = [*zip(xs, highs, strict=True), *reversed(list(zip(xs, lows, strict=True)))]
    line = " ".join(f"{x},{y}" for x, y in zip(xs, middles, strict=True))
    area = " ".join(f"{x},{y}" for x, y in outline)
    return [
        f'<polygon points="{area}" class="area"/>',
        f'<polyline points="{line}" class="estimate"/>',
        svg_line(xs[-1], highs[-1], xs[-1], lows[-1], "now"),
        f'<circle cx="{xs[-1]}" cy="{middles[-1]}" r="4.5" class="dot main"/>',
    ]


def _times(field: _Field) -> list[str]:
    below = HEIGHT - BOTTOM + 18
    return [
        svg_text(LEFT, below, "start", "tick", f"{field.first:%-d %b}"),
        svg_text(WIDTH - RIGHT, below, "end", "tick", f"{field.last:%-d %b, %H:%M}"),
    ]


def _points(value: float) -> str:
    """−0.02 as "−2"; −0.005 as "−0.5"."""
    return f"{round(100 * value, 2):g}".replace("-", "−")

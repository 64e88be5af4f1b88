"""A day as inline SVG: how many pods answered, under a policy and under one that knows the traffic."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from ticket_sentiment.pages.figures import svg_line, svg_text

WIDTH, HEIGHT = 560, 190
LEFT, RIGHT, TOP, BOTTOM = 30, 8, 10, 36  # free beside the field
EVERY = 3  # minutes between two points
Span = tuple[float, float]  # minutes
Series = tuple[str, Sequence[float]]  # tone, and a value for each minute of the day


def day_plot(
    lines: Sequence[Series], missed: Sequence[float], bands: Sequence[Span], description: str
) -> Markup:
    """Pods over the hours of a day, and a mark where requests missed the objective.

    Args:
        lines: pods in each minute; the first lies on top.
        missed: share of the requests of each minute that missed it; a minute with more than one in a hundred
            is marked.
        bands: in which something was away.
        description: for readers who do not see the plot.
    """
    most = max(max(values) for _, values in lines)
    step = next(size for size in (1, 2, 5, 10, 20, 50, 100) if most / size <= 6)
    top = -(-most // step) * step
    minutes = len(lines[0][1])

    def x(minute: float) -> float:
        return round(LEFT + (WIDTH - LEFT - RIGHT) * minute / minutes, 1)

    def y(pods: float) -> float:
        return round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * pods / top, 1)

    parts = [
        f'<rect x="{x(first)}" y="{TOP}" width="{x(last) - x(first):.1f}" height="{HEIGHT - TOP - BOTTOM}" '
        'class="away"/>'
        for first, last in bands
    ]
    for pods in range(0, int(top) + 1, step):
        parts += [
            svg_line(LEFT, y(pods), WIDTH - RIGHT, y(pods), "grid"),
            svg_text(LEFT - 6, y(pods) + 4, "end", "tick", str(pods)),
        ]
    parts += [
        svg_text(x(60 * hour), HEIGHT - BOTTOM + 15, "middle", "tick", f"{hour}") for hour in range(0, 25, 4)
    ]
    for minute, share in enumerate(missed):
        if share > 0.01:
            parts.append(svg_line(x(minute), TOP, x(minute), HEIGHT - BOTTOM, "range bad"))
    for tone, values in reversed(lines):
        points, before = [], None
        for minute, pods in enumerate(values):
            if minute % EVERY == 0 or pods != before:
                if before is not None and pods != before:
                    points.append(f"{x(minute)},{y(before)}")
                points.append(f"{x(minute)},{y(pods)}")
            before = pods
        parts.append(f'<polyline points="{" ".join(points)}" class="step {tone}"/>')
    parts.append(
        svg_text(
            (LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, "middle", "label", "hour of the day, pods that answer"
        )
    )
    return Markup(
        f'<svg class="frontier day" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        f'aria-label="{escape(description)}">{"".join(parts)}</svg>'
    )

"""The page of a replay: month by month what customers got, with and without retraining, and why."""

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from markupsafe import Markup, escape

from benchmarks.replay.desk import Desk
from benchmarks.replay.month import Retrained, Served, Step
from ticket_sentiment.files import write_text
from ticket_sentiment.gates.evidence_types import Estimate
from ticket_sentiment.gates.words import measure, number, points, share
from ticket_sentiment.pages.figures import svg_line, svg_text
from ticket_sentiment.pages.render import render

TEMPLATE = Path(__file__).parent / "replay.html"
WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 52, 150, 16, 34
GRID = 0.02  # of macro-F1
APART = 8  # pixels between the two models' intervals of a month
ENDINGS = {
    "promote": "promoted",
    "rollback": "rolled back",
    "stop": "stopped without an answer, the champion stays",
    "adopt": "adopted",
}


def finding(served: Sequence[Served]) -> str:
    """What the last month says of retraining, in one sentence."""
    last, first = served[-1], served[0].champion
    gain = Estimate(**last.gain)
    newer = len({version for one in served for version in one.versions} - {first})
    if not newer:
        return "No retrained model has answered customers: they got the first model's answers all the time"
    if gain.low > 0:
        verdict = "customers got better answers than the first model would have given"
    elif gain.high < 0:
        verdict = "customers got worse answers than the first model would have given"
    else:
        verdict = f"{last.labelled:,} labels cannot tell the answers from the first model's"
    models = f"{newer} retrained model{'s' if newer > 1 else ''}"
    return f"In {last.month}, with {models} rolled out, {verdict}: {points(gain)}"


def rollout_in_words(served: Served) -> str:
    """How the month's rollout went, with its days."""
    return "; ".join(_told(step) for step in served.rollout) or "none was on"


def _told(step: Step) -> str:
    day = f"day {max(step.day, 0.0):.0f}"
    if step.action == "start":
        return f"{day}: version {step.version} in shadow"
    if step.action == "advance":
        return f"{day}: {share(step.share)} of the customers"
    return f"{day}: {ENDINGS[step.action]}"


def answered_by(served: Served) -> str:
    """ "version 1 (38 %) and version 2 (62 %)"."""
    return " and ".join(
        f"version {version} ({share(count / served.tickets)})" for version, count in served.versions.items()
    )


def quality_plot(served: Sequence[Served]) -> Markup:
    """Macro-F1 of each month: the answers that customers got, and the first model's on the same tickets."""
    bounds = [
        found[key] or 0.0 for one in served for found in (one.live, one.first) for key in ("low", "high")
    ]
    low, high = GRID * (min(bounds) // GRID), GRID * (max(bounds) // GRID + 1)

    def x(place: int, shift: int = 0) -> float:
        room = (WIDTH - LEFT - RIGHT) / max(len(served), 1)
        return round(LEFT + room * (place + 0.5) + shift, 1)

    def y(value: float) -> float:
        return round(TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM), 1)

    parts = []
    for step in range(round((high - low) / GRID) + 1):
        value = low + step * GRID
        parts.append(svg_line(LEFT, y(value), WIDTH - RIGHT, y(value), "grid"))
        parts.append(svg_text(LEFT - 6, y(value) + 4, "end", "tick", f"{value:.2f}"))
    for place, one in enumerate(served):
        parts.append(svg_text(x(place), HEIGHT - 12, "middle", "tick", one.month))
    ends = []
    for key, tone, shift in (("first", "plain", -APART // 2), ("live", "main", APART // 2)):
        spots = []
        for place, one in enumerate(served):
            found = getattr(one, key)
            at, value = x(place, shift), y(found["value"])
            parts.append(svg_line(at, y(found["low"]), at, y(found["high"]), f"interval {tone}"))
            spots.append((at, value))
        parts += [svg_line(*a, *b, f"series {tone}") for a, b in pairwise(spots)]
        parts += [f'<circle cx="{at}" cy="{value}" r="4.5" class="dot {tone}"/>' for at, value in spots]
        ends.append((key, spots[-1]))
    parts += _names(ends)
    described = "; ".join(
        f"{one.month}: with {measure(Estimate(**one.live))}, without {measure(Estimate(**one.first))}"
        for one in served
    )
    label = escape(f"Macro-F1 by month, with and without retraining. {described}")
    return Markup(
        f'<svg class="months" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">'
        f"{''.join(parts)}</svg>"
    )


def _names(ends: Sequence[tuple[str, tuple[float, float]]]) -> list[str]:
    """Beside the last dots, apart from each other."""
    words = {"live": "with retraining", "first": "without"}
    below, above = sorted(ends, key=lambda end: -end[1][1])
    if below[1][1] - above[1][1] < 16:
        middle = (below[1][1] + above[1][1]) / 2
        places = [(below, middle + 8), (above, middle - 8)]
    else:
        places = [(below, below[1][1]), (above, above[1][1])]
    right = WIDTH - RIGHT + 8
    return [svg_text(right, place + 4, "start", "label", words[key]) for (key, _), place in places]


def settings(desk: Desk) -> str:
    """What this desk accepts that params.yaml does not, in words."""
    margins, budget = desk.changes["rollout"]["margins"], desk.changes["budget"]["max_loss"]
    accepted = ", ".join(f"{name} {share(value, 1)}" for name, value in margins.items())
    return f"margins of the rollout: {accepted}; cost of compression: {points(budget, sign=False)}"


def write_page(
    desk: Desk, served: Sequence[Served], retrained: Sequence[Retrained], pages: Path, target: Path
) -> None:
    """Write the page; it links to the pages of each month that are kept in `pages`, beside it."""
    kept = {path.name for path in pages.glob("*.html")}
    values = {
        "finding": finding(served),
        "plot": quality_plot(served),
        "first": retrained[0],
        "settings": settings(desk),
        "served": served,
        "retrained": {one.month: one for one in retrained},
        "links": {
            one.month: [
                (f"{pages.name}/{one.month}-{kind}.html", words)
                for kind, words in (
                    ("rollout", "the rollout"),
                    ("drift", "drift"),
                    ("release", "the release report"),
                )
                if f"{one.month}-{kind}.html" in kept
            ]
            for one in served
        },
    }
    filters = {
        "interval": lambda found: measure(Estimate(**found)),
        "gain": lambda found: points(Estimate(**found)),
        "rollout": rollout_in_words,
        "answered": answered_by,
        "number3": lambda value: number(value, 3),
        "thousands": lambda value: f"{value:,}",
    }
    write_text(target, render(TEMPLATE, values, filters))


def lines(served: Sequence[Served], retrained: Sequence[Retrained]) -> list[str]:
    """The same as Markdown, for the terminal."""
    learnt = {one.month: one for one in retrained}
    rows = [
        "| month | with retraining | without | difference | rollout | learnt from it |",
        "|---|---|---|---|---|---|",
    ]
    for one in served:
        made = learnt.get(one.month)
        then = f"version {made.version}, {made.decision}; {made.drift}" if made else ""
        live, first, gain = (Estimate(**found) for found in (one.live, one.first, one.gain))
        cells = [one.month, measure(live), measure(first), points(gain)]
        rows.append("| " + " | ".join([*cells, rollout_in_words(one), then]) + " |")
    return [*rows, "", f"{finding(served)}."]

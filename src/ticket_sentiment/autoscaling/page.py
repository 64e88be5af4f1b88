"""The page of a trial: one card for each day, whose title says what happened; it opens without a network."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ticket_sentiment.autoscaling.plots import day_plot
from ticket_sentiment.autoscaling.simulation import blind
from ticket_sentiment.autoscaling.traffic import MINUTE, requests
from ticket_sentiment.autoscaling.trial import Result, Setting
from ticket_sentiment.autoscaling.words import KNOWS, missed
from ticket_sentiment.costs.words import short, usd
from ticket_sentiment.files import write_text
from ticket_sentiment.gates.words import number
from ticket_sentiment.pages.render import render

TEMPLATE = Path(__file__).parent / "templates/autoscale.html"


def write_page(found: dict[str, Any], setting: Setting, results: Sequence[Result], path: Path) -> None:
    """Write the page as a whole.

    Args:
        found: what `words.figures` gives.
        setting: of the trial.
        results: of all scenarios.
        path: of the HTML file.
    """
    cards = [
        {
            "kind": one["name"],
            "title": title(setting, result),
            "rows": one["rows"],
            "plot": _plot(setting, result),
        }
        for one, result in zip(found["scenarios"], results, strict=True)
    ]
    values = {
        "found": found,
        "cards": cards,
        "knows": KNOWS,
        "around": setting.around,
        "knobs": setting.params.autoscale,
    }
    filters = {"usd": usd, "short": short, "missed": missed, "number": number}
    write_text(path, render(TEMPLATE, values, filters))


def title(setting: Setting, result: Result) -> str:
    """What became of the day under the judged policy."""
    day, hours = result.days[0], result.hours(result.days[0])
    share = missed(day.share_missed)
    words = "every request in time" if share == "none" else f"{share} of the requests missed the objective"
    if result.scenario.notice is not None:
        words += ", none was lost" if not day.lost else f", {number(day.lost, 0)} were lost"
    if blind(result.scenario, setting.policies[0]):
        downs = result.scale_downs(setting.policies[0], day)
        words += (
            ", no pod taken away meanwhile" if not downs else f", pods taken away {downs} times meanwhile"
        )
    took = f"with {number(hours)} times the replica-hours that knowing the traffic takes"
    return f"{words[0].upper()}{words[1:]}, {took}"


def _plot(setting: Setting, result: Result) -> str:
    knobs, day = setting.params.autoscale, result.days[0]
    sent = requests(setting.mean, knobs.unsteadiness, result.scenario, knobs.seed)
    by_minute = np.maximum(sent.reshape(-1, MINUTE).sum(axis=1), 1)
    lines = [("main", day.serving), ("plain", result.clairvoyant.serving)]
    scenario = result.scenario
    spans = scenario.prometheus_away + scenario.half_scraped
    bands = [(first / MINUTE, last / MINUTE) for first, last in spans]
    return day_plot(lines, np.array(day.missed_by_minute) / by_minute, bands, title(setting, result))

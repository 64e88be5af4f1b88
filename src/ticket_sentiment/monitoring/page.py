"""The page of the model in service: for a person who decides about tickets, not about statistics."""

from pathlib import Path
from typing import Any

from ticket_sentiment.events.retrainings import EarlyRetraining
from ticket_sentiment.files import write_text
from ticket_sentiment.gates.drift_section import AXIS, drift_rows
from ticket_sentiment.gates.rules.drift import NAMES
from ticket_sentiment.gates.words import number, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.monitoring.alarms import accuracy_interval, covered, label_sources, quality_known
from ticket_sentiment.monitoring.facts import HOUR, Facts, Window
from ticket_sentiment.monitoring.look import Look
from ticket_sentiment.pages.figures import Axis, Row, rows_plot
from ticket_sentiment.pages.render import render
from ticket_sentiment.params import Monitor, Params
from ticket_sentiment.promotion.headline import when

TEMPLATE = Path(__file__).parent / "templates/monitor.html"


def write_page(found: Look, params: Params, path: Path) -> Path:
    """Write the page as a whole; what is not known is said to be so.

    Args:
        found: the look.
        params: of params.yaml.
        path: of the HTML file.

    Returns:
        The path.
    """
    write_text(path, render(TEMPLATE, context(found, params), {"when": when, "share": share}))
    return path


def headline(found: Look, params: Params) -> tuple[str, str]:
    """Class of the style sheet, and the first sentence."""
    asked = [alarm for alarm in found.alarms if alarm.severity != "info"]
    if len(asked) == 1:
        return "fail", asked[0].summary
    if asked:
        return "fail", f"{len(asked)} things about the model in service need a look"
    if found.facts.champion is None:
        return "wait", "No model is in service yet"
    if not any(window.tests for window in found.facts.windows):
        return "wait", "Too little is known to compare the model in service with what it was judged by"
    if not quality_known(found.facts, params):
        return "wait", "Tickets look as they did; how good the answers are is not known yet"
    return "pass", "The model in service does as it did when it was judged"


def context(found: Look, params: Params) -> dict[str, Any]:
    """All that the template shows."""
    facts = found.facts
    tone, title = headline(found, params)
    return {
        "facts": facts,
        "alarms": found.alarms,
        "tone": tone,
        "title": title,
        "windows": [window(item, params.monitor) for item in facts.windows],
        "quality": quality(facts, params),
        "labels": labels(facts),
        "sources": label_sources(params),
        "early": early(found.early),
        "LABELS": LABELS,
        "keep_months": params.monitor.keep_months,
        "pair_hours": f"{params.rollout.pair_hours:g}",
    }


def window(item: Window, settings: Monitor) -> dict[str, Any]:
    """One window: a title that states the finding, and its plot; none where too little is known."""
    span = f"the last {item.days:g} days" if item.days > 1 else f"the last {24 * item.days:g} hours"
    if not item.tests:
        few = f"{item.rows:,} answers in {span}; {settings.min_rows:,} and a reference are needed to compare"
        return {"title": few, "plot": None, "item": item, "span": span}
    moved = [NAMES[name] for name, test in item.tests.items() if test.drifted]
    title = (
        f"In {span} the tickets or answers are unlike the holdout: {', '.join(moved)}"
        if moved
        else f"In {span} tickets and answers look as they did on the holdout"
    )
    plot = rows_plot(drift_rows(item.tests), AXIS, title)
    return {"title": title, "plot": plot, "item": item, "span": span}


def quality(facts: Facts, params: Params) -> dict[str, Any]:
    """Right answers among audited tickets with the range that holds at every look, beside the holdout's."""
    if not facts.labelled or facts.month is None:
        title = "No audited ticket of this model has a label yet: its quality in service is not known"
        return {"title": title, "plot": None}
    if not covered(facts, params.rollout):
        few = f"Only {facts.labelled:,} of {facts.audited:,} audited tickets have a label"
        needed = f"{share(params.rollout.min_coverage)} are needed"
        return {"title": f"{few}, {needed}: the quality in service is not known", "plot": None}
    low, high = accuracy_interval(facts.right, facts.counted, params.monitor.accuracy_alpha)
    value = facts.right / facts.counted
    words = f"{share(value)} ({share(low)} to {share(high)})"
    rows = [Row(f"Since {facts.month:%-d %b}", value, words, low, high, "main")]
    if facts.accuracy is not None:
        then = facts.accuracy
        rows.append(Row("On its holdout", then, share(then), then, then))
    axis = Axis(0, 1, [(0, "0 %"), (0.5, "50 %"), (1, "100 %")])
    title = f"{share(value)} of {facts.counted:,} audited tickets were answered right"
    return {"title": title, "plot": rows_plot(rows, axis, title)}


def labels(facts: Facts) -> str:
    """How late labels come."""
    if facts.last_label is None:
        return "No label of an audited ticket has ever come."
    ago = (facts.now - facts.last_label) / HOUR
    if facts.lag_hours is None:
        return f"The audit's last label came {number(ago, 0)} hours ago."
    lag = f"half of those that were labelled had theirs within {number(facts.lag_hours, 0)} hours"
    return f"The audit's last label came {number(ago, 0)} hours ago; {lag}."


def early(request: EarlyRetraining | None) -> str:
    """The last retraining that an alarm asked for."""
    if request is None:
        return "No alarm has asked for a retraining yet."
    state = f"run {request.run} of Prefect" if request.run else "not started yet"
    return f"{when(request.at)}, for {', '.join(request.reasons)}: {state}."


def markdown(found: Look, params: Params) -> str:
    """The short form for Prefect."""
    lines = [f"**{headline(found, params)[1]}.**"]
    for alarm in found.alarms:
        lines += [f"- **{alarm.name}** ({alarm.severity}): {alarm.summary} `{alarm.runbook}`"]
        lines += [f"  - {sentence}" for sentence in alarm.evidence]
    if found.facts.champion:
        lines += [f"- {labels(found.facts)}", f"- Early retraining: {early(found.early)}"]
    return "\n".join(lines)

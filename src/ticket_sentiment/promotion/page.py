"""The page of the rollout: one HTML file that opens without a server, and a short form for Prefect.

It is for a person who decides about tickets, not about statistics: what is decided, why, where it stands and
what has to happen next; then the figures. What is not known is said to be so, never filled in from before.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from ticket_sentiment.events.changes import Entry
from ticket_sentiment.files import write_text
from ticket_sentiment.pages.render import markdown_text, render
from ticket_sentiment.params import Params, Rollout
from ticket_sentiment.promotion.band_plot import Mark, band_plot
from ticket_sentiment.promotion.headline import Headline, headline, share_in_words, stopped, when
from ticket_sentiment.promotion.progress import Progress, Seen
from ticket_sentiment.rollout.assignment import ARMS
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.guardrails import GUARDRAILS, SUMS, TITLES, Name, points
from ticket_sentiment.rollout.policy import Plan, deciding

Badge = tuple[str, str]  # class of the style sheet, words
TEMPLATE = Path(__file__).parent / "templates/rollout.html"
REASONS = 4  # on the first screen
BADGES: dict[str, Badge] = {
    "worse": ("fail", "✗ worse"),
    "better": ("pass", "✓ better"),
    "clear": ("pass", "✓ no worse"),
    "open": ("wait", "… not sure yet"),
    "unseen": ("wait", "… nothing yet"),
}
ACTIONS = {
    "start": "Rollout begun, unseen by customers",
    "advance": "Next step",
    "promote": "Promoted: it answers everybody",
    "rollback": "Rolled back",
    "adopt": "Taken from MLflow",
}


@dataclass(frozen=True)
class StepLine:
    """One step of the way to all customers.

    Attributes:
        name: "25 %".
        place: done | here | ended | ahead: a class of the style sheet, said in `words`, too.
        words: since when, or what it asks for.
    """

    name: str
    place: str
    words: str


@dataclass(frozen=True)
class Rail:
    """One guardrail on the page; no plot where nothing was seen. `needed`: before what it has to be clear."""

    kind: str
    title: str
    state: str
    badge: str
    plot: Markup | None
    sentence: str
    needed: str


def write_page(found: Progress, params: Params, path: Path) -> Path:
    """Write the page as a whole, whatever was read: of what was not, it says so.

    Args:
        found: what is known.
        params: of params.yaml.
        path: of the HTML file.

    Returns:
        The path.
    """
    write_text(path, render(TEMPLATE, context(found, params), {"when": when}))
    return path


def context(found: Progress, params: Params) -> dict[str, Any]:
    """All that the template shows."""
    plan = Plan.of(params.rollout, found.hotfix)
    said = headline(found)
    evidence = found.evidence
    return {
        "found": found,
        "said": said,
        "first": said.reasons[:REASONS],
        "rest": said.reasons[REASONS:],
        "steps": steps(found, plan),
        "rails": (shown := rails(found, params.rollout)),
        "in_short": in_short(shown),
        "arms": arms(evidence, found) if evidence else (),
        "pairs": evidence.paired if evidence else None,
        "split": found.decision.split if found.decision else (),
        "fair": fair(found),
        "decisions": [(entry, *decided(entry)) for entry in reversed((*found.entries, *found.after))],
        "settings": params.rollout,
        "objective_ms": params.serve.objective_ms,
        "missing": found.trouble,
        "margin": points(params.rollout.margins.quality, signed=False),
    }


def steps(found: Progress, plan: Plan) -> tuple[StepLine, ...]:
    """The way from unseen to all customers, and where the rollout is on it; empty where there was none."""
    if not found.entries:
        return ()
    ended = found.after[0].change if found.after else None
    promoted = ended is not None and ended.action == "promote"
    began = {entry.change.step: entry for entry in reversed(found.entries) if entry.change}
    made = []
    for number, step in enumerate(plan.steps):
        name = "unseen" if step.share == 0 else f"{100 * step.share:g} %"
        entry = began.get(number)
        if promoted or number < found.step:
            words = f"done, began {when(entry.state.since)}" if entry else "done"
            made.append(StepLine(name, "done", words))
        elif number == found.step:
            since = when(entry.state.since) if entry else ""
            made.append(
                StepLine(name, *(("ended", "ended here") if ended else ("here", f"now, since {since}")))
            )
        else:
            words = "not reached" if ended else f"then, for at least {step.min_hours:g} hours"
            made.append(StepLine(name, "ahead", words))
    last = found.after[0].state.since if promoted else None
    made.append(
        StepLine(
            "all",
            *(("here", f"since {when(last)}") if last else ("ahead", "not reached" if ended else "the goal")),
        )
    )
    return tuple(made)


def rails(found: Progress, settings: Rollout) -> tuple[Rail, ...]:
    """Each guardrail: a title that states the finding, its plot and its figures; none that are not of now."""
    if not found.entries or (found.on and not found.decision):
        return ()
    began = found.entries[0].state.since
    plan = Plan.of(settings, found.hotfix)
    marks = [
        Mark(entry.state.since, f"{100 * entry.state.challenger_share:g} %")
        for entry in found.entries
        if entry.change and entry.change.action == "advance"
    ]
    made = []
    for name in GUARDRAILS:
        if not (seen := found.seen(name)):
            continue
        margin, last = getattr(settings.margins, SUMS.get(name, "quality")), seen[-1]
        title, kind = finding(name, last, margin)
        badge, state = BADGES[kind]
        plot = None
        if kind != "unseen":
            up = name not in ("errors", "slow")
            plot = band_plot(seen, margin, up, began, marks, f"{title}. {last.sentence}")
        made.append(Rail(TITLES[name], title, state, badge, plot, last.sentence, needed(plan, name)))
    return tuple(made)


def needed(plan: Plan, name: Name) -> str:
    """Before what a guardrail has to be clear."""
    moments = {0: "before customers see it", len(plan.steps) - 1: "before it answers all customers"}
    asked = [words for step, words in moments.items() if name in deciding(plan, step)]
    if not asked:
        return "Only watched: it ends the rollout when the challenger is worse."
    return f"“No worse” has to be certain {' and again '.join(asked)}."


def in_short(shown: Sequence[Rail]) -> str:
    """What all guardrails say together."""
    if worse := [rail.kind for rail in shown if rail.badge == "fail"]:
        return f"The challenger is worse in: {'; '.join(worse).lower()}"
    clear = sum(rail.badge == "pass" for rail in shown)
    certain = f"in {clear} of {len(shown)} it is certain to be no worse than is allowed"
    return f"In no respect is the challenger known to be worse; {certain}"


def finding(name: Name, last: Seen, margin: float) -> tuple[str, str]:
    """What a guardrail says now, without its figures; key of BADGES."""
    if last.estimate is None:
        return "Nothing to compare yet", "unseen"
    if last.state == "crossed":
        return "The challenger is worse", "worse"
    allowed = points(margin, signed=False)
    if last.state == "open":
        return f"It may still be more than {allowed} worse", "open"
    higher_is_better = name not in ("errors", "slow")
    bound = last.low if higher_is_better else last.high
    if bound is not None and (bound > 0 if higher_is_better else bound < 0):
        return "The challenger is better", "better"
    return f"At most {allowed} worse, for sure", "clear"


def fair(found: Progress) -> str:
    """Whether the two models can be compared at all, in one sentence."""
    if found.evidence is None or not found.evidence.epochs:
        return "Only the champion answered customers, so nothing could be shared wrongly"
    if found.decision and any(check.wrong for check in found.decision.split):
        return "The two models do not meet the same kind of customers: no step forward"
    return "The customers are shared as they should be, as far as can be seen"


def arms(evidence: Evidence, found: Progress) -> list[tuple[str, str, str]]:
    """(what, of the champion, of the challenger) of what each arm met and answered."""
    epochs = evidence.epochs

    def total(metric: str, field: str) -> list[int]:
        return [sum(getattr(getattr(item, metric).of(arm), field) for item in epochs) for arm in ARMS]

    def shares(bad: list[int], whole: list[int]) -> list[str]:
        return [f"{y:,} ({y / n:.1%})" if n else "–" for y, n in zip(bad, whole, strict=True)]

    met = [sum(item.exposures.of(arm) for item in epochs) for arm in ARMS]
    answered, judged = total("errors", "n"), total("quality", "n")
    right = [n - wrong for n, wrong in zip(judged, total("quality", "y"), strict=True)]
    asked = [coverage.mature for coverage in evidence.coverage]
    labelled = [coverage.labelled for coverage in evidence.coverage]
    versions = (found.champion, found.challenger)
    return [
        ("Version", *versions),
        ("Customers met since it was shown to customers", *(f"{units:,}" for units in met)),
        ("Tickets that the model had to answer", *(f"{n:,}" for n in answered)),
        ("Failed answers", *shares(total("errors", "y"), answered)),
        ("Answers over the time objective", *shares(total("slow", "y"), total("slow", "n"))),
        ("Tickets drawn for a check by people, old enough", *(f"{n:,}" for n in asked)),
        ("… of which people labelled", *shares(labelled, asked)),
        ("Right answers to those shown to customers", *shares(right, judged)),
    ]


def decided(entry: Entry) -> tuple[str, str, str]:
    """(what, who, why) of an entry of the ledger."""
    if entry.change is None:
        return "Set without a note", "not known", "A program set this state past the ledger."
    change, state = entry.change, entry.state
    what = stopped(change) if change.action == "stop" else ACTIONS[change.action]
    if change.action == "advance":
        what = f"{what}: {share_in_words(state.challenger_share)}"
    return what, change.actor, change.reason


def markdown(found: Progress, params: Params) -> str:
    """The page in short, for an artifact of Prefect."""
    plan = Plan.of(params.rollout, found.hotfix)
    return "\n".join(_markdown(found, plan, headline(found), params.rollout)) + "\n"


def _markdown(found: Progress, plan: Plan, said: Headline, settings: Rollout) -> Iterator[str]:
    yield f"# {markdown_text(said.title)}"
    yield f"\nAs of {when(found.now)}. {markdown_text(said.lead)}".rstrip()
    if said.reasons:
        yield f"\n**{markdown_text(said.why)}**\n"
        yield from (f"- {markdown_text(reason)}" for reason in said.reasons)
    yield f"\n**Next:** {markdown_text(said.next)}"
    if line := steps(found, plan):
        named = {"here": "**{}** (now)", "ended": "**{}** (ended here)", "done": "{} (done)", "ahead": "{}"}
        yield "\n" + " → ".join(named[step.place].format(step.name) for step in line)
    if shown := rails(found, settings):
        yield "\n| What is compared | Finding | |\n| --- | --- | --- |"
        yield from (
            f"| {markdown_text(rail.kind)} | {markdown_text(rail.title)} | {rail.state} |" for rail in shown
        )
    if made := (*found.entries, *found.after):
        yield "\n| When | What | Who |\n| --- | --- | --- |"
        for entry in reversed(made[-6:]):
            what, who, _ = decided(entry)
            yield f"| {when(entry.state.since)} | {markdown_text(what)} | {markdown_text(who)} |"

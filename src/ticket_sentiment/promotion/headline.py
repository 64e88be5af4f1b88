"""The first sentence about a rollout: what is decided now, why, and what happens next."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from ticket_sentiment.events.changes import Change, Entry
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.progress import Progress
from ticket_sentiment.rollout.policy import Decision

Tone = Literal["pass", "review", "fail", "wait"]  # classes of the style sheet


@dataclass(frozen=True)
class Headline:
    """What a reader sees first.

    Attributes:
        tone: of its colour; the words say the same.
        title: one sentence.
        lead: how it stands, a sentence; empty where the reasons say it all.
        why: what the reasons are: their heading.
        reasons: sentences, the strongest first.
        next: what happens next.
    """

    tone: Tone
    title: str
    lead: str
    why: str
    reasons: tuple[str, ...]
    next: str


def when(at: datetime) -> str:
    """As a person reads it: "25 Nov 2026, 14:02 UTC"."""
    return f"{at:%-d %b %Y, %H:%M} UTC"


def share_in_words(share: float) -> str:
    """Of the customers: "5 % of the customers"."""
    return "all customers" if share == 1 else f"{100 * share:g} % of the customers"


def stopped(change: Change) -> str:
    """How a rollout ended that nobody won: in time without an answer, by a person, or as its gate said so."""
    if change.actor == moves.ROLLOUT:
        return "Stopped without an answer"
    if change.actor == moves.PERSON:
        return "Ended by a person"
    return "Withdrawn"


def headline(found: Progress) -> Headline:
    """What is said first about what is known."""
    if not found.reached:
        return _unknown("What serves whom is not known: the event database cannot be read", found)
    entry = found.current
    if entry is None:
        title = "No rollout yet: nothing is written in the ledger"
        step = "The first one begins when a retraining hands over a challenger."
        return Headline("wait", title, "", "", (), step)
    if not found.on:
        return _at_rest(entry)
    if found.decision is None:
        return _unknown(f"{_standing(found)}; how it does is not known", found)
    return _going_on(found, found.decision)


def _unknown(title: str, found: Progress) -> Headline:
    return Headline(
        "fail",
        title,
        f"Tried at {when(found.now)}.",
        "Why",
        (found.trouble or "",),
        "Services go on with the last state that they read. No figure is shown: none is known to be of now.",
    )


def _standing(found: Progress) -> str:
    assert found.current is not None
    share = found.current.state.challenger_share  # whatever params.yaml says by now
    if share == 0:
        return f"Version {found.challenger} works unseen"
    return f"Version {found.challenger} answers {share_in_words(share)}"


def _going_on(found: Progress, decision: Decision) -> Headline:
    new, old = f"version {found.challenger}", f"version {found.champion}"
    reasons, then = decision.reasons, decision.next
    if decision.action == "wait":
        title = f"Wait: {_standing(found)[0].lower()}{_standing(found)[1:]}"
        blocked = any(check.wrong for check in decision.split)
        lead = "It is not decided yet."
        if decision.nothing_against:
            lead = "Nothing speaks against it so far, but something is still missing."
        lead = "" if blocked else lead
        return Headline("review" if blocked else "wait", title, lead, "Before it goes on", reasons, then)
    soon = "The rollout flow does so at its next look."
    if decision.action == "advance":
        reach = share_in_words(decision.share)
        title = f"Go on: {new} is ready to answer {reach}"
        return Headline("pass", title, "", "Why", reasons, f"{then} {soon}")
    if decision.action == "rollback":
        title = f"Roll back: {new} has to go, {old} answers everybody"
        return Headline("fail", title, "", "Why", reasons, f"{soon} {then}")
    return Headline("review", f"Stop: no answer in time, {old} stays", "", "Why", reasons, f"{soon} {then}")


def _at_rest(entry: Entry) -> Headline:
    """What serves while no rollout is on, and who made it so."""
    if entry.change is None:
        title = "A state is in force that the ledger has no note of"
        return Headline(
            "review", title, f"Since {when(entry.state.since)}.", "", (), "The reconcile flow takes it over."
        )
    change, at = entry.change, when(entry.state.since)
    serves = f"version {change.champion_version} answers all customers"
    # After a rollback or a stop the champion mostly is who it was: the time is that of the decision.
    titles: dict[str, tuple[Tone, str]] = {
        "promote": ("pass", f"Promoted: {serves} since {at}"),
        "rollback": ("fail", f"Rolled back on {at}: {serves}"),
        "stop": ("review", f"{stopped(change)} on {at}: {serves}"),
        "adopt": ("wait", f"As MLflow has it: {serves} since {at}"),
    }
    tone, title = titles[change.action]
    then = "No rollout is on. The next one begins with the next challenger."
    if change.previous_version and change.action in ("promote", "adopt"):
        then += f" ticket-sentiment rollback brings version {change.previous_version} back within seconds."
    return Headline(tone, title, f"Decided by: {change.actor}.", "Why", (change.reason,), then)

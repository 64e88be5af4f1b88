"""What of a look is an alarm: pure functions of what was seen and of params.yaml.

Silence is not health: a database, a reference, labels or traffic that should be there and are not are alarms
of their own.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

import numpy as np

from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.gates.evidence_types import DriftTest
from ticket_sentiment.gates.rules.drift import NAMES
from ticket_sentiment.gates.words import number, share
from ticket_sentiment.monitoring.facts import HOUR, Facts, Window
from ticket_sentiment.params import Monitor, Params, Rollout, Severity
from ticket_sentiment.rollout.betting import Outcomes, lower_bound, upper_bound

Name = Literal[
    "AnswersDrifted",
    "FeedChanged",
    "QualityFell",
    "AbstentionsRose",
    "LabelsLate",
    "TrafficSilent",
    "SplitWrong",
    "ReferenceMissing",
    "MonitorBlind",
]
RUNBOOK = "docs/drift.md"
ALARM_KEY = "monitor "  # with what the keys of these alerts begin


@dataclass(frozen=True)
class Alarm:
    """Something that a person has to look at.

    Attributes:
        name: as the runbook has it.
        severity: as of alerts.
        summary: one sentence, for a person without statistics.
        evidence: the figures, a sentence each.
        measures: that moved; others are another trouble.
        retrains: whether it asks for a retraining: the world has changed, for days. What broke yesterday is
            mended, not learnt.
    """

    name: Name
    severity: Severity
    summary: str
    evidence: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    retrains: bool = False

    @property
    def runbook(self) -> str:
        """Where it says what to do."""
        return f"{RUNBOOK}#{self.name.lower()}"

    def alert(self, champion: str | None) -> Alert:
        """As it is told; of one champion the same alarm, of the same measures, is the same trouble."""
        key = " ".join((f"{ALARM_KEY}{self.name}", (champion or "nobody")[:12], *sorted(self.measures)))
        return Alert(self.name, self.severity, self.summary, self.evidence, self.runbook, key)


def accuracy_interval(right: int, labelled: int, alpha: float) -> tuple[float, float]:
    """Bounds of the accuracy that hold at every look of the month together, with probability 1 - alpha.

    The confidence sequence of rollout/betting.py, for answers that count 1 or -1.
    """
    both = np.full(2, -1.0), np.full(2, 1.0)
    outcomes = Outcomes(np.array([-1.0, 1.0]), np.array([labelled - right, right], dtype=float), *both)
    bounds = (lower_bound(outcomes, alpha / 2), upper_bound(outcomes, alpha / 2))
    low, high = ((1 + bound) / 2 for bound in bounds)
    return low, high


def covered(found: Facts, settings: Rollout) -> bool:
    """Whether enough of the audited tickets have a label to say something of quality, as for a rollout.

    Where few have, which ones may be no chance: the easy ones, or those that somebody looked at first.
    """
    return found.audited > 0 and found.labelled / found.audited >= settings.min_coverage


def quality_known(found: Facts, params: Params) -> bool:
    """Whether the champion's quality in service is known, so that without an alarm it is as it was."""
    enough = found.counted >= params.monitor.min_labels
    return found.accuracy is not None and enough and covered(found, params.rollout)


def label_sources(params: Params) -> str:
    """Whose labels count on both sides of a loss of quality; empty where they are the same."""
    here, then = params.rollout.audit_source, params.prepare.label_sources
    if then == [here]:
        return ""
    return (
        f"In service labels of {here} alone count, on the holdout those of {', '.join(then)}: a part of the "
        "difference may be theirs."
    )


def alarms(found: Facts, params: Params) -> tuple[Alarm, ...]:
    """All alarms of a look, the gravest first."""
    if found.champion is None:
        return ()
    settings = params.monitor
    made = [
        *_missing(found),
        *_drift(found),
        *(_quality(found, params) if quality_known(found, params) else ()),
        *_abstentions(found, settings),
        *_silence(found, settings),
    ]
    if wrong := [check for check in found.split if check.wrong]:
        what = "labels" if all(check.name == "coverage" for check in wrong) else "customers"
        summary = f"The arms of the rollout do not get the {what} they should."
        made.append(Alarm("SplitWrong", "ticket", summary, tuple(check.sentence for check in wrong)))
    return tuple(sorted(made, key=lambda alarm: alarm.severity == "info"))


def blind(reason: str) -> Alarm:
    """The event database did not answer."""
    return Alarm("MonitorBlind", "ticket", "How the model in service does is not known.", (reason,))


def _missing(found: Facts) -> Iterator[Alarm]:
    if not found.reference:
        summary = "There is nothing to compare the champion's answers with."
        severity: Severity = "info" if found.unreferenced else "ticket"
        yield Alarm("ReferenceMissing", severity, summary, found.trouble)


def moved(window: Window, but: Collection[str] = ()) -> dict[str, str]:
    """Each measure beyond its limit, and the effect and the limit; one without an answer is one, too.

    Args:
        window: its tests.
        but: measures that are left out.
    """
    return {
        name: f"{NAMES[name].capitalize()}: {_distance(test)}"
        for name, test in window.tests.items()
        if name not in but and (test.drifted or not test.usable)
    }


def _distance(test: DriftTest) -> str:
    if not test.usable:
        return "could not be compared"
    return f"distance {number(test.value, 3)}, limit {number(test.threshold, 3)}"


def _drift(found: Facts) -> Iterator[Alarm]:
    """The long window says what changed, the short one what has broken since."""
    if not found.windows:
        return
    short, long = found.windows
    if measures := moved(long):
        summary = f"What the champion is asked, or answers, is unlike its holdout (last {long.days:g} days)."
        lasting = ", ".join(NAMES[name] for name in found.lasting or ())
        since = f"For at least half of that time: {lasting}." if lasting else "It began lately."
        if found.lasting is None:
            since = "For how long is not known: there are too few answers before."
        evidence = (*measures.values(), f"{long.rows:,} answers.", since)
        yield Alarm("AnswersDrifted", "ticket", summary, evidence, tuple(measures), bool(lasting))
    usual = {name for name in found.lasting or () if _no_further(short.tests.get(name), long.tests[name])}
    if measures := moved(short, but=usual):
        summary = f"Something about the tickets changed within the last {short.days * 24:g} hours."
        evidence = (*measures.values(), f"{short.rows:,} answers.")
        yield Alarm("FeedChanged", "ticket", summary, evidence, tuple(measures))


def _no_further(now: DriftTest | None, long: DriftTest) -> bool:
    """Whether a measure lies where it has been all the time, and nothing has come on top of it."""
    if now is None or not now.usable or now.value is None or long.value is None:
        return False
    return now.value <= long.value + long.threshold


def _quality(found: Facts, params: Params) -> Iterator[Alarm]:
    settings = params.monitor
    assert found.accuracy is not None
    low, high = accuracy_interval(found.right, found.counted, settings.accuracy_alpha)
    if high < found.accuracy - settings.max_accuracy_loss:
        yield Alarm(
            "QualityFell",
            "ticket",
            "The champion is right less often than it was on its holdout.",
            (
                f"{share(found.right / found.counted)} of {found.counted:,} audited tickets since "
                f"{found.month:%-d %b}, surely between {share(low)} and {share(high)}.",
                f"{share(found.accuracy)} on its holdout; {share(settings.max_accuracy_loss)} less is fine.",
                *filter(None, (label_sources(params),)),
            ),
            retrains=True,
        )


def _abstentions(found: Facts, settings: Monitor) -> Iterator[Alarm]:
    for window in found.windows[:1]:
        if found.abstentions is None or window.abstentions is None or window.rows < settings.min_rows:
            continue
        if window.abstentions > found.abstentions + settings.max_abstention_rise:
            now, then = share(window.abstentions), share(found.abstentions)
            yield Alarm(
                "AbstentionsRose",
                "ticket",
                "The champion is unsure of more answers than it was on its holdout.",
                (f"{now} of {window.rows:,} answers, {then} then.",),
            )


def _silence(found: Facts, settings: Monitor) -> Iterator[Alarm]:
    began = found.last_answer or found.since or found.now
    quiet = found.now - began
    if quiet <= timedelta(hours=settings.max_traffic_silence_hours):
        yield from _labels_late(found, settings)
        return
    hours = f"{quiet / HOUR:.0f} hours"
    evidence = (
        f"The last answer was given {hours} ago."
        if found.last_answer
        else f"A model is in service for {hours}, and no answer is recorded."
    )
    yield Alarm("TrafficSilent", "ticket", "No ticket was answered for longer than usual.", (evidence,))


def _labels_late(found: Facts, settings: Monitor) -> Iterator[Alarm]:
    """The silence began with the first ticket of the audit after the last label that is old enough."""
    began = found.unlabelled_since
    if began is None or found.now - began <= timedelta(hours=settings.max_label_silence_hours):
        return
    hours = f"was answered {(found.now - began) / HOUR:.0f} hours ago"
    if found.last_label:
        summary = "Nobody labels the audited tickets any more."
        label = f"{(found.now - found.last_label) / HOUR:.0f} hours ago"
        since = f"The audit's last label came {label}, and the first audited ticket since {hours}"
    else:
        summary = "Nobody has labelled an audited ticket yet."
        since = f"The first of {found.audited:,} {hours}"
    yield Alarm("LabelsLate", "ticket", summary, (f"{since}; without labels quality is not known.",))

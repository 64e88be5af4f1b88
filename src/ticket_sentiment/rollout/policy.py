"""From evidence to what is done: go on, go back, wait, or stop. A pure function, the same at any later time.

Missing evidence never moves a rollout forward. A guardrail that is crossed ends it at once, whatever the
clock, the split or the minimum times say.
"""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Rollout, Step
from ticket_sentiment.rollout.assignment import ARMS
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.guardrails import (
    Guardrail,
    Name,
    SplitCheck,
    guardrails,
    points,
    split_checks,
)

Action = Literal["advance", "rollback", "wait", "stop"]
HOUR = timedelta(hours=1)
FEW_FAILURES = 3  # of a model, that tell nothing of it
_AHEAD = (
    "Are they right now, and the step began while one was ahead? `ticket-sentiment rollback` ends this "
    "rollout; the alias `challenger` in MLflow begins it anew."
)


@dataclass(frozen=True)
class Decision:
    """What to do, and why.

    Attributes:
        action: advance to `share`; rollback (worse, or not heard of); wait; stop (the time is up without an
            answer: the champion stays).
        share: of the customers whom the challenger answers from now on; 1 is promotion, and for `rollback`
            and `stop` 0.
        reasons: sentences for a support lead, with the figures.
        next: what would have to happen next.
        epoch: of the rollout state that the evidence was read at: carry it out only while that one holds.
        guardrails: all of them, for the page.
        split: the checks of the split, for the page.
        nothing_against: whether nothing seen so far leans against the challenger, so that what is missing is
            only yet to come.
    """

    action: Action
    share: float
    reasons: tuple[str, ...]
    next: str
    epoch: int
    guardrails: tuple[Guardrail, ...]
    split: tuple[SplitCheck, ...]
    nothing_against: bool = False


@dataclass(frozen=True)
class Plan:
    """The steps that hold for one rollout."""

    steps: tuple[Step, ...]
    max_days: float

    @classmethod
    def of(cls, settings: Rollout, hotfix: bool) -> "Plan":
        """Of params.yaml, with the overrides of a hotfix for one."""
        chosen = settings.hotfix if hotfix else settings
        return cls(tuple(chosen.steps), chosen.max_days)

    def share(self, step: int) -> float:
        """Of the customers in a step; the one after the last is promotion."""
        return self.steps[step].share if step < len(self.steps) else 1.0


def decide(evidence: Evidence, settings: Rollout) -> Decision:
    """What to do about a rollout.

    Args:
        evidence: all that is known, as counts.
        settings: section `rollout` of params.yaml.

    Raises:
        TicketSentimentError: the evidence is of a step that the settings do not have.
    """
    plan = Plan.of(settings, evidence.hotfix)
    if evidence.step >= len(plan.steps):
        raise TicketSentimentError(
            f"rollout evidence: step: {evidence.step} is not one of the {len(plan.steps)} steps of "
            "rollout.steps in params.yaml (counted from 0); nothing was decided. Were steps taken out while "
            "a rollout was on? Put them back, or end the rollout"
        )
    rails, split = guardrails(evidence, settings), split_checks(evidence, settings)

    def answer(action: Action, reasons: list[str], what_next: str) -> Decision:
        ahead = plan.share(evidence.step + 1)
        share = {"advance": ahead, "wait": plan.share(evidence.step)}.get(action, 0.0)
        well = not _against(evidence, settings, rails)
        return Decision(action, share, tuple(reasons), what_next, evidence.epoch, rails, split, well)

    if crossed := [rail for rail in rails if rail.state == "crossed"]:
        return answer("rollback", [rail.sentence for rail in crossed], _after_rollback(crossed))
    if evidence.missed_looks >= settings.missing_looks:
        looks = f"{evidence.missed_looks} looks in a row, limit {settings.missing_looks}"
        return answer(
            "rollback",
            [f"Nothing was heard of the challenger ({looks})."],
            "Find out why it does not answer, or why its answers do not reach the event database.",
        )
    if evidence.silent is not None and evidence.silent >= timedelta(hours=settings.max_silent_hours):
        return answer(
            "rollback",
            [f"Nobody was heard for {_hours(evidence.silent)}, limit {settings.max_silent_hours:g} hours."],
            "See whether tickets come, and whether what services answer reaches the event database.",
        )
    if reasons := _clock(evidence):
        return answer("wait", reasons, f"Set the clocks of the machines right. {_AHEAD}")
    missing = [
        *_silence(evidence, settings),
        *_wrong_split(split),
        *_missing(evidence, settings, plan, rails),
    ]
    last = evidence.step == len(plan.steps) - 1
    if evidence.at - evidence.rollout_since >= timedelta(days=plan.max_days) and (missing or not last):
        up = f"The {plan.max_days:g} days of this rollout are over without an answer; the champion stays."
        return answer("stop", [up, *missing], _after_stop(rails))
    if missing:
        return answer("wait", missing, _ahead(plan, evidence, "Once this is so"))
    return answer("advance", _grounds(plan, evidence, rails), _ahead(plan, evidence, "Now"))


def _against(evidence: Evidence, settings: Rollout, rails: tuple[Guardrail, ...]) -> bool:
    """Whether anything seen so far leans against the challenger, sure or not."""
    worse = (
        rail.estimate < 0 if rail.higher_is_better else rail.estimate > 0
        for rail in rails
        if rail.estimate is not None
    )
    return any(worse) or bool(_silence(evidence, settings) or _failing(evidence, settings))


def _after_rollback(crossed: list[Guardrail]) -> str:
    """A new training mends worse answers, but neither failures nor slowness."""
    names = {rail.name for rail in crossed}
    found = []
    if names - {"errors", "slow"}:
        found.append("Look at the tickets that it answers worse, then train a new one.")
    if "errors" in names:
        found.append("See in the services' log what its answers fail with, and mend that.")
    if "slow" in names:
        found.append(
            "See why it is slow: a larger bundle (reports/release.html), or the machines that answer with it."
        )
    return " ".join(found)


def _clock(evidence: Evidence) -> list[str]:
    """A clock that jumped back would make minimum times meaningless."""
    began = max(evidence.step_since, evidence.rollout_since)
    if evidence.at >= began and evidence.step_since >= evidence.rollout_since:
        return []
    return [
        f"The clocks disagree: it is {evidence.at:%Y-%m-%d %H:%M %Z}, the step began at "
        f"{evidence.step_since:%Y-%m-%d %H:%M %Z}, the rollout at {evidence.rollout_since:%Y-%m-%d %H:%M %Z}."
    ]


def _silence(evidence: Evidence, settings: Rollout) -> list[str]:
    if evidence.silent is not None:
        return [
            f"Nobody was heard since the last look, for {_hours(evidence.silent)} by now: no ticket came, or "
            f"their answers do not reach the event database; it is rolled back at "
            f"{settings.max_silent_hours:g} hours."
        ]
    if evidence.fresh:
        return []
    return [
        "Nothing new was heard of the challenger since the last look, but of the champion; it is rolled back "
        f"at {settings.missing_looks} such looks in a row, this is number {evidence.missed_looks}."
    ]


def _hours(time: timedelta) -> str:
    return f"{time / HOUR:.1f} hours"


def _wrong_split(split: tuple[SplitCheck, ...]) -> list[str]:
    return [check.sentence for check in split if check.wrong]


def _missing(evidence: Evidence, settings: Rollout, plan: Plan, rails: tuple[Guardrail, ...]) -> list[str]:
    """What this step still lacks."""
    step = plan.steps[evidence.step]
    found = []
    hours = (evidence.at - evidence.step_since) / HOUR
    if hours < step.min_hours:
        found.append(f"This step has lasted {hours:.0f} hours of at least {step.min_hours:g}.")
    if evidence.paired.labels < step.min_labels:
        found.append(
            f"{evidence.paired.labels:,} tickets that both models scored have a label, "
            f"at least {step.min_labels:,} are needed."
        )
    met = _units(evidence)
    if met < step.min_units:
        found.append(
            f"The challenger answered {met:,} customers in this step, at least {step.min_units:,} are needed."
        )
    found += _coverage(evidence, settings)
    found += _failing(evidence, settings)
    found += [
        rail.sentence
        for rail in rails
        if rail.name in deciding(plan, evidence.step) and rail.state != "clear"
    ]
    better = [rail for rail in rails if rail.name == "paired_quality"]
    if settings.require_improvement and deciding(plan, evidence.step):
        found += [
            f"{rail.sentence} It must be better, not merely no worse." for rail in better if not rail.improved
        ]
    return list(dict.fromkeys(found))


def _units(evidence: Evidence) -> int:
    """Customers whom the challenger answered in this step."""
    here = [item for item in evidence.epochs if item.began >= evidence.step_since]
    return max((item.errors.challenger.units for item in here), default=0)


def _coverage(evidence: Evidence, settings: Rollout) -> list[str]:
    """Labels that never come may be those of the worst tickets: too few in one arm blocks every step."""
    found = []
    for arm, coverage in zip(ARMS, evidence.coverage, strict=True):
        if arm == "challenger" and evidence.step == 0:
            continue  # it has answered nobody
        if coverage.share is None:
            found.append(f"No audited ticket that the {arm} answered is old enough to have a label.")
        elif coverage.share < settings.min_coverage:
            found.append(
                f"{coverage.share:.0%} of the {coverage.mature:,} audited tickets that the {arm} answered "
                f"have a label, at least {settings.min_coverage:.0%} are needed."
            )
    if evidence.coverage.challenger.mature and not any(
        item.unlabelled.challenger.n for item in evidence.epochs
    ):
        found.append("Whether labels come for both arms alike is not known: their sums are not there.")
    return found


def _failing(evidence: Evidence, settings: Rollout) -> list[str]:
    """Tickets that it fails on are in no pair: it would be judged by those that it can read."""
    failed, allowed = evidence.unseen.failed, settings.margins.errors
    tried = failed + evidence.unseen.scored
    if failed < FEW_FAILURES or failed <= allowed * tried:
        return []
    return [
        f"The challenger failed on {failed:,} of the {tried:,} tickets that it was to score unseen, more "
        f"than {allowed:.1%}: the service's log names the errors."
    ]


def deciding(plan: Plan, step: int) -> tuple[Name, ...]:
    """The guardrails that must be clear to leave a step: to meet customers, and to get all of them."""
    if step == len(plan.steps) - 1:
        return ("paired_quality", "errors", "slow")
    return ("paired_quality",) if step == 0 else ()


def _grounds(plan: Plan, evidence: Evidence, rails: tuple[Guardrail, ...]) -> list[str]:
    needed = deciding(plan, evidence.step)
    clear = [rail.sentence for rail in rails if rail.name in needed]
    return clear or ["No guardrail is crossed, and the step has its hours, labels and customers."]


def _ahead(plan: Plan, evidence: Evidence, when: str) -> str:
    share = plan.share(evidence.step + 1)
    if share == 1:
        return f"{when}, the challenger answers all customers: it becomes the champion."
    return f"{when}, the challenger answers {share:.0%} of the customers."


def _after_stop(rails: tuple[Guardrail, ...]) -> str:
    quality = next(rail for rail in rails if rail.name == "paired_quality")
    margin = points(quality.margin, signed=False)
    return (
        "For an answer next time: label more tickets (rollout.audit_share), allow more days "
        f"(rollout.max_days) or a wider margin than {margin} (rollout.margins.quality)."
    )

"""Rollouts that only watch: every guardrail is looked at until the time is up, whatever the others say.

In a rollout that decides, a model that is bad in one way is mostly rolled back before another test could make
its mistake. Here each test has all the time to make it.
"""

from dataclasses import dataclass, field
from datetime import timedelta

from ticket_sentiment.params import Rollout
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.guardrails import guardrails, split_checks
from ticket_sentiment.rollout.policy import Decision, Plan
from ticket_sentiment.rollout.scenario import Scenario, Traffic
from ticket_sentiment.rollout.simulation import simulate


@dataclass
class Watch:
    """A judge that decides nothing: it goes through the steps by the clock and notes what it saw first.

    Attributes:
        days: after which it ends.
        until: it ends earlier when all of these were seen; none: it does not.
        seen: what was ever seen (for example `errors crossed`) to the labels that had come by then.
    """

    days: float
    until: frozenset[str] = frozenset()
    seen: dict[str, int] = field(default_factory=dict)

    def __call__(self, evidence: Evidence, settings: Rollout) -> Decision:
        rails, split = guardrails(evidence, settings), split_checks(evidence, settings)
        notes = [f"{rail.name} {rail.state}" for rail in rails]
        notes += [f"{rail.name} improved" for rail in rails if rail.improved]
        notes += [f"{check.name} wrong" for check in split if check.wrong]
        for note in notes:
            self.seen.setdefault(note, evidence.paired.labels)
        plan = Plan.of(settings, evidence.hotfix)
        last = evidence.step == len(plan.steps) - 1
        over = evidence.at - evidence.rollout_since >= timedelta(days=self.days)
        over |= bool(self.until) and self.until <= self.seen.keys()
        hours = timedelta(hours=plan.steps[evidence.step].min_hours)
        ready = not last and evidence.at - evidence.step_since >= hours
        action = "stop" if over else "advance" if ready else "wait"
        return Decision(
            action, plan.share(evidence.step + 1), ("watching",), "", evidence.epoch, rails, split
        )


def watch(
    scenario: Scenario,
    traffic: Traffic,
    settings: Rollout,
    objective_ms: float,
    seed: int,
    until: frozenset[str] = frozenset(),
) -> dict[str, int]:
    """What was ever seen in one rollout, and after how many labels."""
    judge = Watch(settings.max_days, until)
    simulate(scenario, traffic, settings, objective_ms, seed, judge=judge)
    return judge.seen


def straight_to_half(settings: Rollout, days: float) -> Rollout:
    """Settings for a watch that splits the customers in half at once, and has every ticket labelled."""
    shadow, half = settings.steps[0], settings.steps[-1]
    steps = [shadow.model_copy(update={"min_hours": 0.0}), half.model_copy(update={"share": 0.5})]
    return settings.model_copy(update={"steps": steps, "max_days": days, "audit_share": 1.0})

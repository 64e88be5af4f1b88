"""`ticket-sentiment simulate`: what a policy would do, before a model meets a customer.

Thousands of rollouts with the decisions of `policy.decide` itself: how often a good challenger is refused and
a bad one promoted, after how many days, tickets and labels. A team chooses rollout in params.yaml with it.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, Rollout
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.guardrails import Name
from ticket_sentiment.rollout.policy import Action, Decision, Plan, decide
from ticket_sentiment.rollout.scenario import Scenario, Traffic
from ticket_sentiment.rollout.world import World

Ending = Literal["promoted", "rolled back", "stopped"]
Judge = Callable[[Evidence, Rollout], Decision]
_ENDINGS: dict[Action, Ending] = {"advance": "promoted", "rollback": "rolled back", "stop": "stopped"}


@dataclass(frozen=True)
class Outcome:
    """How one simulated rollout ended.

    Attributes:
        ending: what became of the challenger.
        days: from the start of shadow.
        tickets: that came in meanwhile.
        labels: mature, of audited tickets.
        crossed: the guardrails that rolled it back.
    """

    ending: Ending
    days: float
    tickets: int
    labels: int
    crossed: tuple[Name, ...]


@dataclass(frozen=True)
class Summary:
    """Many rollouts of one scenario; shares of them, and medians."""

    scenario: Scenario
    runs: int
    promoted: float
    rolled_back: float
    stopped: float
    days: float
    tickets: float
    labels: float

    @property
    def false_promotion(self) -> float | None:
        """None where promotion is right."""
        return self.promoted if self.scenario.bad else None

    @property
    def false_rollback(self) -> float | None:
        """None where rollback is right."""
        return None if self.scenario.bad else self.rolled_back


def scenarios(settings: Rollout) -> tuple[Scenario, ...]:
    """The rows of the table; those "at the margin" are as bad as a challenger that must not be promoted."""
    margins = settings.margins
    return (
        Scenario("equal"),
        Scenario("2 points better", gain=0.02),
        Scenario("5 points worse", gain=-0.05),
        Scenario("2 % more errors", more_errors=0.02),
        Scenario("50 % slower", slower=1.5),
        Scenario("worse by the margin: answers", gain=-margins.quality),
        Scenario("worse by the margin: errors", more_errors=margins.errors),
        Scenario("worse by the margin: slow", more_slow=margins.slow),
    )


def simulate(
    scenario: Scenario,
    traffic: Traffic,
    settings: Rollout,
    objective_ms: float,
    seed: int,
    hotfix: bool = False,
    judge: Judge = decide,
) -> Outcome:
    """One rollout, from shadow to its end.

    Args:
        scenario: the models as they truly are.
        traffic: what comes in.
        settings: section `rollout` of params.yaml.
        objective_ms: `serve.objective_ms`.
        seed: another one, another rollout.
        hotfix: with its overrides.
        judge: what decides.
    """
    plan = Plan.of(settings, hotfix)
    world = World(scenario, traffic, settings, objective_ms, np.random.default_rng(seed))
    while True:
        world.step()
        decision = judge(world.evidence(hotfix), settings)
        if decision.action == "wait":
            continue
        if decision.action == "advance" and world.step_index + 1 < len(plan.steps):
            world.begin_step(world.step_index + 1, decision.share)
            continue
        crossed = tuple(rail.name for rail in decision.guardrails if rail.state == "crossed")
        ending = _ENDINGS[decision.action]
        return Outcome(ending, world.days, world.tickets, world.paired_labels, crossed)


def summarise(scenario: Scenario, outcomes: Sequence[Outcome]) -> Summary:
    """Shares and medians."""

    def share(ending: Ending) -> float:
        return sum(outcome.ending == ending for outcome in outcomes) / len(outcomes)

    return Summary(
        scenario,
        len(outcomes),
        *(share(ending) for ending in ("promoted", "rolled back", "stopped")),
        *(float(np.median([getattr(o, key) for o in outcomes])) for key in ("days", "tickets", "labels")),
    )


def table(summaries: Iterable[Summary]) -> Iterator[str]:
    """Lines of a Markdown table. A share that is a mistake is bold."""
    yield "| challenger | promoted | rolled back | no answer | days | tickets | labels |"
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"
    for found in summaries:
        promoted, back = f"{found.promoted:.1%}", f"{found.rolled_back:.1%}"
        cells = (
            found.scenario.name,
            promoted if found.false_promotion is None else f"**{promoted}**",
            back if found.false_rollback is None else f"**{back}**",
            f"{found.stopped:.1%}",
            f"{found.days:.1f}",
            f"{found.tickets:,.0f}",
            f"{found.labels:,.0f}",
        )
        yield f"| {' | '.join(cells)} |"


def main(params: Params, traffic: Traffic, runs: int, seed: int, hotfix: bool = False) -> None:
    """Print the table, a row as soon as its scenario is done.

    Raises:
        TicketSentimentError: an option is out of range.
    """
    _check(traffic, runs)
    lines = table(
        summarise(
            scenario,
            [
                simulate(scenario, traffic, params.rollout, params.serve.objective_ms, seed + run, hotfix)
                for run in range(runs)
            ],
        )
        for scenario in scenarios(params.rollout)
    )
    print(
        f"{runs:,} rollouts of each challenger; {traffic.tickets_per_day:g} tickets a day of "
        f"{traffic.customers:,} customers, {traffic.looks_per_day} looks a day; a label for "
        f"{traffic.label_share:.0%} of the audited {params.rollout.audit_share:.0%} after "
        f"{traffic.label_hours:g} hours (median)\n"
    )
    for line in lines:
        print(line, flush=True)
    print("\nDays, tickets and labels until the end: medians. Bold: a mistake, for that challenger.")


def _check(traffic: Traffic, runs: int) -> None:
    rules = (
        (runs >= 1, "--runs", "a whole number from 1"),
        (traffic.tickets_per_day > 0, "--tickets-per-day", "a number above 0"),
        (traffic.customers >= 2, "--customers", "a whole number from 2"),
        (0 <= traffic.label_share <= 1, "--label-share", "a share from 0 to 1"),
        (traffic.label_hours > 0, "--label-hours", "a number above 0"),
        (traffic.looks_per_day >= 1, "--looks-per-day", "a whole number from 1"),
    )
    for holds, option, expected in rules:
        if not holds:
            raise TicketSentimentError(f"{option}: expected {expected}")

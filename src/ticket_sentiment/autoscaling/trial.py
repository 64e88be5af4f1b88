"""Policies through the days: every scenario under every policy, and what they are held against."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.autoscaling.policy import Policy, read_policy
from ticket_sentiment.autoscaling.queue import Worker, room, worker
from ticket_sentiment.autoscaling.references import clairvoyant, fixed
from ticket_sentiment.autoscaling.simulation import Day, blind, scale_downs, simulate
from ticket_sentiment.autoscaling.surroundings import Surroundings, read_surroundings
from ticket_sentiment.autoscaling.traffic import SCENARIOS, Scenario, busiest_day, rates, requests
from ticket_sentiment.costs.case import Case
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params
from ticket_sentiment.serving.engine import QUEUE_SHARE


@dataclass(frozen=True)
class Setting:
    """What all days have in common.

    Attributes:
        policies: the first one is judged.
        worker: what one does at each load.
        workers: of a pod.
        planned: requests a second that the cost model plans for a pod.
        busiest: requests a second at the busiest moment, without noise.
        mean: requests a second of each second of the day, without noise.
        usd_per_hour: of a pod's share of a machine.
    """

    policies: tuple[Policy, ...]
    params: Params
    around: Surroundings
    worker: Worker
    workers: int
    planned: float
    busiest: float
    mean: NDArray[np.float64]
    usd_per_hour: float

    @property
    def peak_replicas(self) -> int:
        """Pods that the cost model plans for the busiest moment."""
        return max(self.policies[0].minimum, math.ceil(self.busiest / self.planned - 1e-9))


@dataclass(frozen=True)
class Result:
    """One scenario: its requests, the days under the policies, and the two references."""

    scenario: Scenario
    days: tuple[Day, ...]
    clairvoyant: Day
    fixed: Day

    def hours(self, day: Day) -> float:
        """Replica-hours of a day over those of the clairvoyant's."""
        return day.replica_seconds / self.clairvoyant.replica_seconds

    def scale_downs(self, policy: Policy, day: Day) -> int:
        """How often pods were taken away while a metric of the policy was missing."""
        return scale_downs(day, blind(self.scenario, policy))


def build_setting(
    params: Params, case: Case, policies: Sequence[Path], peak_replicas: float | None = None
) -> Setting:
    """From params.yaml, the cost model and the manifests.

    Args:
        params: sections autoscale and serve.
        case: its machine, work, profile and prices.
        policies: manifests.
        peak_replicas: pods planned for the busiest moment; None takes the case's own tickets.

    Raises:
        TicketSentimentError: a manifest cannot be followed, or policies have different limits.
    """
    serve, workers = params.serve, params.serve.workers
    found = tuple(read_policy(path) for path in policies)
    limits = {(one.minimum, one.maximum) for one in found}
    if len(limits) > 1:
        raise TicketSentimentError(
            f"autoscale.policies: {', '.join(map(str, policies))} have different limits of replicas: only "
            "with the same ones can they be held against the same policy that knows the traffic"
        )
    work = case.work()
    share = workers / case.cpu.vcpus
    planned = case.capacity().planned * share
    hours = busiest_day(case.traffic)
    busiest = float(hours.max()) if peak_replicas is None else peak_replicas * planned
    held = room(work, serve.objective_ms, serve.max_queue, QUEUE_SHARE)
    hourly = case.hourly(case.cpu, case.costs.purchase)
    if hourly is None:
        raise TicketSentimentError(f"costs.purchase: no spot price of {case.cpu.instance} is known")
    return Setting(
        found,
        params,
        read_surroundings(params),
        worker(work, serve.objective_ms, held),
        workers,
        planned,
        busiest,
        rates(hours, busiest),
        hourly * share,
    )


def try_scenario(setting: Setting, scenario: Scenario) -> Result:
    """A scenario's day under each policy and the references."""
    knobs, worker, workers = setting.params.autoscale, setting.worker, setting.workers
    sent = requests(setting.mean, knobs.unsteadiness, scenario, knobs.seed)
    first, around = setting.policies[0], setting.around
    days = tuple(
        simulate(policy, scenario, sent, worker, workers, around, knobs.seed, policy.minimum)
        for policy in setting.policies
    )
    start = around.node_start_s + around.pod_start_s
    known = clairvoyant(sent, worker, workers, (first.minimum, first.maximum), knobs.max_missed, start)
    return Result(scenario, days, known, fixed(sent, worker, workers, setting.peak_replicas))


def try_all(setting: Setting, said: Callable[[Result], None] = lambda result: None) -> list[Result]:
    """Every scenario; `said` hears of each as soon as it is done."""
    results = []
    for scenario in SCENARIOS:
        results.append(try_scenario(setting, scenario))
        said(results[-1])
    return results

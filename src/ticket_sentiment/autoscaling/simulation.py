"""A day of traffic under a policy, second by second: what was missed, what ran, what it was scaled by."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.autoscaling import metrics
from ticket_sentiment.autoscaling.fleet import Fleet
from ticket_sentiment.autoscaling.hpa import Autoscaler
from ticket_sentiment.autoscaling.keda import Trigger
from ticket_sentiment.autoscaling.policy import Metric, Policy
from ticket_sentiment.autoscaling.queue import Worker
from ticket_sentiment.autoscaling.replicas import Pod, Tolerances, average_value, utilisation
from ticket_sentiment.autoscaling.surroundings import Surroundings
from ticket_sentiment.autoscaling.traffic import MINUTE, Scenario, Span, within

Requests = NDArray[np.int64]
HALF = 0.5


@dataclass
class Day:
    """What became of a day.

    Attributes:
        requests: of the day.
        missed: requests that were refused, late or lost.
        lost: of those, requests that went to a pod whose node had gone.
        replica_seconds: of pods, from their creation to their end.
        node_seconds: of nodes that were paid for.
        serving: pods that answered, at the start of each minute.
        missed_by_minute: requests that missed the objective in each minute.
        changes: second, replicas before, replicas after.
        killed: pods that were on their nodes to the last, and had no time to stop.
    """

    requests: int
    missed: float = 0.0
    lost: float = 0.0
    replica_seconds: float = 0.0
    node_seconds: float = 0.0
    serving: list[int] = field(default_factory=list)
    missed_by_minute: list[float] = field(default_factory=list)
    changes: list[tuple[int, int, int]] = field(default_factory=list)
    killed: int = 0

    @property
    def share_missed(self) -> float:
        """Share of the requests that missed the objective."""
        return self.missed / self.requests


class _Control:
    """The autoscaler with its eyes: what it was told, what it decides."""

    def __init__(self, policy: Policy, scenario: Scenario, seen: metrics.Prometheus, memory: float) -> None:
        self._policy, self._scenario, self._seen, self._memory = policy, scenario, seen, memory
        self._hpa = Autoscaler(policy)
        self._triggers = {one: Trigger(one.target, policy.fallback) for one in policy.metrics}
        self._tolerances = Tolerances.of(policy.behavior)

    def sync(self, second: int, fleet: Fleet, busy: float) -> int:
        """Replicas that there shall be."""
        asked = [self._asks(metric, second, fleet, busy) for metric in self._policy.metrics]
        return self._hpa.sync(second, fleet.replicas, asked)

    def _asks(self, metric: Metric, second: int, fleet: Fleet, busy: float) -> int | None:
        if metric.kind == "in_flight":
            away = within(second, self._scenario.prometheus_away)
            reading = None if away else self._seen.query(second, metric)
            value = self._triggers[metric].value(reading, fleet.replicas)
            there = len(fleet.present)
            return None if value is None else average_value(value, metric.target, there, self._tolerances)
        if within(second, self._scenario.metrics_away):
            return None
        pods: list[Pod] = (
            metrics.processor(second, fleet, busy)
            if metric.kind == "cpu"
            else metrics.memory(second, fleet, self._memory)
        )
        return utilisation(pods, metric.target, fleet.replicas, self._tolerances)


def simulate(
    policy: Policy,
    scenario: Scenario,
    requests: Requests,
    worker: Worker,
    workers: int,
    around: Surroundings,
    seed: int,
    replicas: int,
) -> Day:
    """A day under a policy.

    Args:
        policy: as it is shipped.
        scenario: what happens.
        requests: of each second.
        worker: what one does at each load.
        workers: of a pod.
        around: times of the cluster.
        seed: of what scrapes see.
        replicas: at the start.
    """
    fleet = Fleet(around, replicas)
    seen = metrics.Prometheus(worker, workers, np.random.default_rng(seed))
    control = _Control(policy, scenario, seen, around.memory)
    day = Day(int(requests.sum()))
    missed_at, busy_at = worker.missed.tolist(), worker.busy.tolist()
    sync, scrape = int(policy.sync_s), int(around.scrape_s)
    windows, busy, missed = [0.0, 0.0], 0.0, 0.0
    for second, count in enumerate(requests.tolist()):
        fleet.advance(second)
        if second == scenario.notice:
            fleet.interrupt(second, HALF)
        targets = fleet.serving + fleet.unnoticed
        row = worker.row(count / (targets * workers)) if targets else len(missed_at) - 1
        lost = count * fleet.unnoticed / targets if targets else count
        miss = lost + (count - lost) * missed_at[row]
        missed, day.lost, busy = missed + miss, day.lost + lost, busy + busy_at[row]
        day.replica_seconds += len(fleet.pods)
        day.node_seconds += fleet.nodes
        if second % MINUTE == 0:
            day.serving.append(fleet.serving)
        if second % MINUTE == MINUTE - 1:
            day.missed_by_minute.append(missed)
            day.missed, missed = day.missed + missed, 0.0
        if second % scrape == scrape // 2:
            pods = [pod for pod in fleet.pods if pod.ready <= second < pod.leaves]
            half = within(second, scenario.half_scraped)
            seen.scrape(second, pods[::2] if half else pods, row)
        if second % sync == sync - 1:
            wanted = control.sync(second, fleet, windows[0])
            windows, busy = [windows[1], busy / sync], 0.0
            if wanted != fleet.replicas:
                day.changes.append((second, fleet.replicas, wanted))
                fleet.scale(second, wanted)
    day.killed = fleet.killed
    return day


def blind(scenario: Scenario, policy: Policy) -> tuple[Span, ...]:
    """When one of a policy's metrics is missing."""
    kinds = {metric.kind for metric in policy.metrics}
    found = scenario.prometheus_away if "in_flight" in kinds else ()
    return found + (scenario.metrics_away if kinds - {"in_flight"} else ())


def scale_downs(day: Day, spans: Sequence[Span]) -> int:
    """How often replicas were taken away within some spans."""
    return sum(after < before and within(second, tuple(spans)) for second, before, after in day.changes)

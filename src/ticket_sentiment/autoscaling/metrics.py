"""What the autoscaler sees of simulated pods: samples of a while ago, and no more than was scraped."""

from collections.abc import Sequence

import numpy as np

from ticket_sentiment.autoscaling.fleet import Fleet
from ticket_sentiment.autoscaling.fleet import Pod as SimulatedPod
from ticket_sentiment.autoscaling.policy import Metric
from ticket_sentiment.autoscaling.queue import Worker
from ticket_sentiment.autoscaling.replicas import Pod

RESOLUTION_S = 15.0  # of metrics-server, and its window


class Prometheus:
    """Requests in flight of each pod, as they were at each scrape."""

    def __init__(self, worker: Worker, workers: int, draw: np.random.Generator) -> None:
        self._worker, self._workers, self._draw = worker, workers, draw
        self._scrapes: list[tuple[float, dict[int, int]]] = []

    def scrape(self, now: float, pods: Sequence[SimulatedPod], row: int) -> None:
        """Ask each pod how many requests it holds at this moment.

        Args:
            now: seconds.
            pods: that are asked.
            row: of the worker's table, the same load for all of them.
        """
        chances = self._draw.random(len(pods) * self._workers)
        held = np.searchsorted(self._worker.met[row], chances).reshape(len(pods), self._workers).sum(axis=1)
        sample = {pod.number: int(count) for pod, count in zip(pods, held, strict=True)}
        self._scrapes = [*self._scrapes[-40:], (now, sample)]

    def query(self, now: float, metric: Metric) -> float | None:
        """The metric's value; None where no sample is young enough."""
        recent = [sample for when, sample in self._scrapes if now - metric.window_s < when <= now]
        return in_flight(recent, metric)


def in_flight(recent: Sequence[dict[int, int]], metric: Metric) -> float | None:
    """Of the scrapes in a metric's window, each with its pods' samples, what its query makes.

    The mean of each pod's samples, added: a pod that has gone counts in full until its last sample is too
    old. Or the mean of the scrapes' sums: it counts for as long as it was there.
    """
    if not any(recent):
        return None
    if not metric.of_pods:
        return sum(sum(sample.values()) for sample in recent) / len(recent)
    pods = {number for sample in recent for number in sample}
    samples = ([sample[number] for sample in recent if number in sample] for number in pods)
    return sum(sum(some) / len(some) for some in samples)


def processor(now: float, fleet: Fleet, busy: float) -> list[Pod]:
    """Pods with their use of the processor, as a share of what they request.

    Args:
        now: seconds.
        fleet: whose pods are seen.
        busy: share of its time in which each worker worked, in the window before the last.
    """
    found = []
    for pod in fleet.pods:
        if pod.leaves <= now:
            found.append(Pod(1.0, None, "ignored"))
        elif pod.ready > now - 2 * RESOLUTION_S:
            found.append(Pod(1.0, None, "unready"))
        else:
            found.append(Pod(1.0, busy))
    return found


def memory(now: float, fleet: Fleet, share: float) -> list[Pod]:
    """The same for memory: what a pod holds does not follow its load."""
    return [
        Pod(1.0, None, "ignored")
        if pod.leaves <= now
        else Pod(1.0, share)
        if pod.ready <= now
        else Pod(1.0, None, "unready")
        for pod in fleet.pods
    ]

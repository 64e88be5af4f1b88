"""From a measured speed to what an instance may be given: tickets a second that still meet the objective.

An instance runs one worker on each vCPU; a worker answers one request after another, on one thread. Requests
come at random, so a busy worker makes them wait: that, not its peak, limits what it may be given.

Each worker is an M/G/1 queue. At an arrival rate lambda its waits fall off exponentially, at the rate eta > 0
with lambda (E[exp(eta S)] - 1) = eta, where S is a request's work:

    P(W > t) = alpha exp(-eta t),   alpha = (1 - lambda E[S]) / (lambda E[S exp(eta S)] - 1)

(the Cramér-Lundberg asymptote; from the 90th percentile on such approximations are remarkably accurate:
Abate, Choudhury and Whitt, Operations Research 43, 1995). A request is late when W + S passes the objective.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.gates.evidence_types import Batch1

Z95 = NormalDist().inv_cdf(0.95)
GRID = 400  # equally likely tickets that stand for all
Z = np.array([NormalDist().inv_cdf((place + 0.5) / GRID) for place in range(GRID)])
STEPS = 60  # halvings: far below what can be measured
LARGEST = 300.0  # exponent: beyond it a wait of one slowest request is rarer than anything that is asked for


@dataclass(frozen=True)
class Work:
    """What one request takes of one worker: times in milliseconds, and how likely each is."""

    times_ms: NDArray[np.float64]
    weights: NDArray[np.float64]

    @property
    def mean_ms(self) -> float:
        """Mean over all requests, those answered from the cache among them."""
        return float(self.times_ms @ self.weights)


@dataclass(frozen=True)
class Capacity:
    """Requests a second of one instance.

    Attributes:
        peak: every worker always busy: no objective is met.
        at_objective: the most at which the objective is met.
        planned: what an instance is given: at most `utilisation` of the peak.
    """

    peak: float
    at_objective: float
    planned: float

    @property
    def load(self) -> float:
        """Share of the peak at which the objective is just met."""
        return self.at_objective / self.peak


def work(batch1: Batch1, tickets_per_second: float, request_ms: float, hit_rate: float) -> Work:
    """Work of a request: the model's for those that the cache does not answer, and all else for every one.

    Args:
        batch1: the model, one ticket at a time; a lognormal through its median and 95th percentile says how
            much tickets differ.
        tickets_per_second: of the model on one thread: the median of the benchmark's rounds, or another.
        request_ms: parsing, masking, recording, answering: of every request.
        hit_rate: share of the requests that the cache answers, [0, 1).
    """
    sigma = max(math.log(batch1.p95_ms / batch1.p50_ms) / Z95, 0.0)
    relative = np.exp(sigma * Z)
    model_ms = relative / relative.mean() * 1_000 / tickets_per_second
    times = np.append(request_ms + model_ms, request_ms)
    return Work(times, np.append(np.full(GRID, (1 - hit_rate) / GRID), hit_rate))


def late_share(task: Work, eta: float, objective_ms: float) -> float:
    """Share of late requests at the load that `load_at` gives for `eta`."""
    grown = np.exp(eta * task.times_ms) * task.weights
    rate = eta / (grown.sum() - 1)  # lambda
    alpha = (1 - rate * task.mean_ms) / (rate * float(task.times_ms @ grown) - 1)
    waits = np.minimum(alpha * np.exp(-eta * np.maximum(objective_ms - task.times_ms, 0.0)), 1.0)
    return float(np.where(task.times_ms >= objective_ms, 1.0, waits) @ task.weights)


def load_at(task: Work, eta: float) -> float:
    """Share of its time in which a worker works, where its waits fall off at the rate `eta` (1/ms)."""
    return eta * task.mean_ms / (float(np.exp(eta * task.times_ms) @ task.weights) - 1)


def highest_load(task: Work, objective_ms: float, objective_share: float) -> float:
    """The largest load, [0, 1), at which the share of requests meets the objective; 0 where none does."""
    allowed = 1 - objective_share
    high = LARGEST / float(task.times_ms.max())
    if late_share(task, high, objective_ms) > allowed:
        return 0.0
    low = high * 1e-6
    for _ in range(STEPS):  # a lower rate is a higher load and more requests are late
        eta = math.sqrt(low * high)
        low, high = (low, eta) if late_share(task, eta, objective_ms) <= allowed else (eta, high)
    return load_at(task, high)


def capacity(
    task: Work, workers: int, objective_ms: float, objective_share: float, utilisation: float
) -> Capacity:
    """What an instance of `workers` workers may be given; the other arguments as in params.yaml."""
    peak = workers * 1_000 / task.mean_ms
    load = highest_load(task, objective_ms, objective_share)
    return Capacity(peak, load * peak, min(load, utilisation) * peak)

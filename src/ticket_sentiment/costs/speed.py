"""From a measured speed to what an instance may be given: tickets a second that still meet the objective.

An instance runs one worker on each vCPU; a worker answers one request after another, on one thread. Requests
come at random, so a busy worker makes them wait: that, not its peak, limits what it may be given.

Wait of an M/G/1 queue at load rho, for those that wait: mean w = E[S] (1 + cv²) / (2 (1 - rho)), from the formula
of Pollaczek and Khinchine (e.g. Kleinrock, Queueing Systems 1, 1975), and nearly exponential:
P(W > t) = rho exp(-t / w) (Abate, Choudhury and Whitt, Operations Research 43, 1995). A request is late when its
wait and its own work pass the objective together; each of the two gets half of the share that may be late.
"""

import math
from dataclasses import dataclass
from statistics import NormalDist

from ticket_sentiment.gates.evidence_types import Batch1

Z95 = NormalDist().inv_cdf(0.95)
STEPS = 60  # halvings: far below what can be measured


@dataclass(frozen=True)
class Work:
    """What one request takes of one worker, in milliseconds.

    Attributes:
        mean_ms: mean over all requests, those answered from the cache among them.
        cv2: variance over the squared mean.
        slow_ms: of the slowest requests, at the level that was asked for.
    """

    mean_ms: float
    cv2: float
    slow_ms: float


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


def work(
    batch1: Batch1, tickets_per_second: float, request_ms: float, hit_rate: float, objective_share: float
) -> Work:
    """Work of a request: the model's for those that the cache does not answer, and all else for every one.

    Args:
        batch1: the model, one ticket at a time; a lognormal through its median and 95th percentile says how
            much tickets differ.
        tickets_per_second: of the model on one thread: the median of the benchmark's rounds, or another.
        request_ms: parsing, masking, recording, answering: of every request.
        hit_rate: share of the requests that the cache answers, [0, 1).
        objective_share: share of the requests that must meet the objective, for `slow_ms`.
    """
    model_ms = 1_000 / tickets_per_second
    sigma = max(math.log(batch1.p95_ms / batch1.p50_ms) / Z95, 0.0)
    second_moment = model_ms**2 * math.exp(sigma**2)
    misses = 1 - hit_rate
    mean = request_ms + misses * model_ms
    variance = misses * second_moment - (misses * model_ms) ** 2
    z = NormalDist().inv_cdf((1 + objective_share) / 2)
    slow = request_ms + model_ms * math.exp(z * sigma - sigma**2 / 2)
    return Work(mean, variance / mean**2, slow)


def highest_load(task: Work, objective_ms: float, objective_share: float) -> float:
    """The largest load, [0, 1), at which the share of requests meets the objective; 0 where none does."""
    left = objective_ms - task.slow_ms
    if left <= 0:
        return 0.0
    allowed = (1 - objective_share) / 2
    low, high = 0.0, 1.0
    for _ in range(STEPS):
        rho = (low + high) / 2
        wait = task.mean_ms * (1 + task.cv2) / (2 * (1 - rho))
        low, high = (rho, high) if rho * math.exp(-left / wait) <= allowed else (low, rho)
    return low


def capacity(
    task: Work, workers: int, objective_ms: float, objective_share: float, utilisation: float
) -> Capacity:
    """What an instance of `workers` workers may be given; the other arguments as in params.yaml."""
    peak = workers * 1_000 / task.mean_ms
    load = highest_load(task, objective_ms, objective_share)
    return Capacity(peak, load * peak, min(load, utilisation) * peak)

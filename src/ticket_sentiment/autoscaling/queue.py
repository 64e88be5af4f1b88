"""What one worker does with its share of the traffic: a table over the arrival rate, worked out once.

A worker answers one request after another and refuses one whose wait would pass its share of the objective,
so it is an M/G/1/K queue. Its queue fills and empties within a tenth of a second, so each second is taken as
stationary.

The embedded chain at departures (Kendall 1953; Gross and Harris, Fundamentals of Queueing Theory, 5.1): with
a_k the chance of k arrivals within one service, pi_j = pi_0 a_j + sum_{i=1}^{j+1} pi_i a_{j-i+1}, and with
rho the offered load, an arrival meets n requests with p_n = pi_n / (pi_0 + rho), and all K of them with
p_K = 1 - 1 / (pi_0 + rho).
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.costs.speed import Work

STEP = 0.01  # of the offered load between two rows
MOST = 8.0  # offered load of the last row; more is taken as this, when seven of eight are refused
Table = NDArray[np.float64]


@dataclass(frozen=True)
class Worker:
    """A worker at each offered load 0, STEP, ... MOST.

    Attributes:
        seconds: mean work of a request.
        missed: share of the requests that are refused or answered after the objective, [loads].
        busy: share of its time in which it works, [loads].
        met: chance that it holds at most so many requests, [loads, room + 1].
    """

    seconds: float
    missed: Table
    busy: Table
    met: Table

    @property
    def room(self) -> int:
        """Requests that it holds at most."""
        return self.met.shape[1] - 1

    @cached_property
    def held(self) -> Table:
        """Mean requests in flight, [loads]."""
        return self.room - self.met[:, :-1].sum(axis=1)

    def row(self, rate: float) -> int:
        """Row of the table for an arrival rate, requests a second."""
        return min(round(rate * self.seconds / STEP), len(self.missed) - 1)

    def rows(self, rates: Table) -> NDArray[np.int64]:
        """Rows for many arrival rates."""
        return np.minimum(np.rint(rates * self.seconds / STEP), len(self.missed) - 1).astype(np.int64)

    def capacity(self, misses: float) -> float:
        """Requests a second at which just this share of them misses the objective."""
        return float(np.interp(misses, self.missed, np.arange(len(self.missed)))) * STEP / self.seconds


def room(task: Work, objective_ms: float, max_queue: int, queue_share: float) -> int:
    """Requests that a worker holds before it refuses (serving.engine.Engine.require_room).

    Args:
        task: a request's work.
        objective_ms: within which it is to be answered.
        max_queue: `serve.max_queue`.
        queue_share: of the objective that a request may wait.
    """
    return max(1, min(max_queue, math.floor(queue_share * objective_ms / task.mean_ms) + 1))


def worker(task: Work, objective_ms: float, room: int) -> Worker:
    """The table of a worker.

    Args:
        task: a request's work.
        objective_ms: a request answered later missed it, as one that is refused.
        room: requests that it holds at most, the one in work among them.
    """
    loads = np.arange(0.0, MOST + STEP / 2, STEP)
    late = _late(task, objective_ms, room)
    met = np.ones((len(loads), room + 1))
    missed = np.zeros(len(loads))
    missed[0] = late[0]
    for row, load in enumerate(loads[1:], 1):
        states = _states(task, load, room)
        met[row] = np.cumsum(states)
        missed[row] = states[room] + float(states[:room] @ late)
    missed = np.maximum.accumulate(np.minimum(missed, 1.0))
    met = np.minimum(met, 1.0)
    met[:, -1] = 1.0
    return Worker(task.mean_ms / 1000, missed, 1 - met[:, 0], met)


def _arrivals(task: Work, load: float, most: int) -> Table:
    """Chance of 0, 1, ... most arrivals within one service."""
    means = load / task.mean_ms * task.times_ms
    counts = np.arange(most + 1)
    logs = np.array([math.lgamma(count + 1) for count in counts])
    with np.errstate(divide="ignore", invalid="ignore"):
        chances = np.exp(counts * np.log(means)[:, None] - means[:, None] - logs)
    chances[means == 0] = counts == 0  # nobody comes within no time
    return task.weights @ chances


def _states(task: Work, load: float, room: int) -> Table:
    """Chance that an arrival meets 0, 1, ... room requests."""
    arrivals = _arrivals(task, load, room)
    weights = np.zeros(room)  # of the states that a departure leaves, relative to the first
    weights[0] = 1.0
    for state in range(room - 1):
        before = weights[1 : state + 1] @ arrivals[state:0:-1] if state else 0.0
        weights[state + 1] = (weights[state] - weights[0] * arrivals[state] - before) / arrivals[0]
        if weights[state + 1] > 1e200:  # far above what it can do: only their ratios count
            weights /= weights[state + 1]
    left = np.maximum(weights, 0.0)
    left /= left.sum()
    return np.append(left / (left[0] + load), max(0.0, 1 - 1 / (left[0] + load)))


def _late(task: Work, objective_ms: float, room: int) -> Table:
    """Chance that who meets n requests is answered too late, [room].

    The rest of the one in work has the mean E[S²] / 2 E[S] and the variance E[S³] / 3 E[S] - mean² of a
    renewal process; the sum of those before it, of its own work and of that rest is taken as normal.
    """
    mean, second, third = (float(task.times_ms**power @ task.weights) for power in (1, 2, 3))
    rest, variance = second / (2 * mean), max(second - mean**2, 0.0)
    rest_variance = max(third / (3 * mean) - rest**2, 0.0)
    late = np.empty(room)
    late[0] = float(task.weights[task.times_ms > objective_ms].sum())
    for met in range(1, room):
        spread = math.sqrt(rest_variance + met * variance) or 1e-12
        late[met] = 0.5 * math.erfc((objective_ms - rest - met * mean) / (spread * math.sqrt(2)))
    return late

"""What a policy is held against: one that knows the traffic, and a fleet that never changes."""

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.autoscaling.queue import Worker
from ticket_sentiment.autoscaling.simulation import Day, Requests
from ticket_sentiment.autoscaling.traffic import MINUTE

TICK_S = 15  # in which the clairvoyant may change its mind


def missed_with(
    requests: Requests, replicas: NDArray[np.int64] | int, worker: Worker, workers: int
) -> NDArray[np.float64]:
    """Requests of each second that miss the objective with so many pods."""
    return requests * worker.missed[worker.rows(requests / (replicas * workers))]


def clairvoyant(
    requests: Requests, worker: Worker, workers: int, limits: tuple[int, int], misses: float, start_s: float
) -> Day:
    """The fewest pods that keep the objective in every tick, each paid from its start on.

    It knows each second's requests, starts a pod just so long before it is needed, and lets it go as soon as
    nothing needs it within the time of a start. No policy that misses as little in each tick can do with
    less.

    Args:
        requests: of each second.
        worker: what one does at each load.
        workers: of a pod.
        limits: fewest and most pods.
        misses: share of a tick's requests that may miss the objective.
        start_s: from a pod's creation until it is ready.
    """
    ticks = len(requests) // TICK_S
    of_tick = requests.reshape(ticks, TICK_S).sum(axis=1)
    needed = np.full(ticks, limits[1])
    for count in range(limits[1] - 1, limits[0] - 1, -1):
        late = missed_with(requests, count, worker, workers).reshape(ticks, TICK_S).sum(axis=1)
        needed[late <= misses * of_tick] = count
    ahead = int(np.ceil(start_s / TICK_S)) + 1
    padded = np.concatenate([needed, np.full(ahead - 1, limits[0])])
    paid = np.lib.stride_tricks.sliding_window_view(padded, ahead).max(axis=1)
    return _day(requests, np.repeat(needed, TICK_S), float(paid.sum() * TICK_S), worker, workers)


def fixed(requests: Requests, worker: Worker, workers: int, replicas: int) -> Day:
    """As many pods all day."""
    pods = np.full(len(requests), replicas)
    return _day(requests, pods, float(pods.sum()), worker, workers)


def _day(requests: Requests, pods: NDArray[np.int64], paid_s: float, worker: Worker, workers: int) -> Day:
    missed = missed_with(requests, pods, worker, workers)
    by_minute = missed.reshape(-1, MINUTE).sum(axis=1)
    return Day(
        int(requests.sum()),
        missed=float(missed.sum()),
        replica_seconds=paid_s,
        node_seconds=paid_s,
        serving=pods[::MINUTE].tolist(),
        missed_by_minute=by_minute.tolist(),
    )

"""The table of a worker, against closed forms and a simulation of the same queue."""

from collections import deque

import numpy as np
import pytest

from ticket_sentiment.autoscaling.queue import room, worker
from ticket_sentiment.costs.speed import GRID, Work

EXPONENTIAL = Work(-2.0 * np.log1p(-(np.arange(GRID) + 0.5) / GRID), np.full(GRID, 1 / GRID))  # mean 2 ms
EVEN = Work(np.array([2.0]), np.array([1.0]))
SPREAD = Work(np.array([1.0, 5.0]), np.array([0.75, 0.25]))


def at(task: Work, load: float, objective_ms: float = 1e9, held: int = 20):
    """Share that missed, share of the time at work, mean held, at a load."""
    table = worker(task, objective_ms, held)
    row = table.row(load / table.seconds)
    return float(table.missed[row]), float(table.busy[row]), float(table.held[row])


@pytest.mark.parametrize("load", [0.3, 0.8, 1.0, 1.5])
def test_exponential_work_gives_the_queue_of_the_textbook(load):
    """M/M/1/K: p_n in proportion to load^n."""
    states = load ** np.arange(21)
    states /= states.sum()
    refused, busy, held = at(EXPONENTIAL, load)
    assert refused == pytest.approx(states[-1], rel=0.05, abs=1e-4)
    assert busy == pytest.approx(1 - states[0], rel=0.01)
    assert held == pytest.approx(states @ np.arange(21), rel=0.03)


def test_what_is_refused_and_what_is_worked_add_up():
    for task in (EXPONENTIAL, EVEN, SPREAD):
        for load in (0.5, 1.0, 3.0):
            refused, busy, _ = at(task, load)
            assert busy == pytest.approx(load * (1 - refused), rel=1e-6)


def test_work_that_takes_no_time_keeps_nobody_waiting():
    cached = Work(np.array([4.0, 0.0]), np.array([0.5, 0.5]))
    missed, busy, _ = at(cached, 0.5)
    assert missed < 1e-3 and busy == pytest.approx(0.5, abs=1e-3)


def test_far_above_what_it_can_do_it_answers_just_that():
    refused, busy, held = at(EVEN, 4.0)
    assert refused == pytest.approx(0.75, abs=1e-6) and busy == pytest.approx(1.0) and held > 19


def test_a_simulation_of_the_same_queue_misses_as_many():
    draw, load, held, objective = np.random.default_rng(3), 0.95, 30, 50.0
    count = 150_000
    works = draw.choice(SPREAD.times_ms, count, p=SPREAD.weights)
    arrivals = np.cumsum(draw.exponential(SPREAD.mean_ms / load, count))
    ends, refused, late, last = deque(), 0, 0, 0.0
    for now, work in zip(arrivals.tolist(), works.tolist(), strict=True):
        while ends and ends[0] <= now:
            ends.popleft()
        if len(ends) >= held:
            refused += 1
            continue
        last = max(now, last) + work
        ends.append(last)
        late += last - now > objective
    missed, *_ = at(SPREAD, load, objective, held)
    assert missed == pytest.approx((refused + late) / count, rel=0.15)


def test_more_load_never_misses_less_and_a_capacity_is_where_it_just_misses_so_much():
    table = worker(SPREAD, 50.0, 30)
    assert (np.diff(table.missed) >= 0).all() and (np.diff(table.held) >= -1e-9).all()
    rate = table.capacity(0.001)
    assert table.missed[table.row(0.99 * rate)] < 0.001 < table.missed[table.row(1.02 * rate)]
    assert list(table.rows(np.array([0.0, rate, 1e9]))) == [0, table.row(rate), len(table.missed) - 1]


def test_a_worker_that_cannot_keep_the_objective_misses_all():
    missed, *_ = at(EVEN, 0.1, objective_ms=1.0)
    assert missed == pytest.approx(1.0)


def test_it_holds_what_fits_into_its_share_of_the_objective():
    assert room(EVEN, 100.0, 64, 0.5) == 26  # 25 wait 50 ms, and the one that then comes is the last
    assert room(EVEN, 100.0, 10, 0.5) == 10
    assert room(EVEN, 1.0, 64, 0.5) == 1

"""Throughput at the objective: by hand, and against a simulated queue."""

import math

import numpy as np
import pytest

from ticket_sentiment.costs.speed import Work, capacity, highest_load, late_share, load_at, work
from ticket_sentiment.gates.evidence_types import Batch1

EVEN = Batch1(p50_ms=2.0, p95_ms=2.0, texts_per_second=500.0)  # all tickets alike
UNEVEN = Batch1(p50_ms=17.0, p95_ms=26.0, texts_per_second=56.0)


def moments(task: Work) -> tuple[float, float]:
    """Mean, and variance over its square."""
    variance = (task.times_ms - task.mean_ms) ** 2 @ task.weights
    return task.mean_ms, variance / task.mean_ms**2


def test_work_of_equal_tickets_by_hand():
    assert moments(work(EVEN, 500.0, request_ms=1.0, hit_rate=0.0)) == pytest.approx((3.0, 0.0))


def test_hits_of_the_cache_take_the_request_s_time_only():
    # half of 2 ms beside 1 ms; the variance of 0 or 2 ms, each for half, is 1 ms²: 1 / 2²
    assert moments(work(EVEN, 500.0, request_ms=1.0, hit_rate=0.5)) == pytest.approx((2.0, 0.25))


def test_unequal_tickets_follow_a_lognormal():
    # sigma = ln(26 / 17) / 1.6449 = 0.25832; cv² = exp(sigma²) - 1 = 0.068999
    task = work(UNEVEN, 56.0, 0.0, 0.0)
    assert moments(task) == pytest.approx((1000 / 56, 0.068999), rel=0.01)
    assert np.quantile(task.times_ms[:-1], 0.95) / np.median(task.times_ms[:-1]) == pytest.approx(
        26 / 17, rel=0.01
    )


def test_exponential_work_is_the_queue_that_has_a_formula():
    """M/M/1: waits fall off at mu - lambda, and its whole time in the system is exponential at "
    "that rate, too."""
    quantiles = -np.log1p(-(np.arange(20_000) + 0.5) / 20_000)
    task = Work(quantiles * 10.0, np.full(20_000, 1 / 20_000))  # mean 10 ms
    rho = load_at(task, 0.02)
    assert rho == pytest.approx(1 - 0.02 * 10, rel=1e-3)
    assert late_share(task, 0.02, 150.0) == pytest.approx(math.exp(-0.02 * 150), rel=0.02)


def test_a_model_that_is_slower_than_the_objective_meets_it_at_no_load():
    assert highest_load(work(UNEVEN, 56.0, 0.0, 0.0), 25.0, 0.99) == 0.0


def test_a_tighter_objective_and_slower_work_leave_less():
    loads = [
        highest_load(work(UNEVEN, 56.0, 0.0, 0.0), objective, 0.99)
        for objective in (40.0, 60.0, 100.0, 1000.0)
    ]
    assert loads == sorted(set(loads)) and loads[0] < 0.3 and loads[-1] > 0.95
    assert highest_load(work(UNEVEN, 40.0, 0.0, 0.0), 100.0, 0.99) < loads[2]


@pytest.mark.parametrize("utilisation", [0.5, 1.0])
def test_capacity_by_hand(utilisation: float):
    # two workers of 2 ms: 1,000 a second at most
    found = capacity(work(EVEN, 500.0, 0.0, 0.0), 2, 20.0, 0.99, utilisation)
    assert found.peak == pytest.approx(1_000)
    assert found.at_objective == pytest.approx(found.load * 1_000)
    assert 0.5 < found.load < 1
    # the objective rules where it asks for less
    assert found.planned == pytest.approx(500 if utilisation == 0.5 else found.at_objective)


@pytest.mark.parametrize(
    ("batch1", "hit_rate", "objective"),
    [(UNEVEN, 0.0, 100.0), (UNEVEN, 0.0, 50.0), (UNEVEN, 0.6, 60.0), (EVEN, 0.0, 20.0)],
)
def test_a_simulated_queue_at_the_highest_load_just_keeps_the_objective(
    batch1: Batch1, hit_rate: float, objective: float
):
    """Lindley's recursion: 600,000 requests of one worker, at random."""
    task = work(batch1, batch1.texts_per_second, 1.0, hit_rate)
    rho = highest_load(task, objective, 0.99)
    random = np.random.default_rng(7)
    works = random.choice(task.times_ms, 600_000, p=task.weights)
    gaps = random.exponential(task.mean_ms / rho, len(works))
    steps = np.concatenate([[0.0], np.cumsum(works[:-1] - gaps[1:])])
    waits = steps - np.minimum.accumulate(steps)
    late = float(np.mean(waits + works > objective))
    assert late == pytest.approx(0.01, rel=0.15)

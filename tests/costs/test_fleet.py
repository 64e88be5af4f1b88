"""Whole machines, break-even and mixes: by hand, and against searches that try everything."""

import math
from itertools import product

import numpy as np
import pytest

from ticket_sentiment.costs.fleet import MOST_TICKETS, Pool, break_even, cheapest_mix, reserved_base
from ticket_sentiment.costs.traffic import read_traffic

FLAT = read_traffic("flat", 1.0).shares
OFFICE = read_traffic("office", 1.0).shares


def test_machines_are_whole_and_some_run_always():
    pool = Pool(tickets_per_second=10.0, usd_per_hour=0.5, minimum=2)
    load = np.array([0.0, 5.0, 20.0, 20.1, 55.0])
    assert pool.instances(load).tolist() == [2, 2, 2, 3, 6]
    # 15 instance-hours in 5 hours: 3 on average, 0.5 dollars, 730 hours
    assert pool.usd_per_month(load) == pytest.approx(3 * 0.5 * 730)


def test_what_is_paid_always_is_as_many_as_the_busiest_hour_needs():
    pool = Pool(10.0, 0.5, 2, always=True)
    assert pool.instances(np.array([0.0, 5.0, 55.0])).tolist() == [6, 6, 6]


def test_a_break_even_by_hand():
    # Flat: one CPU does 10 a second for 1 dollar, one GPU 100 for 5; one of each at least. Up to 50 a second
    # five CPUs cost 5; the sixth makes the GPU cheaper: 50 * 86,400 tickets a day. From 100 on a second GPU
    # costs 10, and so do ten CPUs; eleven cost more.
    found = break_even(Pool(10.0, 1.0, 1), Pool(100.0, 5.0, 1), FLAT)
    assert found.first == pytest.approx(50 * 86_400)
    assert found.for_good == pytest.approx(50 * 86_400)


def test_between_the_first_time_and_for_good_it_goes_to_and_fro():
    # The GPU does 60 for 5: above 60 a second two GPUs cost 10, seven to ten CPUs less or as much. From the
    # eleventh CPU on two GPUs are cheaper, until at 120 a third makes 15: as much as up to 15 CPUs.
    found = break_even(Pool(10.0, 1.0, 1), Pool(60.0, 5.0, 1), FLAT)
    assert found.first == pytest.approx(50 * 86_400)
    # k GPUs do 60 k for 5 k; just above, k + 1 cost 5 k + 5 and the CPUs 6 k + 1: dearer from k = 5 on. So
    # the last time is above 4 * 60, until 25 CPUs are full
    assert found.for_good == pytest.approx(250 * 86_400)


def test_there_is_no_break_even_with_what_is_dearer_a_ticket():
    found = break_even(Pool(10.0, 1.0, 1), Pool(40.0, 5.0, 1), FLAT)
    assert (found.first, found.for_good) == (None, None)
    same = Pool(10.0, 1.0, 2)
    assert break_even(same, same, OFFICE).first is None


def test_what_is_always_cheaper_is_so_from_nothing_on():
    found = break_even(Pool(10.0, 1.0, 2), Pool(10.0, 0.5, 2), OFFICE)
    assert (found.first, found.for_good) == (0.0, 0.0)


def by_brute_force(
    pool: Pool, other: Pool, shares: np.ndarray, step: float, most: float
) -> tuple[float, float]:
    """(first, for good) by counting the machines of every hour for every traffic, in plain Python."""

    def cost(one: Pool, tickets: float) -> float:
        loads = [tickets * 7 * share / 3600 for share in shares]
        return sum(
            max(one.minimum, math.ceil((max(loads) if one.always else load) / one.tickets_per_second))
            * one.usd_per_hour
            for load in loads
        )

    first = last = None
    tickets = step / 2  # never at an edge, where a last digit decides
    while tickets < most:
        if cost(other, tickets) < cost(pool, tickets) - 1e-9:
            first = tickets if first is None else first
        else:
            last = tickets
        tickets += step
    return first, last


@pytest.mark.parametrize(
    ("pool", "other", "shares"),
    [
        (Pool(3.0, 1.0, 2), Pool(31.0, 5.3, 1), FLAT),
        (Pool(3.0, 1.0, 2), Pool(31.0, 5.3, 2), OFFICE),
        (Pool(2.7, 0.9, 1), Pool(math.inf, 8.8, 1), OFFICE),
        (Pool(3.0, 0.7, 2, always=True), Pool(29.0, 4.1, 1), OFFICE),
        (Pool(3.0, 1.0, 3), Pool(17.0, 3.9, 2, always=True), OFFICE),
    ],
)
def test_the_break_even_agrees_with_a_search_that_tries_every_traffic(pool, other, shares):
    step, most = 20_000.0, 6e6
    first, last = by_brute_force(pool, other, shares, step, most)
    found = break_even(pool, other, shares)
    assert found.first == pytest.approx(first, abs=step)
    if last > most - 2 * step:
        assert found.for_good is None
    else:
        assert found.for_good == pytest.approx(last, abs=step)


def test_no_traffic_above_the_limit_is_looked_at():
    found = break_even(Pool(1e9, 1.0, 1), Pool(math.inf, 1.5, 1), FLAT)
    assert found.first is None and MOST_TICKETS / 86_400 < 1e9


def test_the_reserved_base_is_the_best_of_all():
    needed = np.array([2] * 100 + [3] * 40 + [7] * 28)
    base, usd = reserved_base(needed, reserved_usd=0.6, other_usd=1.0)

    def by_hand(count: int) -> float:
        return 730 / 168 * sum(0.6 * count + 1.0 * max(n - count, 0) for n in needed.tolist())

    tried = {count: by_hand(count) for count in range(9)}
    assert usd == pytest.approx(min(tried.values())) and tried[base] == pytest.approx(usd)
    assert base == 2  # a third machine is needed in 68 of 168 hours, less than 60 %


def test_no_saving_reserves_nothing():
    assert reserved_base(np.array([1, 2, 3]), reserved_usd=1.0, other_usd=0.9)[0] == 0


def test_the_mix_is_the_cheapest_of_all():
    cpu, gpu = Pool(10.0, 1.0, 2), Pool(70.0, 4.5, 2)
    load = np.array([0.0, 12.0, 20.0, 49.0, 66.0, 70.0, 93.0, 140.0, 161.0, 200.0])
    mix = cheapest_mix(cpu, gpu, load)
    for hour, rate in enumerate(load):
        able = [
            n * 1.0 + m * 4.5
            for n, m in product(range(2, 25), range(5))
            if n * 10.0 + m * 70.0 >= rate - 1e-9
        ]
        assert mix.cpu[hour] * 1.0 + mix.gpu[hour] * 4.5 == pytest.approx(min(able))
        assert mix.cpu[hour] >= 2 and mix.cpu[hour] * 10.0 + mix.gpu[hour] * 70.0 >= rate - 1e-6
    assert mix.gpu[0] == 0 and mix.gpu.max() >= 2
    assert mix.usd_per_month == pytest.approx(73 * (mix.cpu.sum() * 1.0 + mix.gpu.sum() * 4.5))

"""The requests of a day."""

import numpy as np
import pytest

from ticket_sentiment.autoscaling.traffic import (
    HOUR,
    SCENARIOS,
    SECONDS,
    Scenario,
    busiest_day,
    rates,
    requests,
    within,
)
from ticket_sentiment.costs.traffic import read_traffic

OFFICE = read_traffic("office", 1000.0)
PLAIN = Scenario("plain")


def test_a_day_follows_the_profile_and_its_busiest_moment_is_what_was_asked_for():
    day = rates(busiest_day(OFFICE), 500.0)
    assert day.shape == (SECONDS,) and day.max() == pytest.approx(500.0)
    assert day[12 * HOUR] == pytest.approx(500.0) and day[3 * HOUR] == pytest.approx(50.0)
    assert day[20 * HOUR] == pytest.approx(200.0)
    assert np.abs(np.diff(day)).max() < 0.1  # no steps


def test_the_busiest_day_of_the_week_is_taken(tmp_path):
    counts = [10] * 168
    counts[49] = 70  # Wednesday, one in the morning
    file = tmp_path / "week.csv"
    file.write_text("hour,tickets\n" + "".join(f"{hour},{count}\n" for hour, count in enumerate(counts)))
    hours = busiest_day(read_traffic(str(file), None))
    assert (
        hours.shape == (24,) and hours[1] == pytest.approx(70 / 3600) and hours[0] == pytest.approx(10 / 3600)
    )


def test_equal_seeds_give_equal_days_and_the_noise_is_as_large_as_asked_for():
    flat = np.full(SECONDS, 200.0)
    first, again, other = (requests(flat, 0.1, PLAIN, seed) for seed in (7, 7, 8))
    assert (first == again).all() and (first != other).any()
    minutes = first.reshape(-1, 60).mean(axis=1)
    assert minutes.mean() == pytest.approx(200.0, rel=0.02)
    assert minutes.std() / minutes.mean() == pytest.approx(0.1, rel=0.3)
    still = requests(flat, 0.0, PLAIN, 7)
    assert still.var() == pytest.approx(200.0, rel=0.05)  # Poisson's alone


def test_a_spike_is_fivefold_within_a_minute_and_ends():
    flat = np.full(SECONDS, 100.0)
    day = requests(flat, 0.0, Scenario("s", spike=10 * HOUR), 7)

    def mean(first, last):
        return day[10 * HOUR + first : 10 * HOUR + last].mean()

    assert mean(-600, 0) == pytest.approx(100, rel=0.03)
    assert mean(60, 1260) == pytest.approx(500, rel=0.03)
    assert mean(1860, 2460) == pytest.approx(100, rel=0.03)


def test_the_scenarios_have_names_of_their_own_and_lose_metrics_while_the_load_rises_and_falls():
    assert len({scenario.name for scenario in SCENARIOS}) == len(SCENARIOS)
    assert SCENARIOS[0] == Scenario(SCENARIOS[0].name)
    day = rates(busiest_day(OFFICE), 500.0)
    for scenario in SCENARIOS:
        for first, last in scenario.prometheus_away + scenario.metrics_away + scenario.half_scraped:
            assert abs(day[last] - day[first]) > 250
    assert within(5, ((1, 2), (5, 6))) and not within(6, ((1, 2), (5, 6)))

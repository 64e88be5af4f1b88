"""The requests of a day, second by second, after the cost model's profile; and what can happen in it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.costs.traffic import DAY, Traffic

HOUR, MINUTE = 3600, 60
SECONDS = DAY * HOUR
MEMORY = 0.8  # correlation of the unsteadiness from one minute to the next
Span = tuple[int, int]  # seconds of the day, the second one not in it


@dataclass(frozen=True)
class Scenario:
    """What happens on a day.

    Attributes:
        name: as people call it.
        spike: when the traffic grows fivefold within a minute.
        notice: when half of the pods get the notice of a spot interruption.
        prometheus_away: when no query is answered.
        metrics_away: when the resource metrics are missing, too.
        half_scraped: when every second pod is not scraped.
    """

    name: str
    spike: int | None = None
    notice: int | None = None
    prometheus_away: tuple[Span, ...] = ()
    metrics_away: tuple[Span, ...] = ()
    half_scraped: tuple[Span, ...] = ()


SPIKE_FACTOR, SPIKE_GROWS_S, SPIKE_HOLDS_S, SPIKE_ENDS_S = 5.0, MINUTE, 20 * MINUTE, 10 * MINUTE
RISING_AND_FALLING = ((7 * HOUR + 1800, 8 * HOUR + 1800), (17 * HOUR + 1800, 18 * HOUR + 1800))
SCENARIOS = (
    Scenario("an ordinary day"),
    Scenario("fivefold within a minute", spike=19 * HOUR),
    Scenario("half of the pods interrupted", notice=11 * HOUR),
    Scenario("Prometheus away", prometheus_away=RISING_AND_FALLING),
    Scenario("all metrics away", prometheus_away=RISING_AND_FALLING, metrics_away=RISING_AND_FALLING),
    Scenario("half of the pods not scraped", half_scraped=RISING_AND_FALLING),
)


def within(second: int, spans: tuple[Span, ...]) -> bool:
    """Whether a second lies in one of them."""
    return any(first <= second < last for first, last in spans)


def busiest_day(traffic: Traffic) -> NDArray[np.float64]:
    """Requests a second in each hour of the day of the week that has most of them, [24]."""
    week = traffic.per_second().reshape(-1, DAY)
    return week[int(week.sum(axis=1).argmax())]


def rates(hours: NDArray[np.float64], busiest: float) -> NDArray[np.float64]:
    """Requests a second of a day without its noise, [86,400], straight lines from hour to hour.

    Args:
        hours: requests a second in each hour, [24].
        busiest: requests a second at the busiest moment.
    """
    middles = np.arange(-1, DAY + 1) * HOUR + HOUR / 2
    line = np.interp(np.arange(SECONDS), middles, np.concatenate([hours[-1:], hours, hours[:1]]))
    return line / line.max() * busiest


def requests(
    mean: NDArray[np.float64], unsteadiness: float, scenario: Scenario, seed: int
) -> NDArray[np.int64]:
    """Requests in each second.

    Args:
        mean: requests a second.
        unsteadiness: coefficient of variation of the rate from minute to minute, beside Poisson's.
        scenario: with a spike or without.
        seed: equal ones give equal days.
    """
    draw = np.random.default_rng(seed)
    noise = draw.normal(size=len(mean) // MINUTE + 2)  # at the start of each minute
    for minute in range(1, len(noise)):
        noise[minute] = MEMORY * noise[minute - 1] + np.sqrt(1 - MEMORY**2) * noise[minute]
    sigma = np.sqrt(np.log1p(unsteadiness**2))
    factor = np.exp(
        sigma * np.interp(np.arange(len(mean)), np.arange(len(noise)) * MINUTE, noise) - sigma**2 / 2
    )
    if scenario.spike is not None:
        ends = scenario.spike + np.cumsum([0, SPIKE_GROWS_S, SPIKE_HOLDS_S, SPIKE_ENDS_S])
        factor *= np.interp(np.arange(len(mean)), ends, [1.0, SPIKE_FACTOR, SPIKE_FACTOR, 1.0])
    return draw.poisson(mean * factor)

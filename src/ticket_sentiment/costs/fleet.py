"""How many machines a week's traffic needs, what they cost, and from which traffic another kind is cheaper.

Instances are whole, at least `minimum` of them run always, and their number follows the traffic hour by hour:

    n(h) = max(minimum, ceil(tickets per second in hour h / tickets per second that an instance is given))
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Hours = NDArray[np.float64]  # [168] tickets a second
HOURS_A_MONTH = 730.0  # 8,760 / 12
MOST_TICKETS = 1e10  # a day: no break-even is looked for above
FUZZ = (
    1e-9  # a load that fills its instances exactly needs no other, whatever the last digit of a product says
)


@dataclass(frozen=True)
class Pool:
    """Instances of one type.

    Attributes:
        tickets_per_second: that one instance is given; infinity is allowed.
        usd_per_hour: of one instance.
        minimum: that always run.
        always: all that the busiest hour needs run always, as they are paid for anyway.
    """

    tickets_per_second: float
    usd_per_hour: float
    minimum: int
    always: bool = False

    def instances(self, load: Hours) -> NDArray[np.int64]:
        """Instances in each of the hours that `load` holds."""
        served = np.full_like(load, load.max()) if self.always else load
        return self.needed(served)

    def needed(self, load: Hours) -> NDArray[np.int64]:
        """Instances for each load, for itself."""
        return np.maximum(self.minimum, np.ceil(load / self.tickets_per_second - FUZZ)).astype(np.int64)

    def usd_per_month(self, load: Hours) -> float:
        """US dollars a month for a week's hours."""
        return monthly(self.instances(load), self.usd_per_hour)


def monthly(instances: NDArray[np.int64], usd_per_hour: float) -> float:
    """US dollars a month for the instances of each hour of a week."""
    return float(instances.mean()) * usd_per_hour * HOURS_A_MONTH


@dataclass(frozen=True)
class BreakEven:
    """Tickets a day above which another pool is cheaper; None where that never is, up to MOST_TICKETS.

    Attributes:
        first: it is cheaper just above this for the first time.
        for_good: it is cheaper from here on. Between the two it goes to and fro, as instances are whole.
    """

    first: float | None
    for_good: float | None


def break_even(pool: Pool, other: Pool, shares: Hours) -> BreakEven:
    """The traffic above which `other` is cheaper than `pool`, hours sharing it alike.

    Costs change only where an hour's traffic fills its instances; between two such points both are constant.
    So it is enough to compare them at the end of each piece.

    Args:
        pool: what is used.
        other: what it is compared with.
        shares: of a week's tickets in each hour, [168].
    """
    distinct, hours = np.unique(shares, return_counts=True)
    per_day = distinct * 7 / 3600  # tickets a second in such an hour, for one ticket a day
    ends = np.unique(np.concatenate([_ends(one, per_day) for one in (pool, other)] + [[MOST_TICKETS]]))
    difference = np.zeros(len(ends))
    for sign, one in ((1, pool), (-1, other)):
        for rate, count in zip(_rates(one, per_day), hours, strict=True):
            difference += sign * one.usd_per_hour * count * one.needed(ends * rate)
    cheaper = difference > FUZZ
    if not cheaper.any():
        return BreakEven(None, None)
    place = int(np.argmax(cheaper))
    first = float(ends[place - 1]) if place else 0.0
    if not cheaper[-1]:
        return BreakEven(first, None)
    dearer = np.flatnonzero(~cheaper)
    return BreakEven(first, float(ends[dearer[-1]]) if len(dearer) else 0.0)


def _rates(pool: Pool, per_day: Hours) -> Hours:
    """What decides on the instances of each hour."""
    return np.full_like(per_day, per_day.max()) if pool.always else per_day


def _ends(pool: Pool, per_day: Hours) -> NDArray[np.float64]:
    """Tickets a day at which an hour's instances are just full."""
    if np.isinf(pool.tickets_per_second):
        return np.empty(0)
    filled = [pool.tickets_per_second / rate for rate in np.unique(_rates(pool, per_day)) if rate > 0]
    return np.concatenate([one * np.arange(pool.minimum, np.floor(MOST_TICKETS / one) + 1) for one in filled])


def reserved_base(instances: NDArray[np.int64], reserved_usd: float, other_usd: float) -> tuple[int, float]:
    """How many of the instances to reserve, the rest being paid by the hour.

    Args:
        instances: in each hour.
        reserved_usd: an hour of a reserved instance, used or not.
        other_usd: an hour of any other.

    Returns:
        Reserved instances, and US dollars a month. The best number is one that some hour needs, or none.
    """
    best = (0, monthly(instances, other_usd))
    for base in np.unique(instances):
        usd = HOURS_A_MONTH * float(base * reserved_usd + np.maximum(instances - base, 0).mean() * other_usd)
        if usd < best[1]:
            best = (int(base), usd)
    return best


@dataclass(frozen=True)
class Mix:
    """Instances of both kinds in each hour, [168], and US dollars a month."""

    cpu: NDArray[np.int64]
    gpu: NDArray[np.int64]
    usd_per_month: float


def cheapest_mix(cpu: Pool, gpu: Pool, load: Hours, forwarding: float = 0.0) -> Mix:
    """CPU instances as the front door and as many GPU instances in each hour as make it cheapest.

    Every number of GPU instances is tried in every hour, so the result is the cheapest there is. At least
    `cpu.minimum` CPU instances run always; of GPU instances there may be none.

    Args:
        cpu: every ticket comes to it.
        gpu: answers what the front door sends on.
        load: tickets a second in each hour.
        forwarding: work of a CPU instance on a ticket that it sends on, over that on one that it answers.
    """
    cpus, gpus = np.zeros(len(load), dtype=np.int64), np.zeros(len(load), dtype=np.int64)
    for hour, rate in enumerate(load):
        tried = np.arange(np.ceil(rate / gpu.tickets_per_second - FUZZ) + 1)
        sent = np.minimum(tried * gpu.tickets_per_second, rate)
        beside = cpu.needed(rate - (1 - forwarding) * sent)
        best = int(np.argmin(beside * cpu.usd_per_hour + tried * gpu.usd_per_hour))
        cpus[hour], gpus[hour] = beside[best], tried[best]
    usd = monthly(cpus, cpu.usd_per_hour) + monthly(gpus, gpu.usd_per_hour)
    return Mix(cpus, gpus, usd)

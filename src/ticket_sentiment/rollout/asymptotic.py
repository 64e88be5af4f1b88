"""Difference of two arms' shares of bad outcomes, robust to customers with many tickets, valid at every look.

The estimate is the stratified difference of Mantel and Haenszel (Greenland and Robins, Biometrics 1985):

    d = sum of w * (y1/n1 - y0/n0) / sum of w,   w = n1 * n0 / (n1 + n0),   over epochs

so that shares are compared only inside an epoch, in which both arms saw the same days (raw pooled shares of
a ramp are wrong: Simpson's paradox), and the weights do not depend on the outcomes. Its variance is that of
a ratio with units as clusters (delta method): with e = y - n * share of a unit in a cell (an arm in an epoch)
and a = +w / n1 or -w / n0 over the sum of w, it is the sum over units of the squared sum over cells of a * e.

Its bound is the normal mixture of Robbins with a half-normal mixing distribution (Howard et al., arXiv
1810.08240, proposition 6; in the asymptotic form of Waudby-Smith et al., arXiv 2103.06476), with information
v = 1 / variance as its time: after s = v * (d - d0) the one-sided e-value is

    2 * sqrt(rho / (v + rho)) * exp(s**2 / (2 * (v + rho))) * Phi(s / sqrt(v + rho))

The two-sided sequence of 2103.06476 (eq. 9) is the same with v = N / sigma**2 and its rho**2 = 1 / (rho *
sigma**2). Information, not the number of units, is the clock here: the same customers come back every day,
and their number hardly grows while what is known does.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from scipy.special import log_ndtr

from ticket_sentiment.rollout.evidence import ByArm, CrossSums, UnitSums

# The normal approximation must not be one of a handful of customers. An epoch counts once each arm has so
# many units in it, or the first one of a step could end a rollout. Nothing is said before an arm has as many
# effective ones (n**2 / nn, Kish) in one of these epochs. Units only grow: what counts goes on counting.
MIN_UNITS = 20


@dataclass(frozen=True)
class Difference:
    """Challenger minus champion.

    Attributes:
        estimate: of the shares.
        variance: of the estimate; infinite where no epoch has units enough to say.
        requests: of each arm, over the epochs that count.
    """

    estimate: float | None
    variance: float
    requests: ByArm[int]

    @property
    def information(self) -> float:
        """1 / variance; 0 where nothing can be said."""
        return 1 / self.variance

    @property
    def mirrored(self) -> "Difference":
        """Champion minus challenger."""
        return replace(self, estimate=None if self.estimate is None else -self.estimate)


CellKey = tuple[int, bool]  # index of the epoch, whether it is the challenger's


def difference(
    epochs: Sequence[ByArm[UnitSums]], overlaps: Mapping[tuple[CellKey, CellKey], CrossSums]
) -> Difference:
    """The stratified difference with its variance.

    Args:
        epochs: of each epoch, the sums of both arms.
        overlaps: of each pair of cells in two epochs, the sums over units in both.
    """
    met = [index for index, arms in enumerate(epochs) if arms.champion.n and arms.challenger.n]
    many = [index for index in met if min(arm.units for arm in epochs[index]) >= MIN_UNITS]
    both = many or met
    of = both or range(len(epochs))
    requests = ByArm(sum(epochs[one].champion.n for one in of), sum(epochs[one].challenger.n for one in of))
    if not both:
        return Difference(None, math.inf, requests)
    cells = {
        (index, challenger): epochs[index].challenger if challenger else epochs[index].champion
        for index in both
        for challenger in (False, True)
    }
    weights = {
        index: epochs[index].champion.n
        * epochs[index].challenger.n
        / (epochs[index].champion.n + epochs[index].challenger.n)
        for index in both
    }
    total = sum(weights.values())
    slopes = {key: (1 if key[1] else -1) * weights[key[0]] / (total * sums.n) for key, sums in cells.items()}
    shares = {key: sums.y / sums.n for key, sums in cells.items()}
    estimate = sum(slopes[key] * sums.y for key, sums in cells.items())
    if not many or _effective_units(cells, both) < MIN_UNITS:
        return Difference(estimate, math.inf, requests)
    variance = sum(slopes[key] ** 2 * _own_variance(sums) for key, sums in cells.items())
    for (first, second), cross in overlaps.items():
        if first in cells and second in cells:
            p, q = shares[first], shares[second]
            product = cross.yy - p * cross.ny - q * cross.yn + p * q * cross.nn
            variance += 2 * slopes[first] * slopes[second] * product
    # Overlaps that cancel nearly everything would be an error of the counts, not knowledge.
    floor = sum(slopes[key] ** 2 * _independent(sums) for key, sums in cells.items())
    return Difference(estimate, max(variance, floor), requests)


def _effective_units(cells: Mapping[CellKey, UnitSums], epochs: Iterable[int]) -> float:
    """Kish's effective number of units of the smaller arm: of equal ones with the same spread of requests.

    The highest over epochs, as the same units come again. In one and the same epoch: a customer who sends
    nearly all and changes the arm would else make neither look small.
    """

    def of(epoch: int, challenger: bool) -> float:
        sums = cells[epoch, challenger]
        return sums.n**2 / sums.nn

    return max(min(of(epoch, False), of(epoch, True)) for epoch in epochs)


def _own_variance(sums: UnitSums) -> float:
    """Sum of squared residuals over a cell's units, at least that of independent requests."""
    share = sums.y / sums.n
    residuals = sums.yy - 2 * share * sums.ny + share**2 * sums.nn
    return max(residuals * sums.units / max(sums.units - 1, 1), _independent(sums))


def _independent(sums: UnitSums) -> float:
    """n * p * (1 - p) with p drawn towards a half by two tickets: no failure so far is not none for ever."""
    p = (sums.y + 1) / (sums.n + 2)
    return sums.n * p * (1 - p)


def mixing_precision(standard_error: float, alpha: float) -> float:
    """rho for the tightest bound when the estimate's standard error is this.

    Waudby-Smith et al. (2103.06476, appendix B.2): v / rho = -2 ln a + ln(1 - 2 ln a), at a = 2 * alpha, as
    the bound is one-sided.
    """
    log = -2 * math.log(min(2 * alpha, 0.999))
    return standard_error**-2 / (log + math.log1p(log))


def log_e_value(found: Difference, at_most: float, rho: float) -> float:
    """Log of the e-value against "the difference is at most `at_most`"; 0 where nothing can be said."""
    v = found.information
    if found.estimate is None or v == 0:
        return 0.0
    w = v + rho
    z = v * (found.estimate - at_most) / math.sqrt(w)
    return math.log(2) + 0.5 * math.log(rho / w) + z * z / 2 + float(log_ndtr(z))


def lower_bound(found: Difference, alpha: float, rho: float) -> float | None:
    """What the difference is never below, with probability 1 - alpha (asymptotically); None: not known."""
    v = found.information
    if found.estimate is None or v == 0:
        return None
    w = v + rho
    target = -math.log(2 * alpha) + 0.5 * math.log(w / rho)
    # z**2 / 2 + log(Phi(z)) = target is convex and rising: Newton from above comes down to its root.
    z = math.sqrt(2 * (target + math.log(2)))
    for _ in range(8):
        log_phi = float(log_ndtr(z))
        slope = z + math.exp(-z * z / 2 - log_phi) / math.sqrt(2 * math.pi)
        z -= (z * z / 2 + log_phi - target) / slope
    return found.estimate - z * math.sqrt(w) / v


def upper_bound(found: Difference, alpha: float, rho: float) -> float | None:
    """What the difference is never above."""
    low = lower_bound(found.mirrored, alpha, rho)
    return None if low is None else -low

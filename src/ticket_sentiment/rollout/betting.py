"""Means of bounded outcomes, valid at every look: capital of a gambler who bets against a hypothesis.

Waudby-Smith and Ramdas, "Estimating means of bounded random variables by betting" (arXiv 2010.09686). Against
"the mean is at most m" the gambler stakes a share c of what can be lost on each outcome x >= floor:

    capital(m) = mean over c of  product over x of  (1 - c + c * (x - floor) / (m - floor))

Under the hypothesis it is a supermartingale, so that it ever reaches 1/alpha with probability at most alpha
(Ville's inequality), however often one looks. The stakes are a fixed grid, not chosen from the outcomes so
far: the capital is a function of counts, and the order in which labels come does not matter. It falls in m,
so that the m against which it stays below 1/alpha are an interval: a confidence sequence.

Of pairs of answers, d = 1, 0, -1, at m = 0 the capital is that of the anytime-valid McNemar test: a ticket on
which the models agree multiplies it by one, the others by 1 + c or 1 - c, the likelihood ratio of "the
challenger is right on (1 + c) / 2 of the tickets on which one is" against a half.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.rollout.evidence import ByArm, FirstLabels, PairedCounts

# From small stakes, which win on small differences, to large ones. The price of not knowing the right one is
# at most log(29) in log-capital, and in truth half of it, as neighbours win, too.
STAKES = np.concatenate([np.geomspace(0.02, 0.5, 24), [0.6, 0.7, 0.8, 0.9, 0.96]])

# Subtracted from an outcome before it is weighted. Any constant is valid; near the accuracy it is narrowest.
CENTRE = 0.8
_REFINEMENTS, _POINTS = 4, 33  # of a bound: within 2 / 32**4, two millionths


@dataclass(frozen=True)
class Outcomes:
    """How often each value of an outcome came.

    Attributes:
        values: [kinds].
        counts: [kinds].
        floors: [kinds], the lowest value that could have come in its place; it may differ between epochs.
        ceilings: [kinds], the highest.
    """

    values: NDArray[np.float64]
    counts: NDArray[np.float64]
    floors: NDArray[np.float64]
    ceilings: NDArray[np.float64]

    @property
    def mirrored(self) -> "Outcomes":
        """With every sign turned."""
        return Outcomes(-self.values, self.counts, -self.ceilings, -self.floors)

    @property
    def mean(self) -> float | None:
        """None where nothing came."""
        total = self.counts.sum()
        return float(self.values @ self.counts / total) if total else None


def paired(counts: PairedCounts) -> Outcomes:
    """Challenger minus champion on the same ticket: 1 where only the challenger is right, -1, else 0."""
    same = counts.both_right + counts.both_wrong
    values = np.array([-1.0, 0.0, 1.0])
    return Outcomes(
        values,
        np.array([counts.only_champion, same, counts.only_challenger], dtype=float),
        np.full(3, -1.0),
        np.full(3, 1.0),
    )


def first_labels(epochs: Sequence[tuple[float, ByArm[FirstLabels]]]) -> Outcomes:
    """Units that met one arm each, as weighted outcomes whose mean is the difference of the arms' accuracy.

    phi = (right - CENTRE) * (A / share - (1 - A) / (1 - share)), with A = 1 in the challenger's arm: the
    inverse-probability-weighted outcome of 2010.09686 and of Waudby-Smith et al. (arXiv 2103.06476).
    Its mean is the difference whatever the share, so epochs with different shares may be put together.

    Args:
        epochs: the challenger's share, and the units' first labels.
    """
    values, counts, floors, ceilings = [], [], [], []
    for share, arms in epochs:
        right, wrong = 1 - CENTRE, -CENTRE
        possible = (right / share, wrong / share, -right / (1 - share), -wrong / (1 - share))
        challenger, champion = arms.challenger, arms.champion
        values += possible
        counts += [
            challenger.right, challenger.units - challenger.right,
            champion.right, champion.units - champion.right,
        ]  # fmt: skip
        floors += [min(possible)] * 4
        ceilings += [max(possible)] * 4
    return Outcomes(*(np.array(column, dtype=float) for column in (values, counts, floors, ceilings)))


def log_capital(outcomes: Outcomes, means: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log of the capital against "the mean is at most m", for each m.

    Args:
        outcomes: what came.
        means: [means], each above every floor; falls along them.

    Returns:
        [means]; 0 where nothing came.
    """
    came = outcomes.counts > 0
    values, counts, floors = outcomes.values[came], outcomes.counts[came], outcomes.floors[came]
    gain = (values - floors) / (means[:, None] - floors)  # [means, kinds]
    log_factors = np.log1p(STAKES[:, None, None] * (gain - 1))  # [stakes, means, kinds]
    log_products = log_factors @ counts  # [stakes, means]
    highest = log_products.max(axis=0)
    return highest + np.log(np.exp(log_products - highest).mean(axis=0))


def log_capital_at(outcomes: Outcomes, mean: float) -> float:
    """The same at one m."""
    return float(log_capital(outcomes, np.array([mean]))[0])


def lower_bound(outcomes: Outcomes, alpha: float) -> float:
    """The lowest mean in (-1, 1) not refuted at `alpha`: the mean is never below, with probability 1 - alpha.

    Rounded down, by at most two millionths.
    """
    low, high, target = -1.0, 1.0, -np.log(alpha)
    for _ in range(_REFINEMENTS):
        points = np.linspace(low, high, _POINTS)[1:-1]
        refuted = int(np.count_nonzero(log_capital(outcomes, points) >= target))
        low, high = (
            low if refuted == 0 else float(points[refuted - 1]),
            high if refuted == len(points) else float(points[refuted]),
        )
    return low


def upper_bound(outcomes: Outcomes, alpha: float) -> float:
    """The highest mean in (-1, 1) not refuted at `alpha`."""
    return -lower_bound(outcomes.mirrored, alpha)

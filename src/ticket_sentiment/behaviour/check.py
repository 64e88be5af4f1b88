"""Which cases a model fails, and how badly; what share that is, and how much it rose."""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.behaviour.cases import Planned
from ticket_sentiment.labels import LABEL_TO_ID, LABELS

Z = 1.959963984540054  # of a 95 % interval


@dataclass(frozen=True)
class Checked:
    """What a model did in the cases of one test.

    Attributes:
        failed: [cases].
        badness: how far a case is from what was expected, to find the worst, [cases].
        answers: class indices, [cases, texts of a case].
        gap: fairness only: largest difference between two groups' mean scores (P(positive) - P(negative)).
    """

    failed: NDArray[np.bool_]
    badness: NDArray[np.float64]
    answers: NDArray[np.int64]
    gap: float | None = None


def check(planned: Planned, probabilities: NDArray, tolerance: float) -> Checked:
    """Hold the answers against what the test expects.

    Args:
        planned: the test and its cases.
        probabilities: of `Plan.texts`, [texts, labels].
        tolerance: by which the probability of a directional test may fall.
    """
    test, scores = planned.test, probabilities[planned.rows]  # [cases, texts of a case, labels]
    answers = scores.argmax(axis=2)
    if test.kind == "minimum":
        right = [LABEL_TO_ID[label] for label in test.expect]
        failed = ~np.isin(answers[:, 0], right)
        return Checked(failed, 1.0 - scores[:, 0, right].sum(axis=1), answers)
    if test.kind == "directional":
        towards = scores[:, :, LABEL_TO_ID[str(test.toward)]]
        fall = towards[:, 0] - towards[:, 1]
        return Checked(fall > tolerance, fall, answers)
    failed = (answers != answers[:, :1]).any(axis=1)
    if test.kind == "fairness":
        tone = scores[:, :, LABELS.index("positive")] - scores[:, :, LABELS.index("negative")]
        means = tone.mean(axis=0)
        return Checked(failed, np.ptp(tone, axis=1), answers, float(np.ptp(means)))
    before = np.take_along_axis(scores, answers[:, :1, None], axis=2)[:, 0, 0]
    after = np.take_along_axis(scores[:, 1], answers[:, :1], axis=1)[:, 0]
    return Checked(failed, before - after, answers)


def rate(failures: int, cases: int) -> dict[str, float]:
    """A share with its 95 % interval (Wilson 1927, "Probable inference").

    The cases are a sample of what the templates give; it does not say how other templates would do.
    """
    share = failures / cases
    middle = (share + Z**2 / (2 * cases)) / (1 + Z**2 / cases)
    half = Z / (1 + Z**2 / cases) * math.sqrt(share * (1 - share) / cases + Z**2 / (4 * cases**2))
    return {"value": share, "low": max(middle - half, 0.0), "high": min(middle + half, 1.0)}


def rise(failed: NDArray, failed_before: NDArray) -> dict[str, float]:
    """By how much the failure rate is above another model's in the same cases, with its 95 % interval.

    Agresti and Min 2005, "Simple improved confidence intervals for comparing matched proportions": half a
    case is added to each cell of the two-by-two table.
    """
    cases = len(failed) + 2.0
    new, gone = (failed & ~failed_before).sum() + 0.5, (~failed & failed_before).sum() + 0.5
    middle = (new - gone) / cases
    half = Z * math.sqrt((new + gone) / cases - middle**2) / math.sqrt(cases)
    value = float(failed.mean() - failed_before.mean())
    return {"value": value, "low": float(min(middle - half, value)), "high": float(max(middle + half, value))}

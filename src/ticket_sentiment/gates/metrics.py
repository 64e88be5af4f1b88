"""Quality of a classifier, and how sure we are of it. Pure numpy, on class indices and probabilities.

Everything that counts rows goes through confusion matrices (rows: actual, columns: predicted), whose leading
axes may be resamples: a thousand bootstrap resamples of five models are then one matrix product.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from ticket_sentiment.files import finite_or_none

BINS = 15  # of the calibration error, as in Guo et al. 2017
LEVEL = 0.95
NOTHING = 1e-12  # what rounding leaves of a spread where there is none
_CHUNK_CELLS = 4_000_000  # resamples x clusters held in memory at once


@dataclass(frozen=True)
class Interval:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float

    def as_json(self) -> dict[str, float | None]:
        """For a report file: what is not finite becomes null."""
        return {name: finite_or_none(getattr(self, name)) for name in ("value", "low", "high")}


def confusion_matrix(actual: NDArray, predicted: NDArray, classes: int = 3) -> NDArray[np.int64]:
    """Counts [classes, classes]: rows actual, columns predicted. Both arguments are class indices."""
    cells = np.asarray(actual, dtype=np.int64) * classes + np.asarray(predicted, dtype=np.int64)
    return np.bincount(cells, minlength=classes * classes).reshape(classes, classes)


def _ratio(numerator: NDArray, denominator: NDArray) -> NDArray[np.float64]:
    return np.divide(numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0)


def class_f1(confusion: NDArray) -> NDArray[np.float64]:
    """F1 of each class, [..., classes]; NaN for a class that is neither present nor predicted."""
    hits = np.diagonal(confusion, axis1=-2, axis2=-1).astype(np.float64)
    total = (confusion.sum(axis=-1) + confusion.sum(axis=-2)).astype(np.float64)
    return np.where(total > 0, _ratio(2 * hits, total), np.nan)


def macro_f1(confusion: NDArray) -> NDArray[np.float64]:
    """Unweighted mean of the classes' F1, [...], over those classes that are present or predicted.

    That is scikit-learn's `f1_score(average="macro", zero_division=0)`; a small slice without a single
    neutral ticket is not punished for it. NaN when there are no rows.
    """
    scores = class_f1(confusion)
    seen = np.isfinite(scores)
    count = seen.sum(axis=-1)
    return np.where(count > 0, _ratio(np.where(seen, scores, 0.0).sum(axis=-1), count), np.nan)


def accuracy(confusion: NDArray) -> NDArray[np.float64]:
    """Share of rows on the diagonal, [...]; NaN when there are no rows."""
    total = confusion.sum(axis=(-2, -1))
    hits = np.trace(confusion, axis1=-2, axis2=-1).astype(np.float64)
    return np.where(total > 0, _ratio(hits, total), np.nan)


def class_report(confusion: NDArray, labels: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Precision, recall, F1 and rows of each class; null where there is nothing to divide by."""
    hits = np.diagonal(confusion)
    actual, predicted = confusion.sum(axis=1), confusion.sum(axis=0)
    f1 = class_f1(confusion)
    return {
        label: {
            "precision": float(hits[i] / predicted[i]) if predicted[i] else None,
            "recall": float(hits[i] / actual[i]) if actual[i] else None,
            "f1": finite_or_none(f1[i]),
            "rows": int(actual[i]),
        }
        for i, label in enumerate(labels)
    }


def brier(probabilities: NDArray, actual: NDArray) -> float:
    """Mean squared distance between the probabilities and the truth, summed over classes: 0 best, 2 worst.

    Brier 1950, "Verification of forecasts expressed in terms of probability", in its form for many classes.
    """
    truth = np.eye(probabilities.shape[1])[actual]
    return float(np.mean(np.sum((probabilities - truth) ** 2, axis=1)))


def reliability_table(probabilities: NDArray, actual: NDArray, bins: int = BINS) -> list[dict[str, Any]]:
    """How often the model is right when it says how sure it is.

    Args:
        probabilities: [rows, classes].
        actual: class indices, [rows].
        bins: of equal width over the confidence, which is the highest probability of a row.

    Returns:
        For each bin that is not empty, by rising confidence: mean `confidence`, `accuracy` and `rows`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = (probabilities.argmax(axis=1) == actual).astype(np.float64)
    # Bins are (low, high] as in Guo et al.; a confidence of exactly 0 cannot occur.
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    rows = np.bincount(place, minlength=bins)
    sums = (
        np.bincount(place, weights=confidence, minlength=bins),
        np.bincount(place, weights=right, minlength=bins),
    )
    return [
        {
            "confidence": float(sums[0][i] / rows[i]),
            "accuracy": float(sums[1][i] / rows[i]),
            "rows": int(rows[i]),
        }
        for i in np.flatnonzero(rows)
    ]


def expected_calibration_error(probabilities: NDArray, actual: NDArray, bins: int = BINS) -> float:
    """Mean distance between confidence and accuracy over the bins, weighted by rows: 0 best, 1 worst.

    Naeini, Cooper, Hauskrecht 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning", as used
    by Guo et al. 2017 with 15 bins of equal width. With few rows it is biased upwards.
    """
    table = reliability_table(probabilities, actual, bins)
    total = sum(row["rows"] for row in table)
    if not total:
        return float("nan")
    return sum(row["rows"] * abs(row["confidence"] - row["accuracy"]) for row in table) / total


def calibration_error_by_chance(probabilities: NDArray, samples: int, seed: int, bins: int = BINS) -> float:
    """The calibration error under which 95 of 100 perfectly calibrated models stay with these confidences.

    Answers are drawn that are right as often as is stated, each by itself: what is left is what so few rows
    do by chance (consistency resampling: Bröcker and Smith 2007, "Increasing the Reliability of Reliability
    Diagrams"). NaN when there are no rows.

    Args:
        probabilities: [rows, classes].
        samples: how often answers are drawn.
        seed: of the draws.
        bins: as of `reliability_table`.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    if not len(confidence):
        return float("nan")
    place = np.clip(np.ceil(confidence * bins).astype(int) - 1, 0, bins - 1)
    generator = np.random.default_rng(seed)
    errors = [
        np.abs(np.bincount(place, confidence - (generator.random(len(confidence)) < confidence))).sum()
        for _ in range(samples)
    ]
    return float(np.quantile(errors, LEVEL) / len(confidence))


def risk_coverage(probabilities: NDArray, actual: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """What remains wrong when only the tickets that the model is surest of are answered.

    El-Yaniv, Wiener 2010, "On the Foundations of Noise-free Selective Classification". Rows of equal
    confidence are answered together.

    Returns:
        By falling confidence, one entry for each that occurs: the confidence, the share of rows that are at
        least so sure (coverage), and the share of wrong answers among them (risk).
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    wrong = (probabilities.argmax(axis=1) != actual).astype(np.float64)
    order = np.argsort(-confidence, kind="stable")
    sure = confidence[order]
    last = np.flatnonzero(np.append(sure[1:] != sure[:-1], len(sure) > 0))
    answered = last + 1
    return sure[last], answered / max(len(sure), 1), np.cumsum(wrong[order])[last] / answered


def abstention(probabilities: NDArray, actual: NDArray, below: float) -> dict[str, float | None]:
    """What answering only from a confidence of `below` on gives.

    Returns:
        `coverage` and `risk` (null: nothing is answered), `risk_of_all`, and `aurc`, the mean risk over all
        coverages (Geifman, El-Yaniv 2019, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers").
    """
    confidence, coverage, risk = risk_coverage(probabilities, actual)
    answered = np.flatnonzero(confidence >= below)
    widths = np.diff(coverage, prepend=0.0)
    return {
        "below": below,
        "coverage": float(coverage[answered[-1]]) if len(answered) else 0.0,
        "risk": float(risk[answered[-1]]) if len(answered) else None,
        "risk_of_all": finite_or_none(risk[-1] if len(risk) else np.nan),
        "aurc": finite_or_none((risk * widths).sum() if len(risk) else np.nan),
    }


def cluster_codes(customers: Sequence[str | None], rows: int) -> NDArray[np.int64]:
    """One integer a customer, [rows], from 0 up; a row without a customer is a cluster of its own."""
    codes: dict[Any, int] = {}
    keys = [
        (row,) if customer is None or customer != customer else customer
        for row, customer in enumerate(customers)
    ]
    if len(keys) != rows:
        raise ValueError(f"{len(keys)} customers for {rows} rows")
    return np.array([codes.setdefault(key, len(codes)) for key in keys], dtype=np.int64)


def resampled(counts: NDArray, samples: int, seed: int) -> NDArray[np.float64]:
    """Sums of `counts` over clusters that are drawn with replacement, as many as there are.

    Args:
        counts: of each cluster, [clusters, columns].
        samples: number of resamples.
        seed: of the draws; equal seeds draw equal clusters.

    Returns:
        [samples, columns].
    """
    groups = len(counts)
    generator = np.random.default_rng(seed)
    drawn = np.zeros((samples, counts.shape[1]))
    step = max(1, _CHUNK_CELLS // max(groups, 1))
    for start in range(0, samples if groups else 0, step):
        size = min(step, samples - start)
        picks = generator.integers(groups, size=(size, groups)) + np.arange(size)[:, None] * groups
        weights = np.bincount(picks.ravel(), minlength=size * groups).reshape(size, groups)
        drawn[start : start + size] = weights.astype(np.float64) @ counts
    return drawn


def bootstrap_confusions(
    actual: NDArray,
    predictions: Mapping[str, NDArray],
    clusters: NDArray,
    samples: int,
    seed: int,
    classes: int = 3,
) -> dict[str, NDArray[np.float64]]:
    """Confusion matrices of each model on the same resamples.

    Whole customers are drawn with replacement, because the tickets of one customer resemble each other and
    single rows would give intervals that are too narrow (cluster bootstrap: Davison and Hinkley 1997,
    "Bootstrap Methods and their Application", section 3.8). All models see the same draws, so the difference
    of two of them is a paired bootstrap.

    Args:
        actual: class indices, [rows].
        predictions: for each model its predicted class indices, [rows].
        clusters: `cluster_codes`, [rows].
        samples: number of resamples.
        seed: of the draws.
        classes: number of classes.

    Returns:
        For each model [samples, classes, classes].
    """
    cells = classes * classes
    groups = int(clusters.max()) + 1 if len(clusters) else 0
    counts = np.zeros((groups, len(predictions) * cells))
    for position, predicted in enumerate(predictions.values()):
        np.add.at(
            counts, (clusters, position * cells + np.asarray(actual) * classes + np.asarray(predicted)), 1
        )
    drawn = resampled(counts, samples, seed)
    shaped = drawn.reshape(samples, len(predictions), classes, classes)
    return {name: shaped[:, position] for position, name in enumerate(predictions)}


def percentile_interval(value: float, resampled: NDArray, level: float = LEVEL) -> Interval:
    """The percentile interval (Efron 1979) of a statistic from its values on the resamples."""
    finite = resampled[np.isfinite(resampled)]
    if not len(finite):
        return Interval(float(value), float("nan"), float("nan"))
    low, high = np.quantile(finite, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(value), float(low), float(high))


def few_clusters(clusters: int) -> float:
    """By how much a bootstrap interval of so few clusters is too narrow, as a factor; infinite for one.

    The spread of its resamples is too small by the root of (n - 1) / n, and Student's t with n - 1 degrees of
    freedom holds in the normal's place (Cameron, Gelbach and Miller 2008, "Bootstrap-Based Improvements for
    Inference with Clustered Errors"). From a hundred clusters on it is next to nothing.
    """
    if clusters < 2:
        return float("inf")
    upper = (1 + LEVEL) / 2
    return float(stdtrit(clusters - 1, upper) / ndtri(upper) * np.sqrt(clusters / (clusters - 1)))


def alike(value: float, clusters: int, least: float, statements: int = 1) -> tuple[float, float]:
    """The interval of a mean over clusters that are all alike: what the others, not seen, may hide.

    With none of n clusters different, at most 1 - (0.05 / 2)^(1/n) of all are, and each of those lies between
    `least` and 1 (Clopper and Pearson 1934, "The Use of Confidence or Fiducial Limits Illustrated in the Case
    of the Binomial"). Of one cluster nothing is known.

    Args:
        value: of each cluster.
        clusters: how many there are.
        least: the lowest value that one can have.
        statements: for so many intervals that are to hold together (Bonferroni).
    """
    if clusters < 2:
        return least, 1.0
    hidden = 1 - ((1 - LEVEL) / 2 / statements) ** (1 / clusters)
    return value - hidden * (value - least), value + hidden * (1.0 - value)


def clustered_interval(value: float, resampled: NDArray, clusters: int, least: float = 0.0) -> Interval:
    """The percentile interval, as wide as so few clusters ask for: of one alone nothing is known.

    Where all resamples are equal they say nothing of clusters that were not seen: `alike` does.

    Args:
        value: the statistic, between `least` and 1.
        resampled: its values on resamples of the clusters.
        clusters: how many there are.
        least: -1 for a difference of two shares.
    """
    found, wider = percentile_interval(value, resampled), few_clusters(clusters)
    if clusters == 1 or found.high - found.low < NOTHING:
        return Interval(found.value, *alike(value, clusters, least))
    low, high = (found.value + wider * (end - found.value) for end in (found.low, found.high))
    return Interval(found.value, max(min(found.low, low), least), min(max(found.high, high), 1.0))

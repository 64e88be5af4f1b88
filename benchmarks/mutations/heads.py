"""Models that are learnt in a second: another last product on the frozen features of a released bundle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import logsumexp, softmax

from ticket_sentiment.model.calibration import fit_temperature

PENALTY = 3e-3  # of the squared weights, a row


@dataclass(frozen=True)
class Head:
    """Weight [features, labels], bias [labels] and the temperature that the tuning tickets give it."""

    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    temperature: float

    def logits(self, features: NDArray) -> NDArray:
        """[rows, labels]."""
        return features @ self.weight + self.bias


def fit(
    features: NDArray,
    labels: NDArray,
    tune: tuple[NDArray, NDArray],
    start: tuple[NDArray, NDArray],
    weights: NDArray | None = None,
    rounds: int = 40,
) -> Head:
    """Multinomial logistic regression, from a start, with class weights as stage `train` has them.

    Args:
        features: [rows, features].
        labels: class indices, [rows].
        tune: features and labels for the temperature.
        start: weight and bias to begin from.
        weights: of the rows: how often a bootstrap drew each.
        rounds: of L-BFGS.
    """
    classes = start[0].shape[1]
    weights = np.ones(len(labels)) if weights is None else weights
    counts = np.bincount(labels, weights, minlength=classes)
    balanced = weights * (len(labels) / (classes * np.maximum(counts, 1)))[labels]
    balanced /= balanced.sum()
    rows = np.hstack([features, np.ones((len(features), 1), dtype=features.dtype)])
    truth = np.eye(classes, dtype=rows.dtype)[labels]

    def loss(flat: NDArray) -> tuple[float, NDArray]:
        matrix = flat.reshape(-1, classes)
        logits = rows @ matrix.astype(rows.dtype)
        value = float(balanced @ (logsumexp(logits, axis=1) - logits[np.arange(len(labels)), labels]))
        slope = rows.T @ ((softmax(logits, axis=1) - truth) * balanced[:, None].astype(rows.dtype))
        penalised = matrix.copy()
        penalised[-1] = 0
        return value + PENALTY / 2 * float((penalised**2).sum()), (slope + PENALTY * penalised).ravel()

    first = np.vstack([start[0], start[1]]).astype(np.float64).ravel()
    found = minimize(loss, first, jac=True, method="L-BFGS-B", options={"maxiter": rounds})
    matrix = found.x.reshape(-1, classes).astype(np.float32)
    weight, bias = matrix[:-1], matrix[-1]
    return Head(weight, bias, fit_temperature(tune[0] @ weight + bias, tune[1]))

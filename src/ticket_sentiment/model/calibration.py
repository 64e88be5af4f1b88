"""Temperature scaling: one number that makes a classifier's probabilities honest.

Guo, Pleiss, Sun, Weinberger 2017, "On Calibration of Modern Neural Networks": divide all logits by one
temperature T > 0, chosen to minimise the negative log likelihood of held-out labels. The order of the classes
of a text never changes, so no label does.

A compressed model is calibrated on what the calibrated dense model says of the same tickets instead of on
their labels: a distribution says more than a label drawn from it, and a compressed model was chosen by these
labels (its best evaluation is kept), so that on them it is righter than it is elsewhere.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import logsumexp

from ticket_sentiment.errors import TicketSentimentError

# Outside of these a temperature says that the model, and not its confidence, is wrong. With all rows right
# (or all wrong) the likelihood has no minimum and runs to one of them.
LOWEST, HIGHEST = 0.05, 20.0


def negative_log_likelihood(logits: NDArray, targets: NDArray, temperature: float = 1.0) -> float:
    """Mean of -log p(target) in nats, with p the softmax of logits / temperature.

    Args:
        logits: [rows, labels].
        targets: class indices, [rows], or probabilities of the classes, [rows, labels].
        temperature: above 0.
    """
    scaled = np.asarray(logits, dtype=np.float64) / temperature
    hit = scaled[np.arange(len(scaled)), targets] if targets.ndim == 1 else (targets * scaled).sum(axis=1)
    return float(np.mean(logsumexp(scaled, axis=1) - hit))


def fit_temperature(logits: NDArray, targets: NDArray) -> float:
    """The temperature with the lowest negative log likelihood, between 0.05 and 20.

    The likelihood is convex in 1/T, hence has one minimum in log T, which a bounded search finds.

    Args:
        logits: raw scores of rows that were not trained on, [rows, labels].
        targets: their class indices, [rows], or what a calibrated model says of them, [rows, labels].

    Raises:
        TicketSentimentError: there are no rows, or a logit is not finite (the training has diverged).
    """
    logits = np.asarray(logits, dtype=np.float64)
    targets = np.asarray(targets)
    if logits.ndim != 2 or targets.shape not in (logits.shape, logits.shape[:1]) or not len(logits):
        raise TicketSentimentError(
            f"cannot calibrate: logits {logits.shape} and targets {targets.shape} must have the same number "
            "of rows and at least one; check the split in data/prepared/split.json"
        )
    if not np.isfinite(logits).all():
        raise TicketSentimentError(
            "cannot calibrate: the model's logits are not finite, its training has diverged; "
            "lower the learning rate in params.yaml and run again"
        )
    result = minimize_scalar(
        lambda log_t: negative_log_likelihood(logits, targets, float(np.exp(log_t))),
        bounds=(np.log(LOWEST), np.log(HIGHEST)),
        method="bounded",
        options={"xatol": 1e-6},
    )
    return float(np.exp(result.x))

"""How many labels are wrong, and which, by confident learning.

Northcutt, Jiang, Chuang 2021, "Confident Learning: Estimating Uncertainty in Dataset Labels" (cleanlab), on
the probabilities of a bag of words that has not seen the ticket. So simple a model doubts some right labels,
too: the share is an upper bound, and is worth comparing only with itself.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.labels import LABEL_TO_ID, LABELS

FOLDS = 5
MIN_ROWS = 60  # labelled rows of the rarest class; below, nothing is estimated


@dataclass(frozen=True)
class Noise:
    """The share of labels that seem wrong (null: too few to tell), and the worst of them, worst first."""

    share: float | None
    suspects: list[dict[str, Any]]


def out_of_fold(features: Any, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probabilities [rows, labels] of each row by a model that was learnt without it."""
    from sklearn.linear_model import SGDClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    learner = SGDClassifier(loss="log_loss", alpha=2e-5, average=True, max_iter=10, tol=None, random_state=0)
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return cross_val_predict(learner, features, labels, cv=folds, method="predict_proba")


def label_noise(tickets: pd.DataFrame, features: Any, count: int) -> Noise:
    """Judge the labels of tickets.

    Args:
        tickets: labelled rows, columns ticket_id and label.
        features: of them, a sparse matrix with one row each.
        count: how many suspects to name.
    """
    labels = np.array([LABEL_TO_ID[label] for label in tickets["label"]], dtype=np.int64)
    if np.bincount(labels, minlength=len(LABELS)).min() < MIN_ROWS:
        return Noise(None, [])
    from cleanlab.count import estimate_joint
    from cleanlab.rank import get_label_quality_scores

    probabilities = out_of_fold(features, labels)
    joint = estimate_joint(labels, probabilities)  # [given label, true label], summing to 1
    quality = get_label_quality_scores(labels, probabilities)
    ids = tickets["ticket_id"].to_numpy()
    worst = sorted(range(len(labels)), key=lambda row: (quality[row], ids[row]))[:count]
    suspects = [
        {
            "ticket_id": str(ids[row]),
            "label": LABELS[labels[row]],
            "suggested": LABELS[probabilities[row].argmax()],
            "quality": round(float(quality[row]), 6),
        }
        for row in worst
    ]
    return Noise(round(float(1 - np.trace(joint)), 6), suspects)

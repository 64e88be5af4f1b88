"""From where a distance is drift: learnt from the reference itself, by how far its quiet periods lie apart.

A p-value asks whether two tables differ at all; of enough rows they always do, and it always fires. Asked
here is whether they differ by more than the reference's own periods do among each other. So the same distance
is measured, again and again, between one period of the reference, resampled to as many tickets as are to be
judged, and its other periods; a high quantile of it is the limit (a block bootstrap: Künsch 1989, "The
Jackknife and the Bootstrap for General Stationary Observations").

A floor keeps what is too small to matter from being drift, and a ceiling a reference that was never quiet
from making everything normal: a limit that can be learnt to any height is no limit.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from evidently.legacy.calculations.stattests import get_stattest
from evidently.legacy.core import ColumnType
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from ticket_sentiment.gates.drift_features import MIN_ROWS, NUMERIC
from ticket_sentiment.params import Drift

MIN_MONTHS = 3  # of fewer the weeks are the periods: one month cannot say how months differ
FOLDS = 5
CHANCE = 0.5  # ROC AUC of what cannot be told apart


@dataclass(frozen=True)
class Limit:
    """From where a measure is drift.

    Attributes:
        value: what is held against: what was learnt, between floor and ceiling.
        learnt: the quantile over the reference's quiet periods; None where there are none to learn from.
        floor: of params.yaml.
    """

    value: float
    learnt: float | None
    floor: float

    @classmethod
    def between(cls, learnt: float, floor: float, ceiling: float) -> "Limit":
        """The limit that a learnt one becomes."""
        return cls(round(min(max(learnt, floor), ceiling), 6), round(learnt, 6), floor)


def distance(reference: pd.Series, current: pd.Series, drift: Drift) -> float:
    """Evidently's distance of two columns, by the method of params.yaml for their kind."""
    numeric = reference.name in NUMERIC
    kind = ColumnType.Numerical if numeric else ColumnType.Categorical
    method = drift.numeric_method if numeric else drift.categorical_method
    test = get_stattest(reference, current, kind, method)
    # As Evidently's report does: of what is not known there is no mix.
    return float(test(reference.dropna(), current.dropna(), kind, 0.0).drift_score)


def domain_auc(reference: NDArray[np.float32], current: NDArray[np.float32], seed: int) -> float:
    """Cross-validated ROC AUC of a logistic regression that separates two sets of vectors.

    0.5 means that they cannot be told apart, 1.0 that they always can. (The classifier two-sample test:
    Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests".)

    Args:
        reference: [rows, hidden].
        current: [rows, hidden]; no vector twice, or the classifier knows it again.
        seed: of the folds.
    """
    vectors = np.concatenate([reference, current]).astype(np.float64)
    is_current = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    with threadpool_limits(1):  # products this small wait for other threads longer than they compute
        scores = cross_val_score(classifier, vectors, is_current, cv=folds, scoring="roc_auc")
    return round(float(scores.mean()), 4)


def periods(when: pd.Series, days: float | None = None) -> NDArray[np.str_]:
    """The quiet period of each row: its month, or where there are few months its week, by `when` (UTC).

    Where even weeks with MIN_ROWS rows are fewer than two, halves by turns: then only the chance of the draw
    is learnt, and the floor decides.

    Args:
        when: the time of each row.
        days: that the tables to be judged last, where that is not a month: of short ones the days are the
            periods, as one day may be unlike another.
    """
    months, weeks = when.dt.strftime("%Y-%m"), when.dt.strftime("%G-W%V")
    short = days is not None and days < 7
    names = (
        when.dt.strftime("%Y-%m-%d")
        if short
        else months
        if days is None and months.nunique() >= MIN_MONTHS
        else weeks
    ).to_numpy(dtype=str)
    found, counts = np.unique(names, return_counts=True)
    large = found[counts >= MIN_ROWS]
    if len(large) < 2:
        return np.where(np.arange(len(names)) % 2, "odd", "even")
    return np.where(np.isin(names, large), names, "")


def _parts(groups: NDArray[np.str_]) -> list[tuple[NDArray[np.intp], NDArray[np.intp]]]:
    """Row numbers of each period, and of all others."""
    return [
        (np.flatnonzero(groups == name), np.flatnonzero(groups != name)) for name in np.unique(groups) if name
    ]


def learn(
    reference: pd.DataFrame,
    when: pd.Series,
    columns: Sequence[str],
    rows: int,
    drift: Drift,
    days: float | None = None,
) -> dict[str, Limit]:
    """The limit of each column.

    Args:
        reference: the table that others are compared with; `when`: the time of each of its rows.
        columns: of NUMERIC and CATEGORICAL.
        rows: of the table that is to be judged: of few rows a distance is larger by chance.
        drift: quantile, resamples, floors.
        days: as of `periods`.
    """
    seen: dict[str, list[float]] = {column: [] for column in columns}
    random, parts = np.random.default_rng(drift.seed), _parts(periods(when, days))
    for _ in range(drift.resamples):
        inside, outside = parts[random.integers(len(parts))]
        drawn = random.choice(inside, rows)
        for column in columns:
            values = reference[column]
            seen[column].append(distance(values.iloc[outside], values.iloc[drawn], drift))
    floors = {
        column: drift.numeric_floor if column in NUMERIC else drift.categorical_floor for column in columns
    }
    return {
        column: Limit.between(
            float(np.quantile(seen[column], drift.quantile)), floor, floor * drift.max_over_floor
        )
        for column, floor in floors.items()
    }


def learn_embedding(vectors: NDArray[np.float32], when: pd.Series, drift: Drift) -> Limit:
    """The limit of the domain classifier: each period of the reference against its others, once.

    A classifier would know a vector again that was drawn twice, so nothing is drawn.

    Args:
        vectors: of the reference, [rows, hidden]; `when`: the time of each of its rows.
        drift: quantile, floor.
    """
    seen = [
        domain_auc(vectors[outside], vectors[inside], drift.seed) for inside, outside in _parts(periods(when))
    ]
    ceiling = min(1.0, CHANCE + (drift.embedding_floor - CHANCE) * drift.max_over_floor)
    return Limit.between(float(np.quantile(seen, drift.quantile)), drift.embedding_floor, ceiling)

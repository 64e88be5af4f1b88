"""How two models answer the same tickets. Pure numpy and pandas; the intervals are those of the gates."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.compare.table import labelled
from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.baselines import label_ids
from ticket_sentiment.gates.changes import Move, answers, moves
from ticket_sentiment.gates.metrics import Interval
from ticket_sentiment.gates.scored import Scored
from ticket_sentiment.gates.slices import slice_masks
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Evaluate

MIN_LABELLED = 30  # below, an interval of macro-F1 says nothing
WORST = 20
QUANTILES = (0.5, 0.95, 1.0)


@dataclass(frozen=True)
class Quality:
    """Of both models on the labelled tickets; the difference is B minus A, paired by ticket."""

    rows: int
    a: Interval  # macro-F1
    b: Interval
    difference: Interval
    better: int
    worse: int
    recalls: tuple[tuple[str, float | None, float | None], ...]  # label, of A, of B
    calibration_errors: tuple[float, float]
    reliability: tuple[list[dict[str, Any]], list[dict[str, Any]]]


@dataclass(frozen=True)
class Part:
    """A part of the tickets: how often both answer alike, and where there are labels the difference."""

    slice: str
    value: str
    rows: int
    agreement: float
    difference: Interval | None


@dataclass(frozen=True)
class Changed:
    """One ticket, by its id. `loss` is how much less likely B finds the right label, or else A's label."""

    ticket_id: str
    label: str | None
    a: str
    b: str
    loss: float
    text: str = field(repr=False)


@dataclass(frozen=True)
class Differences:
    """All that is told about two models on one table."""

    rows: int
    agreement: Interval
    moves: tuple[Move, ...]
    answers: tuple[tuple[str, int, int], ...]
    transitions: NDArray[np.int64]  # [labels of A, labels of B]
    shift: tuple[float, ...]  # QUANTILES of the distance between the two probabilities of a ticket
    mean_probabilities: tuple[tuple[str, float, float], ...]  # label, of A, of B
    abstained: tuple[int, int]
    quality: Quality | None
    parts: tuple[Part, ...]
    worst: tuple[Changed, ...]

    @property
    def moved(self) -> int:
        """Tickets that the two answer otherwise."""
        return sum(move.rows for move in self.moves)


def distance(a: NDArray, b: NDArray) -> NDArray[np.float64]:
    """Total variation distance of two models' probabilities, a ticket each: 0 equal, 1 opposite. [rows]"""
    return 0.5 * np.abs(a - b).sum(axis=1)


def _drawn(
    actual: NDArray, predicted: dict[str, NDArray], clusters: NDArray, settings: Evaluate
) -> dict[str, NDArray]:
    return metrics.bootstrap_confusions(
        actual, predicted, clusters, settings.bootstrap_samples, settings.seed
    )


def _clusters(table: pd.DataFrame) -> NDArray[np.int64]:
    """By who wrote each ticket, or else its text: the same text again is no more evidence."""
    wrote = table["customer_id"].where(table["customer_id"].notna(), "text: " + table["text"])
    return metrics.cluster_codes(wrote.tolist(), len(table))


def _f1_difference(
    actual: NDArray, a: NDArray, b: NDArray, clusters: NDArray, settings: Evaluate
) -> tuple[Interval, Interval, Interval]:
    """Macro-F1 of A, of B, and B minus A on the same resamples of customers."""
    drawn = _drawn(actual, {"a": a, "b": b}, clusters, settings)
    whole = [float(metrics.macro_f1(metrics.confusion_matrix(actual, one))) for one in (a, b)]
    resampled = [metrics.macro_f1(drawn[name]) for name in ("a", "b")]
    groups = len(np.unique(clusters))
    first, second = (
        metrics.clustered_interval(value, draws, groups)
        for value, draws in zip(whole, resampled, strict=True)
    )
    gain = resampled[1] - resampled[0]
    return first, second, metrics.clustered_interval(whole[1] - whole[0], gain, groups, least=-1.0)


def judge_quality(table: pd.DataFrame, a: Scored, b: Scored, settings: Evaluate) -> Quality | None:
    """Both models on the tickets that have a label; None where there are too few."""
    known = labelled(table)
    if known.sum() < MIN_LABELLED:
        return None
    actual = label_ids(table["label"][known])
    predicted = [one.predicted[known] for one in (a, b)]
    probabilities = [one.probabilities[known] for one in (a, b)]
    first, second, difference = _f1_difference(actual, *predicted, _clusters(table[known]), settings)
    reports = [metrics.class_report(metrics.confusion_matrix(actual, one), LABELS) for one in predicted]
    right = [one == actual for one in predicted]
    return Quality(
        rows=len(actual),
        a=first,
        b=second,
        difference=difference,
        better=int((~right[0] & right[1]).sum()),
        worse=int((right[0] & ~right[1]).sum()),
        recalls=tuple((label, reports[0][label]["recall"], reports[1][label]["recall"]) for label in LABELS),
        calibration_errors=tuple(metrics.expected_calibration_error(one, actual) for one in probabilities),
        reliability=tuple(metrics.reliability_table(one, actual) for one in probabilities),
    )


def judge_parts(table: pd.DataFrame, a: Scored, b: Scored, settings: Evaluate) -> tuple[Part, ...]:
    """Every part of the tickets that is large enough and not the whole."""
    known, parts = labelled(table), []
    for name, value, mask in slice_masks(table, settings):
        if mask.all():
            continue
        both, difference = mask & known, None
        if both.sum() >= settings.min_slice_rows:
            clusters = _clusters(table[both])
            actual = label_ids(table["label"][both])
            difference = _f1_difference(actual, a.predicted[both], b.predicted[both], clusters, settings)[2]
        alike = float((a.predicted[mask] == b.predicted[mask]).mean())
        parts.append(Part(name, value, int(mask.sum()), alike, difference))
    return tuple(parts)


def find_worst(table: pd.DataFrame, a: Scored, b: Scored) -> tuple[Changed, ...]:
    """Tickets whose answer got worse: A was right and B is not; where no label says so, any other answer.

    Those first where B finds the right label, or else A's, so much less likely.
    """
    rows = np.arange(len(table))
    known, was, now = labelled(table), a.predicted, b.predicted
    right = was.copy()
    right[known] = label_ids(table["label"][known])
    loss = a.probabilities[rows, right] - b.probabilities[rows, right]
    worse = np.flatnonzero((was == right) & (now != right))
    order = worse[np.lexsort((table["ticket_id"].to_numpy()[worse], -loss[worse]))]
    return tuple(
        Changed(
            ticket_id=table["ticket_id"].iloc[row],
            label=table["label"].iloc[row] if known[row] else None,
            a=LABELS[was[row]],
            b=LABELS[now[row]],
            loss=float(loss[row]),
            text=table["text"].iloc[row],
        )
        for row in order[:WORST]
    )


def differences(
    table: pd.DataFrame, a: Scored, b: Scored, settings: Evaluate, abstain_below: float
) -> Differences:
    """Compare two models' answers.

    Args:
        table: `table.read_table`.
        a: answers of the first model to its rows.
        b: answers of the second.
        settings: resamples, seed and smallest part.
        abstain_below: confidence under which the service marks an answer.
    """
    called = [pd.Series([LABELS[index] for index in one.predicted]) for one in (a, b)]
    clusters = _clusters(table)
    drawn = _drawn(a.predicted, {"b": b.predicted}, clusters, settings)["b"]
    transitions = metrics.confusion_matrix(a.predicted, b.predicted)
    return Differences(
        rows=len(table),
        agreement=metrics.clustered_interval(
            float(metrics.accuracy(transitions)), metrics.accuracy(drawn), len(np.unique(clusters))
        ),
        moves=moves(*called, table["label"]),
        answers=answers(*called),
        transitions=transitions,
        shift=tuple(
            float(value) for value in np.quantile(distance(a.probabilities, b.probabilities), QUANTILES)
        ),
        mean_probabilities=tuple(
            (label, float(a.probabilities[:, place].mean()), float(b.probabilities[:, place].mean()))
            for place, label in enumerate(LABELS)
        ),
        abstained=tuple(int((one.probabilities.max(axis=1) < abstain_below).sum()) for one in (a, b)),
        quality=judge_quality(table, a, b, settings),
        parts=judge_parts(table, a, b, settings),
        worst=find_worst(table, a, b),
    )

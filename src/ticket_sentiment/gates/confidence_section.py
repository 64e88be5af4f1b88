"""What the release report says of confidence: can it be trusted, and what is left to a person."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from ticket_sentiment.gates.evidence import Missing
from ticket_sentiment.gates.evidence_types import Abstention, Evaluation
from ticket_sentiment.gates.words import points, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.pages.figures import coverage_plot, reliability_plot

PREDICTIONS = Path("reports/evaluation/predictions.parquet")
RELIABILITY = Path("reports/evaluation/reliability.csv")
COVERAGE = Path("reports/evaluation/coverage.csv")


@dataclass(frozen=True)
class Abstaining:
    """What becomes of the tickets when answers under a confidence are left to a person."""

    below: float
    left: float  # share of all tickets
    right: float | None  # share of right answers among the others; None where there are none


def abstaining(thresholds: Iterable[float]) -> list[Abstaining] | None:
    """Coverage and its quality by threshold; None where the predictions are not there."""
    if not PREDICTIONS.is_file():
        return None
    table = pd.read_parquet(PREDICTIONS)
    sure = table[[f"compressed_{label}" for label in LABELS]].max(axis=1)
    right = table["compressed_label"] == table["label"]
    rows = []
    for below in thresholds:
        kept = sure >= below
        rows.append(
            Abstaining(below, float(1 - kept.mean()), float(right[kept].mean()) if kept.any() else None)
        )
    return rows


def _coverage(abstention: Abstention) -> Any:
    """The plot of what is wrong when the unsure rest is left to people; None where its table is not there."""
    if not COVERAGE.is_file() or abstention.risk is None:
        return None
    table = pd.read_csv(COVERAGE)
    ours = table[table["model"] == "compressed"]
    risks = np.interp((0.5, 0.8, 1.0), ours["coverage"], ours["risk"])
    half, most, all_ = (share(float(risk)) for risk in risks)
    return coverage_plot(
        list(ours[["coverage", "risk"]].itertuples(index=False, name=None)),
        (abstention.coverage, abstention.risk),
        f"Of the surest half of the answers {half} are wrong, of the surest 80 % {most}, of all {all_}.",
    )


def confidence_section(evaluation: Evaluation | Missing, abstain_below: float) -> dict[str, Any] | None:
    """The plot of the compressed model's calibration, or None where its table is not there.

    Args:
        evaluation: of the holdout.
        abstain_below: confidence under which the service marks an answer for a person.
    """
    if isinstance(evaluation, Missing) or not RELIABILITY.is_file():
        return None
    table = pd.read_csv(RELIABILITY)
    ours = table[table["model"] == "compressed"]
    bins = list(ours[["confidence", "accuracy", "rows"]].itertuples(index=False, name=None))
    scores = evaluation.models.compressed
    off = points(scores.calibration_error, sign=False)
    described = ". ".join(f"Stated {share(stated)}: right {share(right)}" for stated, right, _ in bins)
    raw = scores.calibration_error_uncalibrated
    left = next(iter(abstaining([abstain_below]) or ()), None)
    return {
        "coverage": _coverage(scores.abstention),
        "abstain": left
        and f"Answers under {share(abstain_below)} are marked for a person: {share(left.left, 1)} "
        f"of the tickets"
        + ("." if left.right is None else f"; of the others {share(left.right, 1)} are right."),
        "title": f"Its stated confidence is {off} away from the truth on average",
        "plot": reliability_plot(bins, f"Confidence and share of right answers. {described}"),
        "before": None if raw is None else points(raw, sign=False),
    }

"""What the release report says of confidence: can it be trusted, and what is left to a person."""

from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.gates.evidence import Missing
from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import points, share
from ticket_sentiment.pages.figures import reliability_plot

RELIABILITY = Path("reports/evaluation/reliability.csv")


def confidence_section(evaluation: Evaluation | Missing) -> dict[str, Any] | None:
    """The plot of the compressed model's calibration, or None where its table is not there."""
    if isinstance(evaluation, Missing) or not RELIABILITY.is_file():
        return None
    table = pd.read_csv(RELIABILITY)
    ours = table[table["model"] == "compressed"]
    bins = list(ours[["confidence", "accuracy", "rows"]].itertuples(index=False, name=None))
    scores = evaluation.models.compressed
    off = points(scores.calibration_error, sign=False)
    described = ". ".join(f"Stated {share(stated)}: right {share(right)}" for stated, right, _ in bins)
    raw = scores.calibration_error_uncalibrated
    return {
        "title": f"Its stated confidence is {off} away from the truth on average",
        "plot": reliability_plot(bins, f"Confidence and share of right answers. {described}"),
        "before": None if raw is None else points(raw, sign=False),
    }

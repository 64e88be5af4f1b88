"""What the release report says of mistakes: which label is taken for which."""

from collections.abc import Sequence
from typing import Any

from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import share
from ticket_sentiment.labels import LABELS


def matrix_rows(counts: Sequence[Sequence[int]]) -> list[dict[str, Any]]:
    """Rows for the macro `matrix`: each cell with its share of the row."""
    return [
        {
            "label": LABELS[i],
            "cells": [
                {"count": count, "share": count / sum(row) if sum(row) else 0.0, "right": i == j}
                for j, count in enumerate(row)
            ],
        }
        for i, row in enumerate(counts)
    ]


def mistakes_title(evaluation: Evaluation) -> str:
    """Which label is most often taken for which."""
    matrix = evaluation.models.compressed.confusion
    totals = [sum(row) for row in matrix]
    mistakes = [(matrix[i][j], i, j) for i in range(3) for j in range(3) if i != j]
    most, actual, read_as = max(mistakes, key=lambda item: item[0])
    if not most:
        return f"It made no mistake in {sum(totals):,} tickets"
    return (
        f"Its commonest mistake: {most:,} of {totals[actual]:,} {LABELS[actual]} tickets "
        f"({share(most / totals[actual])}) are read as {LABELS[read_as]}"
    )


def mistakes_section(evaluation: Evaluation) -> dict[str, Any]:
    """The confusion matrix with row shares, and precision and recall of each class."""
    return {
        "title": mistakes_title(evaluation),
        "rows": matrix_rows(evaluation.models.compressed.confusion),
        "classes": [
            (label, *("–" if value is None else share(value) for value in (one.precision, one.recall)))
            for label, one in ((label, evaluation.models.compressed.classes[label]) for label in LABELS)
        ],
    }

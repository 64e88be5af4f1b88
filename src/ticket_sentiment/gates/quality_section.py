"""What the release report says of quality: macro-F1 of every model, and the differences."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import measure, months, number, points
from ticket_sentiment.pages.figures import Row, rows_plot, tenths

MODELS = {
    "compressed": "New model (compressed)",
    "champion": "Present champion",
    "dense": "Dense model, before compression",
    "tfidf": "Bag of words (TF-IDF)",
    "majority": "Always the commonest label",
}
COMPARED = {
    "compressed_minus_champion": "against the present champion",
    "compressed_minus_dense": "against the dense model",
    "compressed_minus_tfidf": "against the bag of words",
}


def quality_section(evaluation: Evaluation) -> dict[str, Any]:
    """Macro-F1 of every model with its interval, and the differences."""
    scores = {name: getattr(evaluation.models, name) for name in MODELS}
    scores = {name: one for name, one in scores.items() if one is not None}
    differences = {
        name: one.macro_f1 for name in COMPARED if (one := getattr(evaluation.differences, name)) is not None
    }
    first, last = next(iter(differences)), "compressed_minus_tfidf"
    title = (
        f"The new model scores {number(scores['compressed'].macro_f1.value, 3)}: "
        f"{points(differences[first].value)} {COMPARED[first]}, "
        f"{points(differences[last].value)} {COMPARED[last]}"
    )
    rows = [
        Row(
            MODELS[name],
            one.macro_f1.value,
            measure(one.macro_f1),
            one.macro_f1.low,
            one.macro_f1.high,
            "main" if name == "compressed" else "plain",
        )
        for name, one in scores.items()
    ]
    axis = tenths(min(row.low for row in rows), max(row.high for row in rows))
    return {
        "title": title,
        "plot": rows_plot(rows, axis, "Macro-F1 of every model with its 95 % interval"),
        "rows": [
            (
                MODELS[n],
                measure(s.macro_f1),
                measure(s.accuracy),
                number(s.brier, 3),
                points(s.calibration_error, False),
            )
            for n, s in scores.items()
        ],
        "left_out": evaluation.left_out(),
        "differences": [(COMPARED[name], points(one)) for name, one in differences.items()],
    }


def quality_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    """For the summary: (name or nothing, text)."""
    models, differences = evaluation.models, evaluation.differences
    rows, when = f"{evaluation.holdout.rows:,}", months(evaluation.holdout.months)
    against, learnt = differences.compressed_minus_champion, evaluation.learnt
    beside = "first model, no champion yet"
    if evaluation.champion_digest:
        beside = "not compared with the champion"
    if against:
        beside = f"{points(against.macro_f1)} against the champion"
    if learnt and learnt.rows:
        beside += f" (without {learnt.rows:,} that it learnt as a hotfix)"
    lines = [
        f"macro-F1 {measure(models.compressed.macro_f1)} compressed, on {rows} tickets of {when}",
        f"macro-F1 {measure(models.dense.macro_f1)} dense, before compression",
        f"{points(differences.compressed_minus_dense.macro_f1)} compressed against dense",
        f"{points(differences.compressed_minus_tfidf.macro_f1)} against TF-IDF with logistic regression",
        beside,
    ]
    return [("" if place else "Quality", line) for place, line in enumerate(lines)]

"""Stage `evaluate`: every model on the same holdout, with intervals, in files that hold no ticket text.

The champion is scored again on this very holdout: a stored metric from another month is never compared with
a new one. Where it is a hotfix, the tickets that it learnt are left out of what is said of it (left_out.py).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import finite_or_none, replacing, sha256_file, write_json
from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.baselines import label_ids, majority_probabilities, tfidf_probabilities
from ticket_sentiment.gates.left_out import LeftOut, left_out
from ticket_sentiment.gates.scored import (
    CHAMPION,
    CPU_BUNDLE,
    DENSE,
    HOLDOUT,
    Scored,
    score_bundle,
    score_dense,
)
from ticket_sentiment.gates.slice_scores import judge_slices
from ticket_sentiment.gates.slices import KNOWN_CUSTOMER
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import MANIFEST
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.schema import TICKETS, month_files

TRAIN = Path("data/prepared/train.parquet")
FOLDER = Path("reports/evaluation")

COLUMNS = ("ticket_id", "customer_id", "created_at", "channel", "text", "label")
COVERAGE_POINTS = 39
DIFFERENCES = (
    ("compressed", "dense"),
    ("compressed", "champion"),
    ("dense", "tfidf"),
    ("compressed", "tfidf"),
)
IN_PREDICTIONS = (
    "dense",
    "compressed",
    "champion",
    "tfidf",
)  # the report compares with TF-IDF without a champion
IN_RELIABILITY = ("dense", "compressed", "champion")


def read_table(path: Path) -> pd.DataFrame:
    """A labelled table of `prepare`.

    Raises:
        TicketSentimentError: the file is missing, unreadable or empty, lacks a column, or holds a label that
            is none.
    """
    table = read_prepared(path, COLUMNS)
    if table.empty or not table["label"].isin(LABELS).all():
        raise TicketSentimentError(
            f"{path}: column label: expected at least one row and only {', '.join(LABELS)}: "
            "run `dvc repro -f -s prepare`"
        )
    return table.reset_index(drop=True)


def score_all(
    train: pd.DataFrame, holdout: pd.DataFrame, max_length: int
) -> tuple[dict[str, Scored], dict[str, str]]:
    """All models that there are, and the digests of the bundles among them.

    Args:
        train: labelled rows that the baselines learn from.
        holdout: rows to score.
        max_length: tokens of the dense model.
    """
    texts = holdout["text"].tolist()
    train_labels = train["label"].tolist()
    scored = {
        "majority": Scored(majority_probabilities(train_labels, len(texts))),
        "tfidf": Scored(tfidf_probabilities(train["text"].tolist(), train_labels, texts)),
        "dense": score_dense(DENSE, texts, max_length),
    }
    digests = {}
    digests["compressed"], scored["compressed"] = score_bundle(CPU_BUNDLE, texts)
    if (CHAMPION / MANIFEST).is_file():
        digests["champion"], scored["champion"] = score_bundle(CHAMPION, texts)
    return scored, digests


def _scores(
    model: Scored, actual: NDArray, resampled: NDArray, clusters: int, seed: int, abstain_below: float
) -> dict[str, Any]:
    confusion = metrics.confusion_matrix(actual, model.predicted)
    raw = model.uncalibrated
    error = metrics.expected_calibration_error
    return {
        "macro_f1": _interval(metrics.macro_f1, confusion, resampled, clusters),
        "accuracy": _interval(metrics.accuracy, confusion, resampled, clusters),
        "classes": metrics.class_report(confusion, LABELS),
        "brier": finite_or_none(metrics.brier(model.probabilities, actual)),
        "calibration_error": finite_or_none(error(model.probabilities, actual)),
        "calibration_error_by_chance": finite_or_none(
            metrics.calibration_error_by_chance(model.probabilities, len(resampled), seed)
        ),
        "calibration_error_uncalibrated": None if raw is None else finite_or_none(error(raw, actual)),
        "confusion": confusion.tolist(),
        "abstention": metrics.abstention(model.probabilities, actual, abstain_below),
    }


def _interval(
    statistic: Any, confusion: NDArray, resampled: NDArray, clusters: int
) -> dict[str, float | None]:
    value = float(statistic(confusion))
    return metrics.clustered_interval(value, statistic(resampled), clusters).as_json()


def _difference(
    first: NDArray, second: NDArray, resampled: tuple[NDArray, NDArray], clusters: int
) -> dict[str, Any]:
    value = float(metrics.macro_f1(first) - metrics.macro_f1(second))
    drawn = metrics.macro_f1(resampled[0]) - metrics.macro_f1(resampled[1])
    return {"macro_f1": metrics.clustered_interval(value, drawn, clusters, least=-1.0).as_json()}


def judge_models(
    scored: Mapping[str, Scored],
    actual: NDArray,
    clusters: NDArray,
    samples: int,
    seed: int,
    abstain_below: float,
) -> dict[str, Any]:
    """The parts `models` and `differences` of metrics.json.

    Args:
        scored: the models; `champion` may be absent.
        actual: class indices, [rows].
        clusters: `metrics.cluster_codes`, [rows].
        samples: bootstrap resamples.
        seed: of the resamples.
        abstain_below: confidence under which an answer is left to a person.
    """
    predictions = {name: model.predicted for name, model in scored.items()}
    drawn = metrics.bootstrap_confusions(actual, predictions, clusters, samples, seed)
    whole = {name: metrics.confusion_matrix(actual, predicted) for name, predicted in predictions.items()}
    groups = len(np.unique(clusters))
    models = {
        name: _scores(model, actual, drawn[name], groups, seed, abstain_below)
        for name, model in scored.items()
    }
    differences = {
        f"{first}_minus_{second}": _difference(
            whole[first], whole[second], (drawn[first], drawn[second]), groups
        )
        if {first, second} <= scored.keys()
        else None
        for first, second in DIFFERENCES
    }
    return {"models": {"champion": None, **models}, "differences": differences}


def predictions_table(
    holdout: pd.DataFrame, scored: Mapping[str, Scored], apart: LeftOut | None = None
) -> pd.DataFrame:
    """One row a ticket: ticket_id, label, and each model's probabilities and label. No text.

    The champion's are null where it learnt the ticket (`apart`).
    """
    columns: dict[str, Any] = {"ticket_id": holdout["ticket_id"], "label": holdout["label"]}
    for name in IN_PREDICTIONS:
        if name in scored:
            for position, label in enumerate(LABELS):
                columns[f"{name}_{label}"] = scored[name].probabilities[:, position].astype(np.float32)
            columns[f"{name}_label"] = [LABELS[index] for index in scored[name].predicted]
    table = pd.DataFrame(columns)
    if apart is not None:
        table.loc[apart.rows, [column for column in table if column.startswith("champion_")]] = None
    return table


def write_tables(
    folder: Path,
    holdout: pd.DataFrame,
    scored: Mapping[str, Scored],
    actual: NDArray,
    apart: LeftOut | None = None,
) -> None:
    """Write predictions.parquet, confusion.csv, reliability.csv and coverage.csv."""
    predictions = predictions_table(holdout, scored, apart)
    judged = {name: (scored[name], actual) for name in IN_RELIABILITY if name in scored}
    if apart is not None and "champion" in judged:
        judged["champion"] = (scored["champion"].only(~apart.rows), actual[~apart.rows])
    with replacing(folder / "predictions.parquet") as temporary:
        predictions.to_parquet(temporary, index=False)
    confusion = predictions.rename(columns={"label": "actual", "compressed_label": "predicted"})
    with replacing(folder / "confusion.csv") as temporary:
        confusion[["actual", "predicted"]].to_csv(temporary, index=False)
    reliability = [
        {"model": name, **row}
        for name, (model, labels) in judged.items()
        if len(labels)
        for row in metrics.reliability_table(model.probabilities, labels)
    ]
    with replacing(folder / "reliability.csv") as temporary:
        pd.DataFrame(reliability).to_csv(temporary, index=False)
    coverage = [coverage_table(name, *one) for name, one in judged.items() if len(one[1])]
    with replacing(folder / "coverage.csv") as temporary:
        pd.concat(coverage).round(5).to_csv(temporary, index=False)


def coverage_table(name: str, model: Scored, actual: NDArray) -> pd.DataFrame:
    """A model's risk over its coverage at COVERAGE_POINTS places, for `dvc plots`."""
    confidence, coverage, risk = metrics.risk_coverage(model.probabilities, actual)
    places = np.unique(
        np.searchsorted(coverage, np.linspace(0.05, 1, COVERAGE_POINTS)).clip(0, len(risk) - 1)
    )
    return pd.DataFrame(
        {"model": name, "coverage": coverage[places], "risk": risk[places], "confidence": confidence[places]}
    )


def known_customers(holdout: pd.DataFrame, tickets: Path = TICKETS) -> pd.Series:
    """Whether each customer of the holdout wrote in an earlier month; None where nobody knows who wrote.

    The training tickets cannot tell: `prepare` takes the holdout's customers out of them.
    """
    first = holdout["created_at"].min().strftime("%Y-%m")
    earlier = [path for month, path in month_files(tickets).items() if month < first]
    seen = {
        name for path in earlier for name in pd.read_parquet(path, columns=["customer_id"])["customer_id"]
    }
    wrote = holdout["customer_id"].isin(seen).astype(object)
    return wrote.where(holdout["customer_id"].notna(), None)


def read_holdout() -> pd.DataFrame:
    """The holdout with `known_customer`, as `report` takes it."""
    holdout = read_table(HOLDOUT)
    return holdout.assign(**{KNOWN_CUSTOMER: known_customers(holdout)})


def judge_apart(
    judged: dict[str, Any],
    scored: Mapping[str, Scored],
    holdout: pd.DataFrame,
    rows: NDArray[np.bool_],
    params: Params,
) -> dict[str, Any]:
    """`judge_models` whose champion was scored, and compared, on some rows only.

    Args:
        judged: on all rows.
        scored: the models.
        holdout: labelled tickets.
        rows: those that count, [rows]; fewer than `evaluate.min_slice_rows` say nothing.
        params: sections `evaluate` and `serve` are read.
    """
    name, settings = "compressed_minus_champion", params.evaluate
    models, differences = judged["models"], judged["differences"]
    if rows.sum() < settings.min_slice_rows:
        return {"models": models | {"champion": None}, "differences": differences | {name: None}}
    part = holdout[rows]
    fair = judge_models(
        {model: scored[model].only(rows) for model in ("compressed", "champion")},
        label_ids(part["label"]),
        metrics.cluster_codes(part["customer_id"].tolist(), len(part)),
        settings.bootstrap_samples,
        settings.seed,
        params.serve.abstain_below,
    )
    return {
        "models": models | {"champion": fair["models"]["champion"]},
        "differences": differences | {name: fair["differences"][name]},
    }


def report(
    holdout: pd.DataFrame,
    scored: Mapping[str, Scored],
    digests: Mapping[str, str],
    params: Params,
    apart: LeftOut | None = None,
) -> dict[str, Any]:
    """The content of metrics.json but for the hash of the holdout.

    Args:
        holdout: the tickets that were scored, with `known_customer`.
        scored: `score_all`.
        digests: of the bundles among them.
        params: sections `evaluate` and `serve` are read.
        apart: what the champion learnt of it.
    """
    settings, actual = params.evaluate, label_ids(holdout["label"])
    clusters = metrics.cluster_codes(holdout["customer_id"].tolist(), len(holdout))
    judged = judge_models(
        scored,
        actual,
        clusters,
        settings.bootstrap_samples,
        settings.seed,
        params.serve.abstain_below,
    )
    if apart is not None and apart.rows.any():
        judged = judge_apart(judged, scored, holdout, ~apart.rows, params)
    predicted = {name: model.predicted for name, model in scored.items()}
    learnt = None if apart is None else apart.rows
    return {
        "bundle_digest": digests["compressed"],
        "champion_digest": digests.get("champion"),
        "learnt": apart and apart.as_json(),
        **judged,
        "slices": judge_slices(holdout, predicted, clusters, settings, learnt),
    }


def main(params: Params) -> None:
    """Score all models on data/prepared/holdout.parquet and write reports/evaluation/."""
    holdout = read_holdout()
    scored, digests = score_all(read_table(TRAIN), holdout, params.train.max_length)
    apart = left_out(holdout, digests.get("champion"))
    write_tables(FOLDER, holdout, scored, label_ids(holdout["label"]), apart)
    about = {
        "sha256": sha256_file(HOLDOUT),
        "rows": len(holdout),
        "months": sorted(holdout["created_at"].dt.strftime("%Y-%m").unique()),
    }
    found = report(holdout, scored, digests, params, apart)
    write_json(FOLDER / "metrics.json", {"holdout": about, **found})

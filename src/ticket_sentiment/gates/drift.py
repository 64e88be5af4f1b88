"""Stage `drift`: has the newest month changed against the tickets that the model was made with?

Evidently judges; this module says on what, by which method and threshold, and reads its tests' status.
Its defaults are never taken: they are p-values up to 1,000 reference rows and distances above, and the
verdict on a whole table passes when one column of three has shifted completely. So every column has its
method and threshold from params.yaml and is judged for itself.
"""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import evidently
import numpy as np
import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.legacy.renderers.html_widgets import CounterData, counter
from evidently.metrics import ValueDrift
from evidently.tests import lt
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ticket_sentiment.files import finite_or_none, sha256_file, write_json, write_text
from ticket_sentiment.gates.drift_features import (
    CATEGORICAL,
    EMBEDDING,
    NUMERIC,
    REQUIRED,
    bundle_columns,
    check,
    months_of,
    require_rows,
    sample,
    summary,
    ticket_columns,
)
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Drift, Params

REFERENCE = Path("data/prepared/train.parquet")
UNSEEN = Path("data/prepared/tune.parquet")
CURRENT = Path("data/prepared/holdout.parquet")
BUNDLE = Path("models/release/cpu")
RESULT = Path("reports/drift.json")
PAGE = Path("reports/drift.html")

FOLDS = 5

Embed = Callable[[Sequence[str]], NDArray[np.float32]]


class DomainClassifier(SingleValueMetric):
    """An Evidently metric: ROC AUC of a classifier that tells the two tables apart by their embedding.

    Evidently's own (`EmbeddingsDrift`, method `model`) fits unscaled stochastic gradient descent on one
    split and draws an unseeded t-SNE, so its value wanders and its page is never the same twice.
    """

    embedding: str
    seed: int


class DomainClassifierCalculation(SingleValueCalculation[DomainClassifier]):
    """Computes DomainClassifier; Evidently finds it by its type argument."""

    def calculate(
        self, context: Context, current_data: Dataset, reference_data: Dataset | None
    ) -> SingleValue:
        if reference_data is None:
            raise ValueError("the domain classifier compares two tables")
        columns = context.data_definition.embeddings[self.metric.embedding]
        auc = domain_auc(
            reference_data.as_dataframe()[columns].to_numpy(),
            current_data.as_dataframe()[columns].to_numpy(),
            self.metric.seed,
        )
        result = self.result(auc)
        label = (
            "ROC AUC of a classifier that tells the newest month from the training months (0.5: it cannot)"
        )
        result.widget = [counter(title="Drift in the embedding", counters=[CounterData(label, f"{auc:.3f}")])]
        return result

    def display_name(self) -> str:
        return "ROC AUC of the domain classifier on the embedding"


def domain_auc(reference: NDArray[np.float32], current: NDArray[np.float32], seed: int) -> float:
    """Cross-validated ROC AUC of a logistic regression that separates two sets of vectors.

    0.5 means that they cannot be told apart, 1.0 that they always can. (The classifier two-sample test:
    Lopez-Paz and Oquab 2017, "Revisiting Classifier Two-Sample Tests".)

    Args:
        reference: [rows, hidden].
        current: [rows, hidden].
        seed: of the folds.
    """
    vectors = np.concatenate([reference, current]).astype(np.float64)
    is_current = np.repeat([0, 1], [len(reference), len(current)])
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.1, max_iter=500))
    scores = cross_val_score(classifier, vectors, is_current, cv=folds, scoring="roc_auc")
    return round(float(scores.mean()), 4)


def _dataset(table: pd.DataFrame, vectors: NDArray[np.float32]) -> Dataset:
    names = [f"{EMBEDDING}_{index}" for index in range(vectors.shape[1])]
    whole = pd.concat([table.reset_index(drop=True), pd.DataFrame(vectors, columns=names)], axis=1)
    definition = DataDefinition(
        numerical_columns=list(NUMERIC), categorical_columns=list(CATEGORICAL), embeddings={EMBEDDING: names}
    )
    return Dataset.from_pandas(whole, data_definition=definition)


def compare(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    reference_vectors: NDArray[np.float32],
    current_vectors: NDArray[np.float32],
    drift: Drift,
) -> Snapshot:
    """Run Evidently on two tables of NUMERIC and CATEGORICAL and on two sets of vectors, [rows, hidden].

    Raises:
        TicketSentimentError: a table cannot be judged.
    """
    check(reference, "reference", reference_vectors)
    check(current, "current", current_vectors)
    numeric = {"method": drift.numeric_method, "threshold": drift.numeric_threshold}
    categorical = {"method": drift.categorical_method, "threshold": drift.categorical_threshold}
    metrics = [
        *(ValueDrift(column=column, **numeric) for column in NUMERIC),
        *(ValueDrift(column=column, **categorical) for column in CATEGORICAL),
        DomainClassifier(embedding=EMBEDDING, seed=drift.seed, tests=[lt(drift.embedding_threshold)]),
    ]
    report = Report(metrics, include_tests=True)
    return report.run(_dataset(current, current_vectors), _dataset(reference, reference_vectors))


def statuses(snapshot: Snapshot) -> dict[str, dict[str, Any]]:
    """What Evidently's tests say, for each of NUMERIC, CATEGORICAL and EMBEDDING.

    The status is the test's own; `drifted` is true for anything but SUCCESS, and a test that is missing
    or whose value is no number counts as ERROR: silence is not "no drift".
    """
    found = snapshot.dict()
    values = {metric["id"]: metric["value"] for metric in found["metrics"]}
    result: dict[str, dict[str, Any]] = {}
    for test in found["tests"]:
        config = test["metric_config"]
        settings = config["params"]
        is_embedding = "embedding" in settings
        value = finite_or_none(float(values[config["metric_id"]]))
        status = str(getattr(test["status"], "value", test["status"]))
        if status not in ("SUCCESS", "FAIL") or value is None:
            status = "ERROR"
        result[settings["embedding"] if is_embedding else settings["column"]] = {
            "method": "domain_classifier_auc" if is_embedding else settings["method"],
            "threshold": test["test_config"]["threshold"] if is_embedding else settings["threshold"],
            "value": None if value is None else round(value, 6),
            "status": status,
            "drifted": status != "SUCCESS",
        }
    silent = {"method": None, "threshold": None, "value": None, "status": "ERROR", "drifted": True}
    return {name: result.get(name, dict(silent)) for name in (*NUMERIC, *CATEGORICAL, EMBEDDING)}


def page(snapshot: Snapshot) -> str:
    """Evidently's HTML report, one file that opens without a network, the same bytes for the same tables.

    Evidently numbers its widgets with random and time-made UUIDs, which would make each run's page, and
    so its DVC hash, a new one.
    """
    html = snapshot.get_html_str(as_iframe=False)
    html = re.sub(r"metric_[0-9a-f]{32}", "drift_report", html)
    numbers: dict[str, str] = {}
    return re.sub(
        r"\b[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}\b",
        lambda match: numbers.setdefault(match[0], f"widget-{len(numbers)}"),
        html,
    )


def judge(
    tables: dict[str, pd.DataFrame], runtime: Runtime, embed: Embed, drift: Drift
) -> tuple[dict[str, Any], str]:
    """Compare the newest month with the tickets before it.

    Args:
        tables: tickets of `reference` (the training months), `unseen` (the tuning month, the reference
            for what the bundle makes of a text) and `current` (the newest month).
        runtime: the released CPU bundle.
        embed: texts to vectors, [texts, hidden].
        drift: methods, thresholds, rows, seed.

    Returns:
        `columns` and `embedding` of reports/drift.json, and the HTML page.

    Raises:
        TicketSentimentError: a table cannot be judged.
    """
    for name, table in tables.items():
        require_rows(len(table), name)
    # Evidently takes one reference table, so its two halves are drawn with equal numbers of rows.
    rows = min(drift.max_rows, len(tables["reference"]), len(tables["unseen"]))
    seen, unseen = (sample(tables[name], rows, drift.seed) for name in ("reference", "unseen"))
    now = sample(tables["current"], drift.max_rows, drift.seed)
    reference = pd.concat([ticket_columns(seen), bundle_columns(unseen, runtime)], axis=1)
    current = pd.concat([ticket_columns(now), bundle_columns(now, runtime)], axis=1)
    vectors = embed(seen["text"].tolist()), embed(now["text"].tolist())
    snapshot = compare(reference, current, *vectors, drift)
    found = statuses(snapshot)
    embedding = found.pop(EMBEDDING)
    for column, verdict in found.items():
        verdict |= {"reference": summary(reference, column), "current": summary(current, column)}
    return {"columns": found, "embedding": embedding}, page(snapshot)


def base_embedding(base_model: str, max_length: int) -> Embed:
    """The mean-pooled last hidden state of the base encoder, as it was before any fine-tuning.

    The fine-tuned one has seen the reference texts and not the newest ones, and is another one each
    month; the base encoder is a yardstick that stays.
    """
    from ticket_sentiment.model.classifier import base_model_path, embed, load_base, load_tokenizer

    model, tokenizer = load_base(base_model), load_tokenizer(base_model_path(base_model))
    return lambda texts: embed(model, tokenizer, texts, max_length, batch_size=32)


def main(params: Params) -> None:
    """Stage `drift`: the prepared tables and the CPU bundle to reports/drift.json and drift.html."""
    paths = {"reference": REFERENCE, "unseen": UNSEEN, "current": CURRENT}
    tables = {name: read_prepared(path, REQUIRED) for name, path in paths.items()}
    for name, path in paths.items():
        require_rows(len(tables[name]), str(path))
    months = {name: sorted(months_of(table).unique()) for name, table in tables.items()}
    newest = months["current"][-1]
    tables["current"] = tables["current"][months_of(tables["current"]) == newest]
    runtime = Runtime(load_bundle(BUNDLE))
    embed = base_embedding(params.train.base_model, params.train.max_length)
    result, html = judge(tables, runtime, embed, params.drift)
    for name, path in paths.items():
        result[name] = {"sha256": sha256_file(path), "rows": len(tables[name])}
        result[name] |= {"month": newest} if name == "current" else {"months": months[name]}
    result["evidently"] = evidently.__version__
    write_text(PAGE, html)
    write_json(RESULT, result)

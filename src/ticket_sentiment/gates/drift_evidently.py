"""Two tables through Evidently: each column with its method and its learnt limit, and what the tests say.

Its defaults are never taken: they are p-values up to 1,000 reference rows and distances above, and the
verdict on a whole table passes when one column of three has shifted completely.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
from evidently import DataDefinition, Dataset, Report
from evidently.core.metric_types import SingleValue, SingleValueCalculation, SingleValueMetric
from evidently.core.report import Context, Snapshot
from evidently.legacy.renderers.html_widgets import CounterData, counter
from evidently.metrics import ValueDrift
from evidently.tests import lt
from numpy.typing import NDArray

from ticket_sentiment.files import finite_or_none
from ticket_sentiment.gates.drift_features import EMBEDDING, NUMERIC, check, check_vectors, summary
from ticket_sentiment.gates.drift_limits import Limit, domain_auc
from ticket_sentiment.params import Drift

CHANGED = "changed_answers"


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
        # Of a large table only some rows have a vector.
        reference, current = (
            data.as_dataframe()[columns].dropna().to_numpy() for data in (reference_data, current_data)
        )
        auc = domain_auc(reference, current, self.metric.seed)
        result = self.result(auc)
        label = "ROC AUC of a classifier that tells the two tables apart (0.5: it cannot)"
        result.widget = [counter(title="Drift in the embedding", counters=[CounterData(label, f"{auc:.3f}")])]
        return result

    def display_name(self) -> str:
        return "ROC AUC of the domain classifier on the embedding"


class ChangedAnswers(SingleValueMetric):
    """An Evidently metric: share of rows whose label is another one than in the same row of the reference."""

    column: str


class ChangedAnswersCalculation(SingleValueCalculation[ChangedAnswers]):
    """Computes ChangedAnswers."""

    def calculate(
        self, context: Context, current_data: Dataset, reference_data: Dataset | None
    ) -> SingleValue:
        if reference_data is None:
            raise ValueError("changed answers are counted between two tables")
        before, now = (data.as_dataframe()[self.metric.column] for data in (reference_data, current_data))
        share = round(float((before.to_numpy() != now.to_numpy()).mean()), 6)
        result = self.result(share)
        label = "share of the same tickets that get another label"
        result.widget = [counter(title="Changed answers", counters=[CounterData(label, f"{share:.1%}")])]
        return result

    def display_name(self) -> str:
        return "Share of the tickets that get another label"


@dataclass(frozen=True)
class Side:
    """One of two tables that are compared.

    Attributes:
        name: for messages.
        table: of NUMERIC and CATEGORICAL columns.
        vectors: of some of its tickets, in any order, [at most rows, hidden]; None: meaning is not compared.
    """

    name: str
    table: pd.DataFrame
    vectors: NDArray[Any] | None = None


def _dataset(side: Side, columns: Sequence[str]) -> Dataset:
    whole, embeddings = side.table[list(columns)].reset_index(drop=True), {}
    if side.vectors is not None:
        names = [f"{EMBEDDING}_{index}" for index in range(side.vectors.shape[1])]
        whole = pd.concat([whole, pd.DataFrame(side.vectors, columns=names)], axis=1)
        embeddings = {EMBEDDING: names}
    definition = DataDefinition(
        numerical_columns=[name for name in columns if name in NUMERIC],
        categorical_columns=[name for name in columns if name not in NUMERIC],
        embeddings=embeddings,
    )
    return Dataset.from_pandas(whole, data_definition=definition)


def compare(
    reference: Side, current: Side, limits: Mapping[str, Limit], drift: Drift
) -> tuple[dict[str, dict[str, Any]], str]:
    """Run Evidently on what has a limit.

    Args:
        reference: what is compared with; for CHANGED row by row.
        current: what is judged.
        limits: of columns, of EMBEDDING where both sides have vectors, of CHANGED.
        drift: methods and seed.

    Returns:
        The measures by name (`statuses`, and for columns what a person reads beside them), and the page.

    Raises:
        TicketSentimentError: a table cannot be judged.
    """
    columns = [name for name in limits if name not in (EMBEDDING, CHANGED)]
    metrics: list[Any] = []
    for column in columns:
        method = drift.numeric_method if column in NUMERIC else drift.categorical_method
        metrics.append(ValueDrift(column=column, method=method, threshold=limits[column].value))
    for side in (reference, current):
        check(side.table, side.name, columns)
        if EMBEDDING in limits:
            check_vectors(side.vectors, len(side.table), side.name)
    if EMBEDDING in limits:
        tests = [lt(limits[EMBEDDING].value)]
        metrics.append(DomainClassifier(embedding=EMBEDDING, seed=drift.seed, tests=tests))
    if CHANGED in limits:
        metrics.append(ChangedAnswers(column="predicted_label", tests=[lt(limits[CHANGED].value)]))
    report = Report(metrics, include_tests=True)
    snapshot = report.run(_dataset(current, columns), _dataset(reference, columns))
    found = statuses(snapshot, limits)
    for column in columns:
        found[column] |= {
            side: summary(table, column)
            for side, table in (("reference", reference.table), ("current", current.table))
        }
    return found, page(snapshot)


def statuses(snapshot: Snapshot, limits: Mapping[str, Limit]) -> dict[str, dict[str, Any]]:
    """What Evidently's tests say of everything that has a limit.

    The status is the test's own; `drifted` is true for anything but SUCCESS, and a test that is missing
    or whose value is no number counts as ERROR: silence is not "no drift".
    """
    found = snapshot.dict()
    values = {metric["id"]: metric["value"] for metric in found["metrics"]}
    result: dict[str, dict[str, Any]] = {}
    for test in found["tests"]:
        config = test["metric_config"]
        settings = config["params"]
        own = "test_config" in test and "method" not in settings
        name = settings["embedding"] if "embedding" in settings else CHANGED if own else settings["column"]
        value = finite_or_none(float(values[config["metric_id"]]))
        status = str(getattr(test["status"], "value", test["status"]))
        if status not in ("SUCCESS", "FAIL") or value is None:
            status = "ERROR"
        result[name] = {
            "method": settings.get("method")
            or {EMBEDDING: "domain_classifier_auc", CHANGED: "share"}.get(name),
            "threshold": test["test_config"]["threshold"] if own else settings["threshold"],
            "value": None if value is None else round(value, 6),
            "status": status,
            "drifted": status != "SUCCESS",
        }
    silent = {"method": None, "threshold": None, "value": None, "status": "ERROR", "drifted": True}
    return {
        name: result.get(name, dict(silent)) | {"learnt": limit.learnt, "floor": limit.floor}
        for name, limit in limits.items()
    }


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

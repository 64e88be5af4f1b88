"""PromQL: every query is parsed, and asks only for metrics and labels that the service exposes."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import promql_parser

from deploy.manifests.render import Object, name_of, of_kind, params
from ticket_sentiment.serving.metrics import Metrics

# Prometheus, and the ServiceMonitor, add these to whatever a target exposes.
TARGET_LABELS = {"namespace", "service", "pod", "container", "endpoint", "instance", "job"}

# What a cluster's kube-state-metrics exposes, as far as it is asked for here.
STATE_METRICS = {
    "kube_cronjob_created": frozenset({"cronjob"}),
    "kube_cronjob_status_last_successful_time": frozenset({"cronjob"}),
    "kube_job_failed": frozenset({"job_name", "condition"}),
}
SAMPLES = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",)}


@cache
def exposed() -> dict[str, frozenset[str]]:
    """Name of each series that the service exposes, and its labels, as its own registry has them."""
    registry = Metrics(None, params().serve.objective_ms).registry
    series: dict[str, frozenset[str]] = {"up": frozenset()}
    for collector in registry._collector_to_names:
        labels = frozenset(getattr(collector, "_labelnames", ()))
        for family in collector.describe():
            for suffix in SAMPLES[family.type]:
                edge = {"le"} if suffix == "_bucket" else set()
                series[family.name + suffix] = labels | edge
    return series


def of_objects(objects: list[Object]) -> Iterator[tuple[str, str]]:
    """Each query with the name of the object that asks it."""
    for item in of_kind(objects, "PrometheusRule"):
        for group in item["spec"].get("groups", []):
            for rule in group.get("rules", []):
                yield f"{name_of(item)}, {rule.get('alert') or rule.get('record')}", rule.get("expr", "")
    for item in of_kind(objects, "ScaledObject"):
        for trigger in item["spec"].get("triggers", []):
            if trigger.get("type") == "prometheus":
                yield name_of(item), trigger.get("metadata", {}).get("query", "")


def selectors(node: Any) -> Iterator[Any]:
    """Each choice of series in a parsed query."""
    match node:
        case promql_parser.VectorSelector():
            yield node
        case promql_parser.MatrixSelector():
            yield node.vector_selector
        case promql_parser.BinaryExpr():
            yield from selectors(node.lhs)
            yield from selectors(node.rhs)
        case promql_parser.Call():
            for argument in node.args:
                yield from selectors(argument)
        case promql_parser.NumberLiteral() | promql_parser.StringLiteral():
            pass
        case _:  # aggregation, parentheses, unary, subquery
            yield from selectors(node.expr)


def recorded(objects: list[Object]) -> dict[str, frozenset[str]]:
    """Name of each series that the objects' own rules record, and its labels, which its name begins with."""
    names = (
        rule["record"]
        for item in of_kind(objects, "PrometheusRule")
        for group in item["spec"].get("groups", [])
        for rule in group.get("rules", [])
        if "record" in rule
    )
    return {name: frozenset(name.partition(":")[0].split("_")) for name in names}


def errors(query: str, recorded: Mapping[str, frozenset[str]] | None = None) -> list[str]:
    """What is wrong with a query.

    Args:
        query: in PromQL.
        recorded: series of recording rules and their labels.
    """
    series = {**exposed(), **STATE_METRICS, **(recorded or {})}
    try:
        parsed = promql_parser.parse(query)
    except ValueError as error:
        return [f"PromQL: {error}: {query}"]
    found = []
    for selector in selectors(parsed):
        if selector.name not in series:
            found.append(f"the service exposes no metric {selector.name}: {query}")
            continue
        known = series[selector.name] | TARGET_LABELS
        asked = {matcher.name for matcher in selector.matchers.matchers}
        found += [f"{selector.name} has no label {label}: {query}" for label in sorted(asked - known)]
    return found

"""What an MLflow run shows of a result: params, metrics, figures and files, read from the stages' outputs."""

import csv
import hashlib
import json
import re
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from mlflow.entities import Metric, Param

from ticket_sentiment.files import read_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params

METRIC_FILES = {
    "evaluation": "reports/evaluation/metrics.json",
    "compression": "reports/compression.json",
    "benchmark": "reports/benchmark.json",
    "cost": "reports/cost.json",
    "drift": "reports/drift.json",
}
LEARNING_CURVES = {
    "dense": "reports/training/learning_curve.csv",
    "pruned": "reports/training/distillation_curve.csv",
}
RELIABILITY = "reports/evaluation/reliability.csv"
REPORT_PATTERNS = ("*.html", "card.md", "*.txt", "drift/*", "**/*.json", "**/*.csv", "validation/index.html")
SOURCES = (
    "dvc.lock",
    "dvc.yaml",
    "params.yaml",
    "data/tickets.dvc",
    "data/feedback.dvc",
    "data/prepared/split.json",
    "data/prepared/learnt.json",  # of a hotfix
)


LONGEST_NAME = 200  # characters of a metric's name; MLflow takes 250
NAME = re.compile(r"[A-Za-z0-9_.-]+")  # what every store of MLflow takes in a name


def leaves(
    value: Any, prefix: str = "", opened: Callable[[dict[str, Any]], bool] = lambda _: True
) -> Iterator[tuple[str, Any]]:
    """Dotted names and values of everything in nested dicts that is no dict, or one that is not `opened`."""
    if isinstance(value, dict) and opened(value):
        for key, item in value.items():
            yield from leaves(item, f"{prefix}.{key}" if prefix else str(key), opened)
    else:
        yield prefix, value


def run_params(params: Params) -> list[Param]:
    """params.yaml, flattened; a map whose keys MLflow would refuse (a label of yours) is one value."""
    content = params.model_dump(mode="json", by_alias=True)
    found = leaves(content, opened=lambda held: all(NAME.fullmatch(key) for key in held))
    return [
        Param(key, json.dumps(value, ensure_ascii=False) if isinstance(value, dict) else str(value))
        for key, value in found
    ]


def _numbers(value: Any) -> dict[str, float]:
    return {
        key: float(item)
        for key, item in leaves(value)
        if isinstance(item, int | float) and not isinstance(item, bool)
    }


def _slices(evaluation: dict[str, Any]) -> dict[str, float]:
    """Share of right answers in each slice; a list in the file, so `leaves` does not see it."""
    return {
        f"slice.{item['slice']}.{item['value']}.{key}": float(number)
        for item in evaluation.get("slices", [])
        for key, number in (("right", item["right"]["value"]), ("rows", item["rows"]))
        if number is not None
    }


def rows_of(path: Path) -> list[dict[str, str]]:
    """Rows of a CSV file; none when it is not there."""
    if not path.is_file():
        return []
    with path.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def learning_curves(root: Path) -> list[dict[str, str]]:
    """Points of both trainings; `model` says of which."""
    return [
        {"model": model, **row} for model, name in LEARNING_CURVES.items() for row in rows_of(root / name)
    ]


def _metric_name(key: str) -> str:
    """As every store of MLflow takes it; no two alike, whatever script a team writes its channels in."""
    name = re.sub(r"[^A-Za-z0-9_.-]", "_", key)
    if key.isascii() and len(name) <= LONGEST_NAME:
        return name
    return f"{name[:LONGEST_NAME]}.{hashlib.sha256(key.encode()).hexdigest()[:8]}"


def run_metrics(root: Path) -> list[Metric]:
    """Every number of the evaluation, compression, benchmark and drift, and the learning curve by step."""
    now = int(time.time() * 1000)
    metrics = []
    for group, name in METRIC_FILES.items():
        if not (root / name).is_file():
            continue
        content = read_json(root / name)
        numbers = _numbers(content) | (_slices(content) if group == "evaluation" else {})
        for key, number in numbers.items():
            metrics.append(Metric(f"{group}/{_metric_name(key)}", number, now, 0))
    for row in learning_curves(root):
        for key in ("train_loss", "loss", "macro_f1"):
            metrics.append(Metric(f"training/{row['model']}.{key}", float(row[key]), now, int(row["step"])))
    return metrics


def confusion_figure(matrix: list[list[int]]) -> Figure:
    """Rows are the actual classes, columns the predicted ones; the colour is the share of the row."""
    figure = Figure(figsize=(4.5, 4), layout="constrained")
    axes = figure.subplots()
    shares = [[count / max(sum(row), 1) for count in row] for row in matrix]
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    for row, counts in enumerate(matrix):
        for column, count in enumerate(counts):
            colour = "white" if shares[row][column] > 0.6 else "black"
            axes.text(
                column, row, f"{count}\n{shares[row][column]:.0%}", ha="center", va="center", color=colour
            )
    axes.set_xticks(range(len(LABELS)), LABELS)
    axes.set_yticks(range(len(LABELS)), LABELS)
    axes.set(xlabel="predicted", ylabel="actual", title="Compressed model, holdout")
    return figure


def _lines(rows: list[dict[str, str]], group: str, x: str, y: str) -> dict[str, list[tuple[float, float]]]:
    lines: dict[str, list[tuple[float, float]]] = {}
    for row in rows:
        if row.get(x) and row.get(y):
            lines.setdefault(row[group], []).append((float(row[x]), float(row[y])))
    return lines


def lines_figure(rows: list[dict[str, str]], group: str, x: str, y: str, diagonal: bool = False) -> Figure:
    """One line for each value of `group`."""
    figure = Figure(figsize=(6, 4), layout="constrained")
    axes = figure.subplots()
    for name, points in _lines(rows, group, x, y).items():
        axes.plot(*zip(*points, strict=True), marker="o", markersize=3, label=name)
    if diagonal:
        axes.plot([0, 1], [0, 1], color="grey", linestyle=":", label="perfectly calibrated")
    axes.set(xlabel=x, ylabel=y.replace("_", "-"))
    axes.legend()
    return figure


def figures(root: Path) -> dict[str, Figure]:
    """Figures by file name, of what there is."""
    drawn = {}
    evaluation = (
        read_json(root / METRIC_FILES["evaluation"]) if (root / METRIC_FILES["evaluation"]).is_file() else {}
    )
    compressed = (evaluation.get("models") or {}).get("compressed") or {}
    if compressed.get("confusion"):
        drawn["confusion.png"] = confusion_figure(compressed["confusion"])
    if curves := learning_curves(root):
        drawn["learning_curve.png"] = lines_figure(curves, "model", "step", "macro_f1")
    if reliability := rows_of(root / RELIABILITY):
        drawn["reliability.png"] = lines_figure(reliability, "model", "confidence", "accuracy", diagonal=True)
    return drawn


def stage_artifacts(root: Path, folder: Path, bundles: dict[str, Path]) -> None:
    """Lay out a run's artifacts: bundles/, reports/, lineage/ and plots/ below `folder`."""
    for device, path in bundles.items():
        shutil.copytree(path, folder / "bundles" / device)
    reports = root / "reports"
    for path in sorted({found for pattern in REPORT_PATTERNS for found in reports.glob(pattern)}):
        target = folder / "reports" / path.relative_to(reports)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)
    (folder / "lineage").mkdir()
    for name in SOURCES:
        if (root / name).is_file():
            shutil.copyfile(root / name, folder / "lineage" / Path(name).name)
    (folder / "plots").mkdir()
    for name, figure in figures(root).items():
        figure.savefig(folder / "plots" / name, dpi=110)

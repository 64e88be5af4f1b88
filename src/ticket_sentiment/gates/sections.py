"""The parts of the release report: for each piece of evidence a title that states the finding, plots, rows.

Every function is pure. A part whose evidence is `Missing` is left to the template, which says so.
"""

import math
from typing import Any

from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.evidence_types import (
    Benchmark,
    Drift,
    Evaluation,
    Split,
    Validation,
)
from ticket_sentiment.gates.words import (
    bytes_in_words,
    measure,
    months,
    number,
    points,
    share,
    times,
)
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.pages.figures import Axis, Row, rows_plot

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
SLICES = {"channel": "Channel", "length": "Length", "month": "Month", "masked": "Personal data"}
VARIANTS = {
    "cpu_bundle": "New model",
    "dense_onnx_fp32": "Dense, ONNX Runtime",
    "dense_torch_fp32": "Dense, PyTorch",
}


def tenths(low: float, high: float) -> Axis:
    """An axis between whole tenths that hold all of low to high, with a tick at each."""
    first, last = math.floor(10 * low), max(math.ceil(10 * high), math.floor(10 * low) + 1)
    return Axis(first / 10, last / 10, [(tick / 10, number(tick / 10, 1)) for tick in range(first, last + 1)])


def quality(evaluation: Evaluation) -> dict[str, Any]:
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
        "differences": [(COMPARED[name], points(one)) for name, one in differences.items()],
    }


def confusion(evaluation: Evaluation) -> dict[str, Any]:
    """The confusion matrix with row shares, and precision and recall of each class."""
    matrix = evaluation.models.compressed.confusion
    totals = [sum(row) for row in matrix]
    mistakes = [(matrix[i][j], i, j) for i in range(3) for j in range(3) if i != j]
    most, actual, read_as = max(mistakes, key=lambda item: item[0])
    part = f" ({share(most / totals[actual])})" if totals[actual] else ""
    return {
        "title": f"Its commonest mistake: {most:,} of {totals[actual]:,} {LABELS[actual]} tickets{part} "
        f"are read as {LABELS[read_as]}",
        "rows": [
            {
                "label": LABELS[i],
                "total": totals[i],
                "cells": [
                    {"count": count, "share": count / totals[i] if totals[i] else 0.0, "right": i == j}
                    for j, count in enumerate(row)
                ],
            }
            for i, row in enumerate(matrix)
        ],
        "classes": [
            (label, *("–" if value is None else share(value) for value in (one.precision, one.recall)))
            for label, one in ((label, evaluation.models.compressed.classes[label]) for label in LABELS)
        ],
    }


def slices(evaluation: Evaluation) -> dict[str, Any] | None:
    """Quality on parts of the holdout; None when no part is large enough."""
    parts = [one for one in evaluation.slices if one.rows < evaluation.holdout.rows]
    if not parts:
        return None
    whole = evaluation.models.compressed.macro_f1.value
    weakest = min(parts, key=lambda one: one.macro_f1)
    surely_below = [one for one in parts if one.high < whole]
    title = (
        f"Weakest on {weakest.value}: {number(weakest.macro_f1)}, with {number(whole)} on all tickets"
        if surely_below
        else f"No part of the tickets is surely weaker than the whole, {number(whole)}"
    )
    rows = [
        Row(
            f"{SLICES.get(one.slice, one.slice)}: {one.value} ({one.rows:,})",
            one.macro_f1,
            number(one.macro_f1),
            one.low,
            one.high,
            "bad" if one.high < whole else "plain",
        )
        for one in parts
    ]
    ends = tenths(min(one.low for one in parts), max(one.high for one in parts))
    ticks = [ends.ticks[0], (whole, f"all tickets {number(whole)}"), ends.ticks[-1]]
    axis = Axis(ends.low, ends.high, ticks, whole)
    return {
        "title": title,
        "plot": rows_plot(rows, axis, "Macro-F1 of parts of the tickets with its 95 % interval"),
    }


def speed(report: Benchmark) -> dict[str, Any]:
    """Tickets a second, size and memory of the bundle and of the dense model in two engines."""
    variants = {name: getattr(report.variants, name) for name in VARIANTS}
    torch, onnx = (
        report.ratios.cpu_bundle_over_dense_torch_fp32.throughput,
        report.ratios.cpu_bundle_over_dense_onnx_fp32.throughput,
    )
    rows = [
        Row(
            VARIANTS[name],
            one.batch1.texts_per_second,
            f"{one.batch1.texts_per_second:,.0f} tickets a second",
            tone="main" if name == "cpu_bundle" else "plain",
        )
        for name, one in variants.items()
    ]
    return {
        "title": f"{times(report.size_ratio)} smaller and {times(torch.median)} faster than the dense model",
        "plot": rows_plot(rows, Axis(0, max(row.value for row in rows)), "Tickets a second, one at a time"),
        "rows": [
            (
                VARIANTS[name],
                bytes_in_words(one.bytes),
                number(one.batch1.p50_ms, 1),
                number(one.batch1.p95_ms, 1),
                f"{one.peak_memory_mb:,.0f} MB",
            )
            for name, one in variants.items()
        ],
        "ratios": [
            ("PyTorch", times(torch.median), number(torch.low, 1), number(torch.high, 1)),
            ("ONNX Runtime", times(onnx.median), number(onnx.low, 1), number(onnx.high, 1)),
        ],
        "about": f"One thread, one ticket at a time, on {report.machine.cpu}, {report.measured_at:%Y-%m-%d}.",
    }


def masks(validation: Validation) -> dict[str, Any]:
    """How much personal data was masked, month by month."""
    kinds = sorted({kind for month in validation.months.values() for kind in month.masks})
    rows = [
        (name, f"{month.rows:,}", *(f"{month.masks.get(kind, 0):,}" for kind in kinds))
        for name, month in sorted(validation.months.items())
    ]
    total = sum(count for month in validation.months.values() for count in month.masks.values())
    return {
        "title": f"{total:,} pieces of personal data were masked in {months(validation.months)}",
        "kinds": [kind.capitalize() if kind != "URL" else kind for kind in kinds],
        "rows": rows,
    }


def lineage(evidence: Evidence, base_model: str, version: str) -> list[tuple[str, str]]:
    """Names and values that lead from this report back to what the model was made from."""
    rows: list[tuple[str, str]] = []
    if isinstance(split := evidence.split, Split):
        rows += [
            (
                f"{what} months",
                f"{months(getattr(split.months, name))}, {getattr(split.rows, name):,} tickets",
            )
            for name, what in (("train", "Training"), ("tune", "Tuning"), ("holdout", "Holdout"))
        ]
    rows.append(("Base model", base_model))
    if not isinstance(report := evidence.compression, Missing):
        rows.append(
            ("Weights", f"{report.dense.parameters:,} before pruning, {report.pruned.parameters:,} after")
        )
    if isinstance(evidence.cpu, Bundle):
        shape = evidence.cpu.manifest.architecture
        rows.append(("Layers", f"{len(shape.heads)}, vocabulary {shape.vocabulary:,}"))
    digests = {
        "CPU bundle": getattr(evidence.cpu, "digest", None),
        "GPU bundle": getattr(evidence.gpu, "digest", None),
        "Edge bundle": getattr(evidence.edge, "digest", None),
        "Champion compared with": getattr(evidence.champion, "digest", None),
        "Tickets (SHA-256)": evidence.tickets_sha256,
        "Prepared tickets (SHA-256)": evidence.prepared_sha256,
        "Holdout (SHA-256)": evidence.holdout_sha256,
    }
    rows += [(name, value) for name, value in digests.items() if isinstance(value, str)]
    versions = {"ticket-sentiment": version}
    if isinstance(evidence.drift, Drift):
        versions["evidently"] = evidence.drift.evidently
    if isinstance(evidence.benchmark, Benchmark):
        versions |= evidence.benchmark.machine.versions
    return [*rows, ("Versions", ", ".join(f"{name} {value}" for name, value in sorted(versions.items())))]

"""The dozen numbers that a month is known by: what `dvc metrics show` and `dvc metrics diff` print."""

from typing import Any

from ticket_sentiment.gates.behaviour_section import pooled
from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import (
    BehaviourReport,
    Benchmark,
    Compression,
    Cost,
    Drift,
    Evaluation,
)


def _quality(evaluation: Evaluation) -> dict[str, float | None]:
    models, differences = evaluation.models, evaluation.differences
    against = differences.compressed_minus_champion
    return {
        "macro_f1": models.compressed.macro_f1.value,
        "macro_f1_dense": models.dense.macro_f1.value,
        "macro_f1_tfidf": models.tfidf.macro_f1.value,
        "change_by_compression": differences.compressed_minus_dense.macro_f1.value,
        "change_to_champion": against.macro_f1.value if against else None,
        "calibration_error": models.compressed.calibration_error,
    }


def _speed(report: Benchmark) -> dict[str, float]:
    ours = report.variants.cpu_bundle
    return {
        "size_mb": ours.bytes / 1e6,
        "tickets_per_second": ours.batch1.texts_per_second,
        "times_dense_torch": report.ratios.cpu_bundle_over_dense_torch_fp32.throughput.median,
        "times_dense_onnx": report.ratios.cpu_bundle_over_dense_onnx_fp32.throughput.median,
    }


def headline(evidence: Evidence, gate: dict[str, Any]) -> dict[str, float | str | None]:
    """Decision, shape, quality, behaviour, size, speed, cost, drift; a missing report's part is left out.

    Macro-F1, its changes and failed cases are shares (0.01 is one point), sizes in 10^6 bytes, speed in
    single tickets a second on one thread, cost in US dollars for a million tokens
    by the tokenizer's count, on machines that are always busy.
    """
    result: dict[str, float | str | None] = {"decision": gate["decision"]}
    if isinstance(evidence.compression, Compression):
        result["shape"] = evidence.compression.chosen.shape
    if isinstance(evidence.evaluation, Evaluation):
        result |= _quality(evidence.evaluation)
    if isinstance(evidence.behaviour, BehaviourReport):
        result["behaviour_failures"] = pooled(evidence.behaviour.tests, "compressed")
    if isinstance(evidence.benchmark, Benchmark):
        result |= _speed(evidence.benchmark)
    if isinstance(evidence.cost, Cost):
        result["usd_per_million_tokens"] = evidence.cost.variants.cpu_bundle.usd_per_million_tokens_tokenizer
    if isinstance(evidence.drift, Drift):
        result["drifted_measures"] = sum(test.drifted for test in evidence.drift.incoming.values())
    return result

"""What the release report says of size and speed, beside the dense model."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Benchmark
from ticket_sentiment.gates.words import bytes_in_words, number, times
from ticket_sentiment.pages.figures import Axis, Row, rows_plot

VARIANTS = {
    "cpu_bundle": "New model",
    "dense_onnx_fp32": "Dense, ONNX Runtime",
    "dense_torch_fp32": "Dense, PyTorch",
}


def speed_section(report: Benchmark) -> dict[str, Any]:
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


def speed_lines(report: Benchmark) -> list[tuple[str, str]]:
    """For the summary: (name, text)."""
    ours = report.variants.cpu_bundle
    torch = report.ratios.cpu_bundle_over_dense_torch_fp32.throughput
    onnx = report.ratios.cpu_bundle_over_dense_onnx_fp32.throughput
    return [
        ("Size", f"{bytes_in_words(ours.bytes)}, {times(report.size_ratio)} smaller than dense"),
        (
            "Speed",
            f"{ours.batch1.texts_per_second:,.0f} tickets/s a thread, {times(torch.median)} dense in PyTorch "
            f"({number(torch.low, 1)} to {number(torch.high, 1)}), {times(onnx.median)} in ONNX Runtime",
        ),
    ]

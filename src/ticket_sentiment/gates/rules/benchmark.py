"""The gate `benchmark`: the bundle is small and fast."""

from collections.abc import Iterator
from datetime import timedelta

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import Benchmark
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import beside, number


def beside_champion(report: Benchmark, size_bytes: int, limits: Limits) -> Iterator[Finding]:
    """Whether it costs about what the champion costs, both measured in the same rounds."""
    other, allowed = report.champion, limits.gate.max_cost_over_champion
    if other is None:
        return
    compared = {
        "as much time for a ticket": 1 / other.ratio.throughput.median,
        "as much memory": report.variants.cpu_bundle.peak_memory_mb / other.peak_memory_mb,
        "as many bytes": size_bytes / other.bytes,
    }
    for what, factor in compared.items():
        if factor > allowed:
            times, accepted = beside(factor, allowed, 1)
            yield finding(
                limits.missed("max_cost_over_champion"),
                f"It takes {times} times {what} as the champion, {accepted} accepted.",
            )


@gate("Is it small and fast?", place=90)
def benchmark(evidence: Evidence, limits: Limits) -> Looked:
    """The bundle is small and fast enough, by a measurement of this month."""
    report, bundle = need(evidence.benchmark), need(evidence.cpu)
    speed, megabytes = report.ratios.cpu_bundle_over_dense_torch_fp32.throughput, bundle.size_bytes / 1e6

    memory = report.variants.cpu_bundle.peak_memory_mb
    size, largest = beside(megabytes, limits.gate.max_bundle_mb, 1)
    taken, most = beside(memory, limits.gate.max_memory_mb)
    faster, wanted = beside(speed.median, limits.gate.min_speedup, 1)

    def findings() -> Iterator[Finding]:
        if report.measured_at > evidence.now:
            yield finding("fail", "The benchmark bears a date in the future: check the clock.")
        if evidence.now - report.measured_at > timedelta(days=limits.gate.max_report_age_days):
            yield finding(
                limits.missed("max_report_age_days"),
                f"The benchmark of {report.measured_at:%Y-%m-%d} is older than "
                f"{limits.gate.max_report_age_days} days: run `dvc repro -f -s benchmark`.",
            )
        yield found(
            megabytes <= limits.gate.max_bundle_mb,
            limits.missed("max_bundle_mb"),
            f"The bundle takes {size} MB, limit {largest} MB.",
        )
        yield found(
            memory <= limits.gate.max_memory_mb,
            limits.missed("max_memory_mb"),
            f"A process that scores with it takes {taken} MB of memory, limit {most} MB.",
        )
        yield from beside_champion(report, bundle.size_bytes, limits)
        yield found(
            speed.median >= limits.gate.min_speedup,
            limits.missed("min_speedup"),
            f"{faster} times ({number(speed.low, 1)} to {number(speed.high, 1)}) as many tickets a second "
            f"as the dense model in PyTorch, at least {wanted} times wanted.",
        )

    return findings(), {"megabytes": megabytes, "memory_mb": memory, "speedup": speed.model_dump()}

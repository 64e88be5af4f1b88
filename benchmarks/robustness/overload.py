"""Three times more requests than the service can answer (bar 6): goodput, refusals, memory, recovery.

    python -m benchmarks.robustness.overload                  # about two minutes, on a quiet machine
    python -m benchmarks.robustness.overload --seconds 10     # a short form

Capacity is measured with a closed loop of 32 connections, before and after; the overload is an open loop of
Poisson arrivals at three times their mean. All texts are distinct and the cache is off.
"""

import sys
import tempfile
import threading
import time
from pathlib import Path

from benchmarks.robustness.open_loop import Sample, generate
from benchmarks.robustness.service import Report, Service, arguments, median, memory_mb, quantile, verified
from tests.support.serving import Server
from ticket_sentiment.params import load_params

CONNECTIONS = 32
FACTOR = 3.0
REFUSAL_SECONDS = 0.050
RECOVERY_SECONDS = 5.0
RECOVERY_LOAD = 0.5  # of capacity, after the overload
BUCKET_SECONDS = 0.5
MEMORY_GROWTH = 0.05  # of the memory after a quarter of the overload


class Memory:
    """PSS of a service, each second while the block runs."""

    def __init__(self, server: Server) -> None:
        self._server, self._stop = server, threading.Event()
        self.mb: list[float] = []
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self) -> None:
        while not self._stop.wait(1.0):
            self.mb.append(memory_mb(self._server)[0])

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def capacity(port: int, seconds: float, seed: int) -> float:
    """Answers a second to a closed loop."""
    samples = generate(port, seconds, seed, connections=CONNECTIONS)
    return sum(sample.status == 200 and sample.at + sample.seconds <= seconds for sample in samples) / seconds


def recovered_after(samples: list[Sample], objective: float) -> float:
    """Seconds until every request from then on was answered, and 99 of 100 of each bucket in time."""
    last_bad = 0.0
    buckets: dict[int, list[Sample]] = {}
    for sample in samples:
        buckets.setdefault(int(sample.at / BUCKET_SECONDS), []).append(sample)
    for number, some in sorted(buckets.items()):
        refused = any(sample.status != 200 for sample in some)
        if refused or quantile([sample.seconds for sample in some], 0.99) > objective:
            last_bad = (number + 1) * BUCKET_SECONDS
    return last_bad


def judge(
    report: Report, samples: list[Sample], seconds: float, capacities: list[float], objective: float
) -> None:
    """Claims about the overload itself."""
    taken = [sample.seconds for sample in samples if sample.status == 200]
    refused = [sample for sample in samples if sample.status in (429, 503)]
    neither = len(samples) - len(taken) - len(refused)
    known = sum(capacities) / len(capacities)
    in_time = sum(value <= objective for value in taken) / seconds
    refusals = [sample.seconds for sample in refused]
    print(f"- capacity before and after: {', '.join(f'{value:.0f}' for value in capacities)} answers/s")
    print(f"- offered {len(samples) / seconds:.0f}/s, answered {len(taken) / seconds:.0f}/s (p50 "
          f"{1000 * median(taken):.1f} ms), refused {len(refused) / seconds:.0f}/s (p50 "
          f"{1000 * median(refusals):.1f} ms, max {1000 * max(refusals, default=0):.1f} ms)")  # fmt: skip
    print(f"- the generator was late by p99 {1000 * quantile([s.late for s in samples], 0.99):.1f} ms")
    report.claim("goodput, answers in time a second", f"{in_time:.0f} ({in_time / known:.0%} of capacity)",
                 "90% of capacity", in_time >= 0.9 * known)  # fmt: skip
    p99 = quantile(taken, 0.99)
    report.claim("p99 of the answers", f"{1000 * p99:.1f} ms", f"{1000 * objective:.0f} ms", p99 <= objective)
    p99 = quantile(refusals, 0.99)
    report.claim("p99 of the refusals", f"{1000 * p99:.1f} ms", f"{1000 * REFUSAL_SECONDS:.0f} ms",
                 p99 <= REFUSAL_SECONDS)  # fmt: skip
    without = sum(not sample.retry_after for sample in refused)
    report.claim("refusals without Retry-After", f"{without} of {len(refused)}", "0", not without)
    report.claim("neither answered nor refused", f"{neither} of {len(samples)}", "0", not neither)


def main() -> int:
    """Run it and print the table."""
    parser = arguments(__doc__, 60.0, "of overload")
    options = parser.parse_args()
    bundle, objective = verified(options.bundle), load_params().serve.objective_ms / 1000
    seconds = options.seconds
    with tempfile.TemporaryDirectory() as folder:
        report = Report(f"{FACTOR:g} times capacity for {seconds:g} s, {options.workers} workers", bundle)
        service = Service(Path(folder), bundle.path, options.workers)
        with service.start() as server:
            server.wait_until_ready()
            port, part = server.port, max(2.0, seconds / 6)
            generate(port, part / 2, 1, connections=CONNECTIONS)  # warm
            before = capacity(port, part, 2)
            with Memory(server) as memory:
                samples = generate(port, seconds, 3, rate=FACTOR * before)
            calm = generate(port, 2 * RECOVERY_SECONDS, 4, rate=RECOVERY_LOAD * before)
            time.sleep(1)
            after = capacity(port, part, 5)
            judge(report, samples, seconds, [before, after], objective)
    early, late = memory.mb[len(memory.mb) // 4], max(memory.mb[-3:])
    report.claim("memory (PSS) late in the overload against early", f"{late:.0f} MB, {early:.0f} MB",
                 f"at most {MEMORY_GROWTH:.0%} more", late <= early * (1 + MEMORY_GROWTH))  # fmt: skip
    seen = recovered_after(calm, objective)
    report.claim(f"back to normal at {RECOVERY_LOAD:.0%} of capacity", f"after {seen:.1f} s",
                 f"{RECOVERY_SECONDS:g} s", seen <= RECOVERY_SECONDS)  # fmt: skip
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

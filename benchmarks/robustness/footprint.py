"""Memory and start of the whole service (bar 9): two workers, two models.

    python -m benchmarks.robustness.footprint                 # about a minute, on a quiet machine
    python -m benchmarks.robustness.footprint --seconds 2 --starts 1

The challenger is the same model under another digest, so both are of the released size and both are loaded.
Memory is taken after load on both arms. PSS is the service's own: a page that several processes share counts
once, as RSS, also shown, counts it for each.
"""

import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx

from benchmarks.robustness.open_loop import generate
from benchmarks.robustness.service import (
    Report,
    Service,
    arguments,
    median,
    memory_mb,
    processes,
    second_bundle,
    verified,
)  # fmt: skip
from tests.support.serving import Server
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.rollout.state import RolloutState

MAX_MB = 600.0
MAX_START_SECONDS = 5.0


def seconds_to_ready(service: Service) -> tuple[Server, float]:
    """Start it; the time until /readyz says yes, asked for every 10 ms."""
    began = time.perf_counter()
    server = service.start()
    with httpx.Client(timeout=2) as client:
        while True:
            try:
                if client.get(f"{server.url}/readyz").status_code == 200:
                    return server, time.perf_counter() - began
            except httpx.TransportError:
                if server.process.poll() is not None:
                    sys.exit(f"error: the service ended:\n{server.log.read_text()}")
            time.sleep(0.01)


def main() -> int:
    """Run it and print the table."""
    parser = arguments(__doc__, 20.0, "of load before memory is measured")
    parser.add_argument("--starts", type=int, default=5)
    options = parser.parse_args()
    bundle = verified(options.bundle)
    times = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        challenger = second_bundle(bundle, folder / "challenger")
        report = Report(f"Memory and start: {options.workers} workers, two models", bundle)
        service = Service(folder / "service", bundle.path, options.workers, challenger.path, cache=True)
        store = None
        for number in range(options.starts):
            server, seconds = seconds_to_ready(service)
            times.append(seconds)
            with server:
                if number + 1 < options.starts:
                    continue
                store = EventStore(f"sqlite:///{service.folder.resolve()}/events.db", 10, False)
                state = RolloutState(
                    1, "bench", bundle.digest, challenger.digest, 0.0, True, datetime.now(UTC)
                )
                store.set_rollout_state(state, 0)  # shadow: both models score every ticket
                idle = memory_mb(server)
                generate(server.port, options.seconds, 1, connections=8)
                loaded = memory_mb(server)
                for process in processes(server):
                    memory = process.memory_full_info()
                    what = "worker" if "worker.service" in " ".join(process.cmdline()) else "supervisor"
                    print(f"- {what}: PSS {memory.pss / 2**20:.0f} MB, RSS {memory.rss / 2**20:.0f} MB")
                store.close(1)
    print(f"- starts: {', '.join(f'{value:.2f}' for value in times)} s")
    print(f"- idle: PSS {idle[0]:.0f} MB, RSS {idle[1]:.0f} MB")
    report.claim("memory after load (PSS)", f"{loaded[0]:.0f} MB", f"{MAX_MB:.0f} MB", loaded[0] <= MAX_MB)
    report.claim(
        "memory after load (sum of RSS)", f"{loaded[1]:.0f} MB", f"{MAX_MB:.0f} MB", loaded[1] <= MAX_MB
    )
    seen = median(times)
    report.claim(
        "start to ready, median", f"{seen:.2f} s", f"{MAX_START_SECONDS:g} s", seen <= MAX_START_SECONDS
    )
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

"""Restarts, kills and swaps under load (bar 7): which requests fail.

    python -m benchmarks.robustness.restarts                       # about eight minutes
    python -m benchmarks.robustness.restarts --times 2 --seconds 2 # a short form

1. Rolling restart: two services behind a client that asks /readyz and honours Connection: close; one after
   the other gets SIGTERM and is started again on its port.
2. kill -9 of one of two workers. Requests in flight at the kill are counted apart.
3. Swap: the rollout state in the event database makes the challenger the champion, and back.

Eight callers send all the time; there are no retries.
"""

import asyncio
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks.robustness.fleet import START_SECONDS, Fleet, Outcome, causes
from benchmarks.robustness.service import (
    Report,
    Service,
    arguments,
    quantile,
    second_bundle,
    verified,
    workers,
)  # fmt: skip
from tests.support.serving import Server
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.rollout.state import RolloutState


async def until(true: Callable[[], bool], what: str, seconds: float = START_SECONDS) -> None:
    """Wait; raises TimeoutError."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        await asyncio.sleep(0.05)


async def rolling_restart(services: list[Service], times: int, pause: float) -> Outcome:
    """Each service in turn, `times` in all.

    Args:
        services: with no port in common.
        times: restarts.
        pause: seconds between one restart and the next.
    """
    servers = [service.start() for service in services]
    fleet = Fleet([server.port for server in servers])
    try:
        async with fleet.load() as outcome:
            for number in range(times):
                place = number % len(services)
                await asyncio.sleep(pause)
                old = servers[place]
                old.process.send_signal(signal.SIGTERM)
                await asyncio.to_thread(old.process.wait, START_SECONDS)
                servers[place] = services[place].start()
                await until(lambda url=old.url: not fleet.ready[url], "not ready after its end")
                await until(lambda url=old.url: fleet.ready[url], "ready again")
            await asyncio.sleep(pause)
    finally:
        for server in servers:
            server.__exit__()
    return outcome


async def kill_workers(server: Server, times: int, pause: float) -> tuple[Outcome, list[tuple[float, float]]]:
    """kill -9 of one worker after the other, each replaced before the next.

    Returns:
        The outcome, and of each kill the time of the signal and that at which the process was gone.
    """
    moments = []
    count = len(workers(server))
    fleet = Fleet([server.port])
    async with fleet.load() as outcome:
        for _ in range(times):
            await asyncio.sleep(pause)
            victim = workers(server)[0]
            killed = time.monotonic()
            victim.send_signal(signal.SIGKILL)
            await until(lambda pid=victim.pid: gone(pid), "the death of a worker")
            moments.append((killed, time.monotonic()))
            await until(lambda: len(workers(server)) == count, "another worker")
        await asyncio.sleep(pause)
    return outcome, moments


def gone(pid: int) -> bool:
    """Whether a process is dead to its last thread, buried or not: only then are its sockets closed."""
    try:
        process = psutil.Process(pid)
        return process.status() == psutil.STATUS_ZOMBIE and process.num_threads() <= 1
    except psutil.NoSuchProcess:
        return True


async def swap(
    server: Server, store: EventStore, pair: tuple[Bundle, Bundle], times: int, pause: float
) -> Outcome:
    """Make the challenger the champion and back, half of the customers meeting each."""
    first, second = pair
    fleet = Fleet([server.port])
    async with fleet.load() as outcome:
        for epoch in range(1, times + 1):
            first, second = second, first
            state = RolloutState(
                epoch, f"bench-{epoch}", first.digest, second.digest, 0.5, bool(epoch % 2), datetime.now(UTC)
            )
            if not await asyncio.to_thread(store.set_rollout_state, state, epoch - 1):
                raise RuntimeError("another state came in between")
            await asyncio.sleep(pause)
    return outcome


def say(outcome: Outcome) -> None:
    p99, worst = 1000 * quantile(outcome.seconds, 0.99), 1000 * max(outcome.seconds, default=0)
    print(f"- {outcome.answered} answered, p99 {p99:.0f} ms, max {worst:.0f} ms; failed: {causes(outcome)}")


def main() -> int:
    """Run all three and print the table."""
    parser = arguments(__doc__, 3.0, "of load around each restart, kill and swap")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--drain", type=float, help="serve.drain_seconds, where it shall be another")
    options = parser.parse_args()
    bundle, times, pause = verified(options.bundle), options.times, options.seconds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        challenger = second_bundle(bundle, folder / "challenger")
        report = Report(f"Restarts, kills and swaps, {times} times each", bundle)
        events = f"sqlite:///{folder.resolve()}/events.db"
        serve = {} if options.drain is None else {"drain_seconds": options.drain}
        pair = [Service(folder / part, bundle.path, 1, events=events, serve=serve) for part in ("a", "b")]
        outcome = asyncio.run(rolling_restart(pair, times, pause))
        say(outcome)
        report.claim(f"{times} rolling restarts: failed requests", f"{len(outcome.failures)} of "
                     f"{outcome.answered}", "0", not outcome.failures)  # fmt: skip
        both = Service(
            folder / "both", bundle.path, max(2, options.workers), challenger.path, events=events,
            serve={"rollout_poll_seconds": 0.2},
        )  # fmt: skip
        store = EventStore(events, 10, False)
        with both.start() as server:
            server.wait_until_ready(START_SECONDS)
            asyncio.run(until(lambda: len(workers(server)) == both.workers, "all workers"))
            outcome, moments = asyncio.run(kill_workers(server, times, pause))
            say(outcome)
            excused = outcome.excused(moments)
            report.claim(f"{times} kills of a worker: failed, other than in flight at a kill",
                         f"{len(outcome.failures) - excused} of {outcome.answered} (in flight: {excused})",
                         "0", len(outcome.failures) == excused)  # fmt: skip
            outcome = asyncio.run(swap(server, store, (bundle, challenger), times, pause))
            say(outcome)
            arms = len(outcome.digests)
            report.claim(f"{times} swaps of the challenger: failed requests", f"{len(outcome.failures)} of "
                         f"{outcome.answered}", "0", not outcome.failures)  # fmt: skip
            report.claim("bundles seen in arms", f"{arms}", "4: each in both", arms == 4)
        store.close(1)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

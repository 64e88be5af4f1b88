"""Restarts, kills and swaps under load, in the short form of benchmarks/robustness/restarts.py."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.robustness.fleet import START_SECONDS, causes
from benchmarks.robustness.restarts import kill_workers, rolling_restart, swap, until
from benchmarks.robustness.service import Service, second_bundle, workers
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.events.store import EventStore

pytestmark = pytest.mark.slow
PAUSE = 0.5  # of load around each
DRAIN = {"drain_seconds": 4.0}  # a machine with other work sees late that a service is not ready any more


def test_a_rolling_restart_fails_no_request(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    events = f"sqlite:///{tmp_path}/events.db"
    pair = [Service(tmp_path / name, bundle.path, events=events, serve=DRAIN) for name in ("a", "b")]
    outcome = asyncio.run(rolling_restart(pair, 2, PAUSE))
    assert outcome.answered > 20
    assert not outcome.failures, causes(outcome)


def test_a_kill_fails_what_was_in_flight_and_a_swap_of_the_challenger_nothing(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    challenger = second_bundle(bundle, tmp_path / "challenger")
    service = Service(
        tmp_path / "service", bundle.path, 2, challenger.path, serve={"rollout_poll_seconds": 0.1}
    )
    with service.start() as server:
        server.wait_until_ready(START_SECONDS)
        asyncio.run(until(lambda: len(workers(server)) == 2, "two workers"))
        outcome, moments = asyncio.run(kill_workers(server, 2, PAUSE))
        assert len(moments) == 2
        assert outcome.answered > 20
        assert outcome.excused(moments) == len(outcome.failures), causes(outcome)

        store = EventStore(f"sqlite:///{service.folder.resolve()}/events.db", 10, False)
        outcome = asyncio.run(swap(server, store, (bundle, challenger), 6, PAUSE))
        store.close(1)
        assert outcome.answered > 20
        assert not outcome.failures, causes(outcome)
        assert len(outcome.digests) == 4  # each bundle answered as champion and as challenger

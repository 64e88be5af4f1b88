"""A real Dask cluster of two workers."""

import os
import signal
from collections.abc import Iterator

import pytest
from distributed import LocalCluster

from tests.batch.jobs import Jobs, content, tickets, write
from ticket_sentiment.batch import cluster
from ticket_sentiment.errors import TicketSentimentError


@pytest.fixture(scope="module")
def scheduler() -> Iterator[str]:
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as running:
        yield running.scheduler_address


def test_two_dask_workers_give_what_one_process_gives(jobs: Jobs, scheduler: str):
    source = write(jobs.root / "in.csv", tickets(50))
    assert jobs.score(source, "dask", changes={"scheduler": scheduler}).scored == 50
    jobs.score(source, "alone")
    assert content(jobs.root / "dask") == content(jobs.root / "alone")


def test_the_chunk_of_a_worker_that_dies_is_scored_by_another(jobs: Jobs, scheduler: str, monkeypatch):
    source = write(jobs.root / "in.csv", tickets(50))
    jobs.score(source, "alone")

    class Killing(cluster.DaskRunner):
        calls = 0

        def score(self, lane: int, content: bytes) -> bytes:
            self.calls += 1
            if self.calls == 4:
                os.kill(next(iter(self._client.run(os.getpid).values())), signal.SIGKILL)
            return super().score(lane, content)

    monkeypatch.setattr(cluster, "DaskRunner", Killing)
    assert jobs.score(source, "dask", changes={"scheduler": scheduler}).scored == 50
    assert content(jobs.root / "dask") == content(jobs.root / "alone")


def test_a_worker_of_another_version_is_refused(jobs: Jobs, scheduler: str, monkeypatch):
    monkeypatch.setattr(cluster, "code_digest", lambda: "0" * 64)
    with pytest.raises(TicketSentimentError, match="runs another version"):
        jobs.score(write(jobs.root / "in.csv", tickets(1)), changes={"scheduler": scheduler})


def test_a_scheduler_that_is_not_there_is_named(jobs: Jobs, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.2)
    with pytest.raises(TicketSentimentError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        jobs.score(write(jobs.root / "in.csv", tickets(1)), changes={"scheduler": "tcp://127.0.0.1:1"})
    assert os.listdir(jobs.root / "out") != []

"""A real Dask cluster of two workers."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator

import pyarrow as pa
import pytest
from distributed import LocalCluster

from tests.batch.jobs import Jobs, content, tickets, write
from ticket_sentiment.batch import cluster
from ticket_sentiment.batch.scorer import ScoreSettings, pack, unpack
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


LINE = b'{"id": "1", "body": "great", "text": "terrible"}'
CHUNK = pack(pa.table({"row": pa.array([1]), "line": pa.array([LINE], pa.binary())}))


def begin(jobs: Jobs, scheduler: str, column: str, out: str) -> cluster.DaskRunner:
    settings = ScoreSettings(
        columns={"text": column, "ticket_id": "id"}, max_text_chars=100, abstain_below=0.45, texts_at_once=1,
        gpu=jobs.params().serve.gpu,
    )  # fmt: skip
    return cluster.DaskRunner(scheduler, jobs.bundle, settings, jobs.root / out)


def test_two_jobs_on_one_cluster_do_not_disturb_each_other(jobs: Jobs, scheduler: str):
    """Of one bundle with other settings: each has its own answers, whoever comes or ends meanwhile."""
    with contextlib.closing(begin(jobs, scheduler, "body", "ours")) as ours:
        alone = unpack(ours.score(0, CHUNK))
        with contextlib.closing(begin(jobs, scheduler, "text", "theirs")) as theirs:
            assert unpack(theirs.score(0, CHUNK))["label"] != alone["label"]
            assert unpack(ours.score(0, CHUNK)) == alone
        assert unpack(ours.score(0, CHUNK)) == alone


def test_what_a_killed_job_left_on_the_workers_is_replaced(jobs: Jobs, scheduler: str):
    killed = begin(jobs, scheduler, "text", "out")
    killed._client.close()
    with contextlib.closing(begin(jobs, scheduler, "body", "out")) as again:
        assert unpack(again.score(0, CHUNK))["label"].to_pylist() == ["positive"]
        held = again._client.run(lambda: len(cluster._scorers))
        assert set(held.values()) == {1}


def test_a_worker_of_another_version_is_refused(jobs: Jobs, scheduler: str, monkeypatch):
    monkeypatch.setattr(cluster, "code_digest", lambda: "0" * 64)
    with pytest.raises(TicketSentimentError, match="runs another version"):
        jobs.score(write(jobs.root / "in.csv", tickets(1)), changes={"scheduler": scheduler})


OTHER = """
from ticket_sentiment.batch import cluster
cluster.code_digest = lambda: "0" * 64
"""


def test_a_worker_of_another_version_that_comes_later_is_named(jobs: Jobs):
    """Dask gives it chunks although its plugin could not be set up."""
    preload = jobs.root / "other.py"
    preload.write_text(OTHER)
    with (
        LocalCluster(n_workers=1, threads_per_worker=1, dashboard_address=None) as running,
        contextlib.closing(begin(jobs, running.scheduler_address, "text", "out")) as ours,
    ):
        command = [
            "worker",
            running.scheduler_address,
            "--nthreads",
            "1",
            "--no-dashboard",
            "--preload",
            preload,
        ]
        late = subprocess.Popen([sys.executable, "-m", "dask", *command], cwd=jobs.root)
        try:
            ours._client.wait_for_workers(2, timeout=60)
            with pytest.raises(TicketSentimentError, match=r"the Dask worker tcp://.* runs another version"):
                for _ in range(100):
                    ours.score(0, CHUNK)
        finally:
            late.terminate()
            late.wait(30)


def test_a_scheduler_that_is_not_there_is_named(jobs: Jobs, monkeypatch):
    monkeypatch.setattr(cluster, "WAIT_SECONDS", 0.2)
    with pytest.raises(TicketSentimentError, match=r"no Dask scheduler answers at tcp://127\.0\.0\.1:1"):
        jobs.score(write(jobs.root / "in.csv", tickets(1)), changes={"scheduler": "tcp://127.0.0.1:1"})
    assert os.listdir(jobs.root / "out") != []

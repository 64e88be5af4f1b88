"""Starts what is measured: the job as a user starts it, and what it is held against."""

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psutil

from tests.support.serving import REPOSITORY

SOURCE = os.pathsep.join([str(REPOSITORY), str(REPOSITORY / "src")])
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONPATH": SOURCE}


@dataclass(frozen=True)
class Bench:
    """What all measurements share.

    Attributes:
        tickets: a Parquet file.
        count: of its tickets.
        work: a folder for outputs.
        project: where `make retrain` has run.
        bundle: of it, or another.
        workers: processes of the job, and of the raw runtime.
    """

    tickets: Path
    count: int
    work: Path
    project: Path
    bundle: Path
    workers: int

    def command(self, out: Path) -> list[str]:
        """Of the job."""
        score = [sys.executable, "-m", "ticket_sentiment.cli", "score", str(self.tickets), str(out)]
        return [*score, "--bundle", str(self.bundle)]

    def start(self, out: Path) -> subprocess.Popen[bytes]:
        """The job, in the work folder with its own params.yaml."""
        return subprocess.Popen(
            self.command(out),
            cwd=self.work,
            env=ENVIRONMENT,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )

    def job(self, out: Path) -> float:
        """Seconds of the whole command."""
        start = time.perf_counter()
        if status := self.start(out).wait():
            sys.exit(f"error: the job ended with status {status}: {' '.join(self.command(out))}")
        return time.perf_counter() - start

    def raw(self) -> float:
        """Tickets a second of the runtime alone, in `workers` processes."""
        given = (
            ["raw", str(self.tickets), str(self.bundle), str(n), str(self.workers)]
            for n in range(self.workers)
        )
        return self.count / max(_bare(list(given)))

    def pipeline(self, count: int, threads: int | None) -> float:
        """Tickets a second of the loop."""
        dense = str(self.project / "models/dense")
        extra = {"MODEL_THREADS": str(threads)} if threads else {}
        return count / _bare([["pipeline", str(self.tickets), dense, str(count)]], extra)[0]


def _bare(commands: list[list[str]], extra: dict[str, str] | None = None) -> list[float]:
    """All begin together when all are loaded; the seconds of each."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.batch.bare", *given], env={**ENVIRONMENT, **(extra or {})},
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )
        for given in commands
    ]  # fmt: skip
    for process in processes:
        if process.stdout.readline().strip() != "ready":
            sys.exit(f"error: {' '.join(process.args[2:])} did not get ready")
    for process in processes:
        process.stdin.write("\n")
        process.stdin.flush()
    seconds = [float(process.stdout.readline()) for process in processes]
    for process in processes:
        process.wait()
    return seconds


def pss_mb(pid: int) -> float:
    """Of a process and all below it; a page that several share counts once. 2**20 bytes."""
    try:
        root = psutil.Process(pid)
        family = [root, *root.children(recursive=True)]
    except psutil.Error:
        return 0.0
    total = 0
    for process in family:
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it has just ended
            continue
    return total / 2**20

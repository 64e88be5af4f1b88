"""Who scores: processes of this machine here, Dask workers in cluster.py. A lane has one chunk at a time."""

import os
import subprocess
import sys
from typing import Protocol

from ticket_sentiment.batch.scorer import ScoreSettings
from ticket_sentiment.batch.worker import FAILURE, PROBLEM, opening, read_frame, write_frame
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle

END_SECONDS = 10.0


class Runner(Protocol):
    """Scores chunks, `lanes` of them at a time."""

    lanes: int

    def score(self, lane: int, content: bytes) -> bytes:
        """From a packed chunk to its packed answers; from one thread a lane.

        Raises:
            TicketSentimentError: the worker has died, or cannot score.
        """
        ...

    def close(self) -> None: ...


class LocalRunner:
    """A process a lane, each with one ONNX session of one thread: as many as cores are the fastest."""

    def __init__(self, bundle: Bundle, settings: ScoreSettings, workers: int | None = None) -> None:
        """Start them; they load the model at the same time. They die with the thread that calls this.

        Args:
            bundle: verified; every worker verifies it again.
            settings: of the job.
            workers: None is one for each core that this process may use.

        Raises:
            TicketSentimentError: a worker could not load the bundle.
        """
        self.lanes = workers or len(os.sched_getaffinity(0))
        single = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        command = [sys.executable, "-m", "ticket_sentiment.batch.worker", str(os.getpid())]
        self._workers = [
            subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**os.environ, **single}
            )
            for _ in range(self.lanes)
        ]
        try:
            for worker in self._workers:
                write_frame(worker.stdin, b"s", opening(bundle.path.resolve(), settings))
            for lane in range(self.lanes):
                self._answer(lane)
        except BaseException:
            self.close()
            raise

    @property
    def pids(self) -> list[int]:
        return [worker.pid for worker in self._workers]

    def score(self, lane: int, content: bytes) -> bytes:
        """As Runner."""
        try:
            write_frame(self._workers[lane].stdin, b"c", content)
        except BrokenPipeError:
            raise self._died(lane) from None
        return self._answer(lane)

    def _answer(self, lane: int) -> bytes:
        frame = read_frame(self._workers[lane].stdout)
        if frame is None:
            raise self._died(lane)
        kind, content = frame
        if kind == PROBLEM:
            raise TicketSentimentError(content.decode())
        if kind == FAILURE:
            raise RuntimeError(f"a scoring process failed: {content.decode()}")
        return content

    def _died(self, lane: int) -> TicketSentimentError:
        status = self._workers[lane].wait(END_SECONDS)
        return TicketSentimentError(
            f"a scoring process ended with status {status} (-9 is often a lack of memory: set batch.workers "
            "or batch.chunk_rows lower); what is done is kept, run the same again to go on"
        )

    def close(self) -> None:
        """End the workers."""
        for worker in self._workers:
            try:
                worker.stdin.close()
            except BrokenPipeError:
                continue
        for worker in self._workers:
            try:
                worker.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()
            worker.stdout.close()

"""Scoring on a Dask cluster. Chunks and bundle travel over its connections, so no storage need be shared.

The workers hold this package and what serving needs, of the same versions as here. Dask passes pickles
between its processes: its ports belong in a trusted network, or behind its TLS.
"""

import hashlib
import socket
import tempfile
from pathlib import Path
from typing import Any

from distributed import Client, WorkerPlugin
from distributed.scheduler import KilledWorker

from ticket_sentiment.batch.code import code_digest
from ticket_sentiment.batch.scorer import ChunkScorer, ScoreSettings, score_packed
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import FILES, MANIFEST, Bundle, load_bundle

WAIT_SECONDS = 30
# Of this worker's process, by the plugin's name: what scores, or why nothing does. Dask itself forgets why
# the plugin of a worker that comes later has failed, and gives it chunks all the same.
_scorers: dict[str, ChunkScorer] = {}
_refused: dict[str, str] = {}


class _Model(WorkerPlugin):
    """Brings the bundle to every worker, those that come later too."""

    def __init__(self, name: str, bundle: Bundle, settings: ScoreSettings) -> None:
        self.name, self._settings = name, settings.model_dump_json()
        self._files = {file: (bundle.path / file).read_bytes() for file in (*FILES, MANIFEST)}
        self._code = code_digest()

    def setup(self, worker: Any) -> None:
        try:
            _scorers[self.name] = self._scorer(worker)
        except Exception as error:
            known = isinstance(error, TicketSentimentError)
            _refused[self.name] = (
                str(error) if known else f"the Dask worker {worker.address} has no model: {error!r}"
            )
            raise

    def _scorer(self, worker: Any) -> ChunkScorer:
        if code_digest() != self._code:
            raise TicketSentimentError(
                f"the Dask worker {worker.address} runs another version of this product, Python, numpy, "
                "tokenizers or ONNX Runtime: install the same there as here"
            )
        with tempfile.TemporaryDirectory() as folder:
            for file, content in self._files.items():
                (Path(folder) / file).write_bytes(content)
            settings = ScoreSettings.model_validate_json(self._settings)
            return ChunkScorer(load_bundle(Path(folder)), settings)

    def teardown(self, worker: Any) -> None:
        _scorers.pop(self.name, None)
        _refused.pop(self.name, None)


def _score(name: str, content: bytes) -> bytes:
    scorer = _scorers.get(name)
    if scorer is None:
        raise TicketSentimentError(
            _refused.get(name, "a Dask worker has no model: start it again, or run the same again")
        )
    return score_packed(scorer, content)


def _name(out: Path) -> str:
    """Of a job among all that share a cluster: its output folder, which one job at a time has.

    Run again after a kill it takes the place of what that left on the workers.
    """
    place = f"{socket.gethostname()}\0{out.resolve()}"
    return f"ticket-sentiment-{hashlib.sha256(place.encode()).hexdigest()}"


class DaskRunner:
    """As many lanes as the cluster has threads when the job begins."""

    def __init__(self, address: str, bundle: Bundle, settings: ScoreSettings, out: Path) -> None:
        """Bring the model to the workers.

        Args:
            address: of the scheduler.
            bundle: verified; every worker verifies it again.
            settings: of the job.
            out: the job's output folder, whose lock it holds.

        Raises:
            TicketSentimentError: nobody answers, there is no worker, or one runs other versions.
        """
        try:
            self._client = Client(address, timeout=WAIT_SECONDS, set_as_default=False)
        except (OSError, ValueError):
            raise TicketSentimentError(
                f"no Dask scheduler answers at {address}: start one, or correct batch.scheduler"
            ) from None
        try:
            self._client.wait_for_workers(1, timeout=WAIT_SECONDS)
            plugin = _Model(_name(out), bundle, settings)
            self._name = plugin.name
            self._client.register_plugin(plugin)
        except TimeoutError:
            self._client.close()
            raise TicketSentimentError(
                f"the Dask scheduler at {address} has no worker: start some, `dask worker {address}`"
            ) from None
        except BaseException:
            self._client.close()
            raise
        self.lanes = sum(self._client.nthreads().values())

    def score(self, lane: int, content: bytes) -> bytes:
        """As runners.Runner; a chunk of a worker that goes away is scored by another."""
        try:
            return self._client.submit(_score, self._name, content, pure=False).result()
        except KilledWorker:
            raise TicketSentimentError(
                "several Dask workers died over one chunk (memory?): what is done is kept; "
                "set batch.chunk_rows lower or give them more memory, and run the same again"
            ) from None

    def close(self) -> None:
        """Let go of the cluster, which goes on."""
        self._client.unregister_worker_plugin(self._name)
        self._client.close()

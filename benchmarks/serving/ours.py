"""Our service, as `ticket-sentiment serve` starts it, with other settings."""

import hashlib
import re
import sys
import tempfile
import time
import urllib.request
from datetime import UTC, datetime
from pathlib import Path

import yaml

from benchmarks.serving.assets import Assets
from benchmarks.serving.load import HOST
from benchmarks.serving.peers import Peer
from tests.support.serving import free_port
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.params import load_params
from ticket_sentiment.rollout.state import RolloutState

SAMPLED_SECONDS = 1.5  # the service publishes its counts twice a second
KEY = "a-key-of-the-benchmark-only"
# Says how long the caller waits. Without, a queue longer than the objective is refused, as a closed loop on a
# busy machine makes one; the peers refuse nothing. That it does refuse is another bar's matter.
PATIENT = "X-Request-Timeout-Ms: 10000\r\n"
WITH_IDS = '{"text": %(text)b, "ticket_id": "T%(number)d", "customer_id": "C%(customer)d"}'


class Ours(Peer):
    """The service with the settings of params.yaml, but for the cache."""

    name = "ticket-sentiment"
    path = "/v1/classify"
    template = WITH_IDS
    headers = PATIENT
    service = "ticket_sentiment.serving.service:TicketSentiment"

    def __init__(self, assets: Assets, model: Path, work: Path, workers: int, cache: int = 0) -> None:
        """Prepare.

        Args:
            assets: see there.
            model: a bundle.
            work: a folder of its own is made in it.
            workers: processes.
            cache: `cache.entries`.
        """
        super().__init__(assets, model, work, workers)
        self.metrics_port = free_port()
        self._folder = tempfile.TemporaryDirectory(prefix="ours-", dir=work)  # removed at the end
        self._home = Path(self._folder.name)
        params = load_params().model_dump(mode="json", by_alias=True)
        params["cache"]["entries"] = cache
        params["events"]["url"] = f"sqlite:///{self._home.resolve()}/events.db"
        params["serve"]["metrics"]["port"] = self.metrics_port
        self.adapt(params)
        (self._home / "params.yaml").write_text(yaml.safe_dump(params))

    def adapt(self, params: dict) -> None:
        """Change the settings before the start."""

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port)]
        return [
            sys.executable,
            "-m",
            "bentoml",
            "serve",
            self.service,
            *where,
            "--arg",
            f"workers={self.workers}",
        ]

    def environment(self) -> dict[str, str]:
        return {"TICKET_SENTIMENT_BUNDLE": str(self.model.resolve())}

    def cwd(self) -> Path:
        return self._home

    def total(self, name: str) -> float:
        """Of one of our metrics, over all workers and labels."""
        with urllib.request.urlopen(f"http://{HOST}:{self.metrics_port}/metrics", timeout=10) as response:
            page = response.read().decode()
        lines = re.findall(rf"^ticket_sentiment_{name}_total(?:{{[^}}]*}})? (\S+)$", page, re.MULTILINE)
        return sum(map(float, lines))

    def cache_counts(self) -> tuple[float, float]:
        """Answers without and with a run of the model, since the start; it is frozen after, as before."""
        assert self.server is not None
        self.server.thaw()
        time.sleep(SAMPLED_SECONDS)
        without = self.total("cache_hits") + self.total("cache_shared")
        computed = self.total("cache_misses")
        self.server.freeze()
        return without, computed


class OursWithConstantGraph(Ours):
    """All that a request passes: API key, rate limit, cache, a trial of two arms with its exposures, events,
    metrics; and an ONNX graph that answers a constant."""

    name = "ticket-sentiment, ONNX Runtime on a constant graph"
    headers = f"{PATIENT}X-API-Key: {KEY}\r\n"

    def adapt(self, params: dict) -> None:
        champion, challenger = map(load_bundle, self.assets.constants)
        params["serve"]["api_keys"] |= {"file": "keys", "rate": 1e6, "burst": 1_000_000}
        (self._home / "keys").write_text(f"benchmark {hashlib.sha256(KEY.encode()).hexdigest()}\n")
        store = EventStore(params["events"]["url"], 10, False)
        state = RolloutState(1, "salt", champion.digest, challenger.digest, 0.5, False, datetime.now(UTC))
        store.set_rollout_state(state, 0)
        store.close(5)

    def environment(self) -> dict[str, str]:
        return {
            **super().environment(),
            "TICKET_SENTIMENT_CHALLENGER": str(self.assets.constants[1].resolve()),
        }


class OursWithConstant(OursWithConstantGraph):
    """The same with a constant in place of the whole model: tokenizer, ONNX Runtime and softmax."""

    name = "ticket-sentiment, a constant for a model"
    service = "constant_app:TicketSentiment"

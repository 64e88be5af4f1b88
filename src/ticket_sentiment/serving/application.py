"""One worker's service, put together and taken apart again."""

import asyncio
import contextlib
import gc
import logging
import signal
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.params import Device, Remote
from ticket_sentiment.rollout.releases import load_release
from ticket_sentiment.serving import tracing
from ticket_sentiment.serving.arms import Arms
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.front import Front
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.last_state import LastState
from ticket_sentiment.serving.limiter import RateLimiter
from ticket_sentiment.serving.logs import log_failure
from ticket_sentiment.serving.metrics import Metrics, MetricsServer
from ticket_sentiment.serving.routes import Routes
from ticket_sentiment.serving.scoring import Scorer
from ticket_sentiment.serving.settings import Deployed, remote_address
from ticket_sentiment.signing.keys import public_keys
from ticket_sentiment.tickets.privacy import NO_KEY, keyed

if TYPE_CHECKING:
    from ticket_sentiment.serving import remote

logger = logging.getLogger(__name__)

SAMPLE_SECONDS = 0.5
FLUSH_SECONDS = 5.0  # in which what is recorded is written at the stop
# What a request makes is gone with it, without the collector: it need not look after every 700 objects.
GC_THRESHOLDS = (20_000, 20, 20)


def open_remote(settings: Remote, metrics: Metrics) -> "remote.Remote | None":
    """The client of the other service, where its URL is set."""
    address = remote_address(settings)
    if address is None:
        return None
    from ticket_sentiment.serving import remote  # brings aiohttp, which nobody else needs

    return remote.Remote(address.url, address.key, settings, metrics)


class Application:
    """Everything of a worker. Make it in its event loop; it is warm when made."""

    def __init__(self, deployed: Deployed, device: Device, shared: Path, alone: bool = False) -> None:
        """Load, verify and warm.

        Args:
            deployed: bundles and settings.
            device: cpu or gpu.
            shared: a folder that all workers of this service know.
            alone: no other worker shares the metrics, as in a test.

        Raises:
            TicketSentimentError: a setting, a key or the event database is not as it should be.
        """
        settings = deployed.settings
        serve = settings.serve
        held = [(deployed.bundle, settings.model_version, settings.release)]
        if deployed.challenger is not None and settings.challenger_version is not None:
            held.append((deployed.challenger, settings.challenger_version, settings.challenger_release))
        classifiers = [
            Classifier(bundle, version, serve.gpu, device, release) for bundle, version, release in held
        ]
        releases = Path(serve.releases).absolute()

        def load(release: str) -> Classifier:
            keys = public_keys(serve) if serve.require_signature else None  # read anew: they may have changed
            bundle, version = load_release(releases, release, device, keys)
            return Classifier(bundle, version, serve.gpu, device, release)

        folder = shared / "metrics"
        folder.mkdir(exist_ok=True)
        self._serve = serve
        self._keys = ApiKeys(serve.api_keys, Path.cwd(), shared)
        self.metrics = Metrics(None if alone else folder, serve.objective_ms)
        self.store = EventStore.open(settings.events)
        self._rollout = LastState(self.store.rollout_state, shared)
        self.cache = PredictionCache.open(settings.cache)
        self.arms = Arms(classifiers, load)
        threaded = any(classifier.max_batch > 1 for classifier in classifiers)
        self.engine = Engine(serve.max_queue, serve.max_shadow_queue, serve.objective_ms / 1000, threaded)
        self.scorer = Scorer(
            self.arms, self.engine, self.store, self.cache, self.metrics, serve.abstain_below,
            open_remote(serve.remote, self.metrics),
        )  # fmt: skip
        self._routes = Routes(serve, self.scorer, self.store, self.metrics)
        limiter = None
        if self._keys:
            limiter = RateLimiter(
                shared / "rates", len(self._keys.names), serve.api_keys.rate, serve.api_keys.burst
            )
        self.tracing = tracing.configured()
        self.front = Front(serve, self._routes.by_path, self._keys, limiter, self.metrics, self.tracing)
        self._published: set[tuple[str, str, str, str]] = set()
        self._tasks: list[asyncio.Task[None]] = []
        self._metrics_server: MetricsServer | None = None
        self._sample_failed = False

    @property
    def ready(self) -> bool:
        """Whether new requests are welcome."""
        return not self.front.draining

    async def start(self) -> None:
        """Begin what runs beside the requests, the rollout state having been asked for once."""
        with contextlib.suppress(Exception):  # the poll says what is wrong, and tries again
            await self.arms.take_over(await asyncio.to_thread(self._rollout.first))
        self._tasks = [
            asyncio.create_task(self.arms.follow(self._rollout.read, self._serve.rollout_poll_seconds)),
            asyncio.create_task(self._sample_for_ever()),
        ]
        self._try_sample()
        address = self._serve.metrics
        self._metrics_server = MetricsServer(self.metrics.registry, address.host, address.port)
        if self._keys:
            logger.info("API keys: %s", ", ".join(self._keys.names))
        else:
            logger.warning(
                "no API keys are configured (serve.api_keys): whoever reaches the port is answered; "
                "meant for localhost only"
            )
        if not keyed():
            logger.warning(NO_KEY)
        gc.collect()
        gc.freeze()  # what is there now stays: no collection need walk it again
        gc.set_threshold(*GC_THRESHOLDS)
        if self.scorer.remote is not None:
            logger.info("urgent tickets and large batches go to another service")
        logger.info("metrics on http://%s:%d/metrics", address.host, address.port)

    def drain_on(self, signal_number: int) -> None:
        """On this signal: not ready at once, and `serve.drain_seconds` later what the server does on it."""
        server_handler = signal.getsignal(signal_number)
        loop = asyncio.get_running_loop()

        def handle(number: int, frame: FrameType | None) -> None:
            loop.call_soon_threadsafe(self._drain, number, server_handler)

        signal.signal(signal_number, handle)

    def _drain(self, number: int, server_handler: Any) -> None:
        if self.front.draining:
            return
        self.front.draining = True
        logger.info("stopping: not ready from now, not listening in %s s", self._serve.drain_seconds)
        asyncio.get_running_loop().call_later(self._serve.drain_seconds, server_handler, number, None)

    async def stop(self) -> None:
        """End, once every request has its answer: what was recorded is written."""
        self.front.draining = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self.arms.close()
        self.engine.close()
        self._routes.close()
        written = await asyncio.to_thread(self.store.close, FLUSH_SECONDS)
        if not written:
            logger.warning("%d predictions and exposures were not written", self.store.dropped)
        await self.cache.close()
        if self.scorer.remote is not None:
            await self.scorer.remote.close()
        if self.tracing is not None:
            await asyncio.to_thread(self.tracing.close)
        self._try_sample()
        if self._metrics_server:
            self._metrics_server.close()

    def _sample(self) -> None:
        engine, counts, split = self.engine, self.cache.counts, self.arms.split
        remote = self.scorer.remote
        gauges = {
            "workers": 1,
            "in_flight": self.front.in_flight,
            "queue_length": engine.pending,
            "queue_wait_seconds": engine.wait,
            "shadow_queue_length": engine.shadow_pending,
            "events_queue_length": self.store.queued,
            "events_available": self.store.available,
            "cache_shared_available": bool(self.cache.shared_available),
            "remote_available": remote is not None and remote.available,
            "rollout_not_loaded": split.not_loaded,
            "rollout_share": split.state.challenger_share if split.state else 0.0,
        }
        totals = {
            "model_runs": engine.runs,
            "expired": engine.expired,
            "callers_gone": self.front.callers_gone,
            "shadow_scored": engine.shadow_scored,
            "shadow_dropped": engine.shadow_dropped,
            "shadow_failed": engine.shadow_failed,
            "events_written": self.store.written,
            "events_dropped": self.store.dropped,
            "remote_answers": self.scorer.remote_answers,
            "remote_fallbacks": self.scorer.remote_fallbacks,
            "cache_hits": counts.hits,
            "cache_misses": counts.misses,
            "cache_shared": counts.shared,
            "cache_errors": self.cache.errors,
        }
        self.metrics.sample(gauges, totals, split.epoch)
        loaded = {
            (arm, model.digest, model.version, model.backend)
            for arm, model in (("champion", split.champion), ("challenger", split.challenger))
            if model is not None
        }
        for gone in self._published - loaded:
            self.metrics.unloaded(*gone)
        for new in loaded - self._published:
            self.metrics.loaded(*new)
        self._published = loaded

    async def _sample_for_ever(self) -> None:
        while True:
            await asyncio.sleep(SAMPLE_SECONDS)
            self._try_sample()

    def _try_sample(self) -> None:
        """A sample that fails, as on a full disk, is one sample lost and not the last one."""
        try:
            self._sample()
        except Exception as error:
            if not self._sample_failed:
                log_failure(logger, "the metrics could not be sampled", error)
            self._sample_failed = True
        else:
            self._sample_failed = False

"""What Prometheus reads: one page for all workers of the service, on a port of its own.

Workers write to memory-mapped files in a folder that they share (prometheus_client's multiprocess mode), and
each listens on the metrics port, so that the kernel picks one of them for a scrape and its answer is whole.
"""

import contextlib
import mmap
import os
import socket
import struct
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import uvicorn
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, make_asgi_app
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.serving.errors import CODES
from ticket_sentiment.serving.room import reserve
from ticket_sentiment.serving.tally import BulkHistogram, CounterTally, HistogramTally

PREFIX = "ticket_sentiment"
MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
# A worker's files, as prometheus_client names them, and the bytes of each. All that it counts takes about two
# thirds of that at most; a file that grows beyond is not reserved any more.
_KINDS = ("counter", "histogram", "gauge_livesum", "gauge_livemax", "gauge_livemin")
_FILE_BYTES = 256 * 1024
WORKER_BYTES = len(_KINDS) * _FILE_BYTES
_LATENCY_MS = (1, 2.5, 5, 10, 25, 50, 100, 250, 500, 1000, 2500, 5000)
_CONFIDENCE = (0.35, 0.4, 0.45, 0.5, 0.6, 0.7, 0.8, 0.9, 0.95, 1.0)


class Metrics:
    """The metrics of one worker. Labels never hold an identifier of a ticket, a customer or a key."""

    def __init__(self, folder: Path | None, objective_ms: float) -> None:
        """Make the metrics.

        Args:
            folder: that the workers share; None for a process that is alone, as in a test.
            objective_ms: becomes an edge of the latency histogram.

        Raises:
            TicketSentimentError: the folder has no room for this worker's files.
        """
        self.registry = CollectorRegistry()
        self._folder = folder
        self._forget_the_dead()
        if folder is not None:
            _reserve_files(folder)
            os.environ[MULTIPROCESS] = str(folder)  # read when a metric is made
            MultiProcessCollector(self.registry, str(folder))
            made = CollectorRegistry()
        else:
            made = self.registry
        edges = sorted({*_LATENCY_MS, objective_ms})

        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(name, text, labels, namespace=PREFIX, registry=made)

        def gauge(name: str, text: str, *labels: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, labels, namespace=PREFIX, registry=made, multiprocess_mode=mode)  # type: ignore[arg-type]

        def histogram(name: str, text: str, buckets: Sequence[float], *labels: str) -> HistogramTally:
            made_here = BulkHistogram(name, text, labels, namespace=PREFIX, registry=made, buckets=buckets)
            return HistogramTally(made_here, buckets)

        self._requests = CounterTally(counter("requests", "HTTP requests", "route", "arm", "backend", "code"))
        self._refusals = CounterTally(counter("refusals", "Requests and batch tickets refused", "error"))
        for error in CODES:  # at zero from the start: what begins at 1 has not grown, for Prometheus
            self._refusals.create(error)
        self._latency = histogram(
            "request_seconds", "From a request's head to its answer", [edge / 1000 for edge in edges],
            "route", "arm", "backend",
        )  # fmt: skip
        self._predicted = CounterTally(counter("predicted", "Tickets by answer", "arm", "label"))
        self._abstained = CounterTally(counter("abstained", "Tickets answered with `abstain`", "arm"))
        self._confidence = histogram("confidence", "Confidence of answers", _CONFIDENCE, "arm")
        self._remote = counter(
            "remote_requests", "Calls to the other service, made or not, by what came of them", "outcome"
        )
        self._remote_seconds = Histogram(
            "remote_seconds", "Calls to the other service, from their begin to their outcome",
            namespace=PREFIX, registry=made, buckets=[edge / 1000 for edge in _LATENCY_MS],
        )  # fmt: skip
        self._build = gauge(
            "build_info", "What is loaded", "arm", "digest", "model_version", "backend", mode="livemax"
        )
        self._gauges = {
            name: gauge(name, text)
            for name, text in (
                ("workers", "Processes that answer"),
                ("in_flight", "Requests begun and not ended"),
                ("queue_length", "Texts that wait for a model, the running one too"),
                ("shadow_queue_length", "Texts that wait for the other arm"),
                ("events_queue_length", "Predictions and exposures not written yet"),
                ("events_available", "Processes that reach the event database, and write to it"),
                ("cache_shared_available", "Processes that ask Redis; 0 where none is configured"),
                ("remote_available", "Processes that ask the other service; 0 where none is configured"),
                ("rollout_not_loaded", "Bundles that the rollout state names and a process does not hold"),
            )
        }
        self._gauges["queue_wait_seconds"] = gauge(
            "queue_wait_seconds",
            "What a new text would wait for the model in the worst process",
            mode="livemax",
        )
        self._gauges["rollout_share"] = gauge(
            "rollout_share", "Share of the customers whom the challenger is to answer", mode="livemax"
        )
        # Of the processes of one instance, the one that is farthest behind, and the one that is not.
        self._epochs = (
            gauge("rollout_epoch", "Epoch of the rollout state in force", mode="livemin"),
            gauge("rollout_epoch_newest", "The same in the process that has the newest", mode="livemax"),
        )
        self._totals = {
            name: counter(name, text)
            for name, text in (
                ("model_runs", "Texts that a model scored for an answer"),
                ("expired", "Texts not scored, as their time was over or their caller had gone"),
                ("callers_gone", "Requests whose caller left before the answer"),
                ("shadow_scored", "Texts scored by the other arm"),
                ("shadow_dropped", "Texts for the other arm that found its queue full"),
                ("shadow_failed", "Texts on which the other arm failed"),
                ("events_written", "Predictions and exposures in the database"),
                ("events_dropped", "Predictions and exposures lost, as the database was away or too slow"),
                ("remote_answers", "Tickets that the other service answered"),
                ("remote_fallbacks", "Tickets meant for the other service that were answered here"),
                ("cache_hits", "Answers from the cache"),
                ("cache_misses", "Answers that were not in the cache"),
                ("cache_shared", "Answers that waited for an equal text that was being scored"),
                ("cache_errors", "Look-ups that a shared cache failed"),
            )
        }
        self._seen = dict.fromkeys(self._totals, 0)
        self._tallies = (
            self._requests, self._refusals, self._latency, self._predicted, self._abstained, self._confidence,
        )  # fmt: skip

    def _forget_the_dead(self) -> None:
        """Take the gauges of killed workers out of the sums; what they counted stays, in few bytes."""
        if self._folder is None:
            return
        for path in self._folder.glob("*_*.db"):
            pid = path.stem.rpartition("_")[2]
            if Path("/proc", pid).exists():
                continue
            with contextlib.suppress(FileNotFoundError):  # another worker was faster
                if path.name.startswith("gauge_live"):
                    mark_process_dead(int(pid), str(self._folder))
                elif path.stat().st_size == _FILE_BYTES:
                    _shorten(path)

    def loaded(self, arm: str, digest: str, version: str, backend: str) -> None:
        """A bundle is in an arm; its series exist from now on, at zero."""
        self._build.labels(arm, digest, version, backend).set(1)
        for label in LABELS:
            self._predicted.create(arm, label)
        self._abstained.create(arm)

    def unloaded(self, arm: str, digest: str, version: str, backend: str) -> None:
        """A bundle has left an arm."""
        self._build.labels(arm, digest, version, backend).set(0)

    def request(self, route: str, arm: str, backend: str, code: int, seconds: float) -> None:
        """A request was answered; `arm` and `backend` are empty where no model answered alone."""
        self._requests.inc(route, arm, backend, str(code))
        self._latency.observe(seconds, route, arm, backend)

    def refused(self, error: str) -> None:
        """A request, or a ticket of a batch, was refused with this code."""
        self._refusals.inc(error)

    def answered(self, arm: str, label: str, confidence: float, abstain: bool) -> None:
        """A ticket has its answer."""
        self._predicted.inc(arm, label)
        self._confidence.observe(confidence, arm)
        if abstain:
            self._abstained.inc(arm)

    def remote(self, outcome: str, seconds: float | None) -> None:
        """A call to the other service ended, or was not made (no seconds)."""
        self._remote.labels(outcome).inc()
        if seconds is not None:
            self._remote_seconds.observe(seconds)

    def write(self) -> None:
        """Write out what was counted here."""
        for tally in self._tallies:
            tally.write()

    def sample(self, gauges: Mapping[str, float], totals: Mapping[str, int], epoch: int) -> None:
        """Write out what was counted here and by others: called now and then, not for every request."""
        self._forget_the_dead()  # here too: their successors may all die before they have metrics
        self.write()
        for name, value in gauges.items():
            self._gauges[name].set(value)
        for name, total in totals.items():
            self._totals[name].inc(total - self._seen[name])
            self._seen[name] = total
        for gauge in self._epochs:
            gauge.set(epoch)


class MetricsServer:
    """GET /metrics on a port of its own, in a thread of its own."""

    def __init__(self, registry: CollectorRegistry, host: str, port: int) -> None:
        config = uvicorn.Config(
            make_asgi_app(registry), lifespan="off", log_config=None, access_log=False, server_header=False,
            loop="asyncio",
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._socket = socket.create_server((host, port), family=family(host), reuse_port=True)
        arguments: dict[str, Any] = {"sockets": [self._socket]}
        threading.Thread(target=self._server.run, kwargs=arguments, name="metrics", daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._server.should_exit = True


def _shorten(path: Path) -> None:
    """A dead worker's file without what it had reserved: the first four bytes say how much it used."""
    with path.open("r+b") as stream:
        (used,) = struct.unpack("i", stream.read(4))
        stream.truncate(max(used, mmap.PAGESIZE))  # an empty one could not be read


def _reserve_files(folder: Path) -> None:
    """Make files of zeros, which prometheus_client takes for new ones; it could not read empty ones."""
    paths = [folder / f"{kind}_{os.getpid()}.db" for kind in _KINDS]
    missing = [path for path in paths if not path.exists()]
    for path in set(paths).difference(missing):  # of a dead worker that had this number
        reserve(path, _FILE_BYTES)
    aside = [path.with_suffix(".new") for path in missing]
    try:
        for path in aside:
            reserve(path, _FILE_BYTES)
        for path, name in zip(aside, missing, strict=True):
            path.rename(name)
    finally:
        for path in aside:
            path.unlink(missing_ok=True)


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def require_free(host: str, port: int) -> None:
    """Refuse to share the metrics port with another service.

    Raises:
        TicketSentimentError: something listens there; its figures would be mixed with ours.
    """
    try:
        with socket.create_server((host, port), family=family(host)):
            pass
    except OSError as error:
        raise TicketSentimentError(
            f"serve.metrics: {host}:{port} cannot be listened on ({error.strerror}): "
            "give serve.metrics.port of params.yaml another value"
        ) from None

"""Plays the cluster on one machine: keeps as many service processes as there shall be, and scrapes them."""

import asyncio
import contextlib
import itertools
import re
import signal
import time
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path

import httpx

from benchmarks.autoscaling.balancer import Balancer
from tests.support.serving import SERVICE, Server, free_port, write_params
from ticket_sentiment.autoscaling.hpa import Autoscaler
from ticket_sentiment.autoscaling.keda import Trigger
from ticket_sentiment.autoscaling.metrics import in_flight
from ticket_sentiment.autoscaling.policy import IN_FLIGHT, Policy
from ticket_sentiment.autoscaling.replicas import Tolerances, average_value

TICK_S = 0.1
VALUE = re.compile(rf"^{IN_FLIGHT} ([0-9.e+-]+)$", re.MULTILINE)


@dataclass
class Pod:
    """A service process."""

    number: int
    server: Server
    metrics_port: int
    ready: bool = False
    leaving: bool = False


class Cluster:
    """Deployment, kubelet, Prometheus, KEDA and HPA in one, by the shipped policy in time-lapse.

    Use it as an asynchronous context manager; it ends what it started.
    """

    def __init__(
        self, folder: Path, bundle: Path, policy: Policy, balancer: Balancer, pause_s: float, scrape_s: float
    ) -> None:
        """Prepare.

        Args:
            folder: for settings, logs and event databases.
            bundle: that is served.
            policy: followed as it is: in time-lapse, if its times are; its metric is the requests in flight.
            balancer: in front of the pods.
            pause_s: of `preStop`, between the end of new requests and SIGTERM.
            scrape_s: between two scrapes.
        """
        (self._metric,) = policy.metrics
        self.policy, self.replicas = policy, policy.minimum
        self._folder, self._bundle, self._balancer = folder, bundle, balancer
        self._pause_s, self._scrape_s = pause_s, scrape_s
        self._hpa, self._trigger = Autoscaler(policy), Trigger(self._metric.target, policy.fallback)
        self._tolerances = Tolerances.of(policy.behavior)
        self._scrapes: list[tuple[float, dict[int, int]]] = []
        self._numbers, self._tasks = itertools.count(1), set[asyncio.Task[None]]()
        self.pods: list[Pod] = []
        self.metrics_lost = False
        self.reading: float | None = None

    async def __aenter__(self) -> "Cluster":
        self._client = httpx.AsyncClient(headers={"Connection": "close"}, timeout=2)
        self._loops = [asyncio.create_task(one()) for one in (self._reconcile, self._scrape, self._sync)]
        return self

    async def __aexit__(self, *_: object) -> None:
        for task in (*self._loops, *self._tasks):
            task.cancel()
        await asyncio.gather(*self._loops, *self._tasks, return_exceptions=True)
        await self._client.aclose()
        for pod in self.pods:
            pod.server.process.terminate()  # all at once; the next line waits for each
        await asyncio.to_thread(lambda: [pod.server.__exit__() for pod in self.pods])

    @property
    def serving(self) -> list[Pod]:
        """Pods that get requests."""
        return [pod for pod in self.pods if pod.ready and not pod.leaving]

    def interrupt(self, share: float) -> int:
        """SIGTERM to a share of the pods, without a word to the balancer; how many that were."""
        victims = self.serving[: int(share * len(self.serving))]
        for pod in victims:
            pod.leaving = True
            pod.server.process.send_signal(signal.SIGTERM)
        return len(victims)

    def broken(self) -> None:
        """RuntimeError when a part of this ended that should not."""
        for task in self._loops:
            if task.done() and not task.cancelled() and (error := task.exception()):
                raise RuntimeError("the cluster broke") from error

    async def _reconcile(self) -> None:
        while True:
            for pod in [pod for pod in self.pods if pod.server.process.poll() is not None]:
                self.pods.remove(pod)
                await self._balancer.remove(pod.server.port)
            present = [pod for pod in self.pods if not pod.leaving]
            for _ in range(self.replicas - len(present)):
                await self._start()
            for pod in sorted(present, key=lambda pod: (not pod.ready, pod.number), reverse=True)[
                : max(0, len(present) - self.replicas)
            ]:
                pod.leaving = True
                self._beside(self._end(pod))
            for pod in self.pods:
                if not pod.ready and not pod.leaving and await self._is_ready(pod):
                    await self._balancer.add(pod.server.port)
                    pod.ready = True
            await asyncio.sleep(TICK_S)

    async def _start(self) -> None:
        number = next(self._numbers)
        folder = self._folder / f"pod-{number}"
        folder.mkdir()
        port = await asyncio.to_thread(write_params, folder, None, cache={"entries": 0})
        environment = {
            "TICKET_SENTIMENT_BUNDLE": str(self._bundle.resolve()),
            "TICKET_SENTIMENT_EVENTS_URL": f"sqlite:///{folder.resolve()}/events.db",
        }
        server = Server(SERVICE, folder / "serve.log", folder, **environment)
        self.pods.append(Pod(number, server, port))

    async def _end(self, pod: Pod) -> None:
        """As a pod is deleted: no new requests, the pause of preStop, SIGTERM."""
        if pod.ready:
            await self._balancer.drain(pod.server.port)
            await asyncio.sleep(self._pause_s)
        with contextlib.suppress(ProcessLookupError):
            pod.server.process.send_signal(signal.SIGTERM)

    async def _is_ready(self, pod: Pod) -> bool:
        with contextlib.suppress(httpx.HTTPError):
            return (await self._client.get(f"{pod.server.url}/readyz")).status_code == 200
        return False

    async def _scrape(self) -> None:
        """Each pod's own /metrics; while they are lost, a port where nobody listens."""
        nobody = free_port()
        while True:
            sample = {}
            for pod in self.serving:
                port = nobody if self.metrics_lost else pod.metrics_port
                with contextlib.suppress(httpx.HTTPError):
                    page = (await self._client.get(f"http://127.0.0.1:{port}/metrics")).text
                    if found := VALUE.search(page):
                        sample[pod.number] = int(float(found[1]))
            self._scrapes = [*self._scrapes[-200:], (time.monotonic(), sample)]
            await asyncio.sleep(self._scrape_s)

    async def _sync(self) -> None:
        while True:
            await asyncio.sleep(self.policy.sync_s)
            now, metric = time.monotonic(), self._metric
            recent = [sample for when, sample in self._scrapes if when > now - metric.window_s]
            self.reading = in_flight(recent, metric)
            value = self._trigger.value(self.reading, self.replicas)
            there = max(1, sum(not pod.leaving for pod in self.pods))
            asked = None if value is None else average_value(value, metric.target, there, self._tolerances)
            self.replicas = self._hpa.sync(now, self.replicas, [asked])

    def _beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

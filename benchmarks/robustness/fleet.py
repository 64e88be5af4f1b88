"""A client in front of services, as a balancer is: it asks /readyz and honours Connection: close."""

import asyncio
import contextlib
import itertools
import json
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field

import httpx

from benchmarks.robustness.service import texts

POLL_SECONDS = 0.1
FALL = 3  # questions without an answer until a service counts as not ready; a 503 counts at once
PATIENCE_MS = 20_000  # of a request: a busy machine may take long, a failure is something else
CALLERS = 8
START_SECONDS = 120.0  # that a start may take on a busy machine
# A connection idle for longer is not used again: one that stops closes its own, perhaps just now.
LIMITS = httpx.Limits(max_connections=None, keepalive_expiry=2.0)


@dataclass
class Failure:
    """A request without an answer, or with another one than 200; times of time.monotonic()."""

    sent: float
    ended: float
    why: str


@dataclass
class Outcome:
    """What became of the requests."""

    answered: int = 0
    failures: list[Failure] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    digests: Counter[tuple[str, str]] = field(default_factory=Counter)  # by arm and bundle

    def excused(self, moments: Sequence[tuple[float, float]]) -> int:
        """Failures of requests that were in flight while a process was being killed."""
        return sum(
            any(failure.sent <= dead and failure.ended >= killed for killed, dead in moments)
            for failure in self.failures
        )


class Fleet:
    """Sends tickets to whichever service is ready, in turn, with some callers at a time."""

    def __init__(self, ports: Sequence[int]) -> None:
        self._urls = [f"http://127.0.0.1:{port}" for port in ports]
        self.ready = dict.fromkeys(self._urls, False)
        self.outcome = Outcome()
        self._turn = itertools.count()
        self._texts = itertools.cycle(texts(2000))
        self._stop = False

    async def _watch(self, url: str, client: httpx.AsyncClient) -> None:
        silent = 0
        while not self._stop:
            try:
                self.ready[url] = (await client.get(f"{url}/readyz", timeout=1)).status_code == 200
                silent = 0
            except httpx.HTTPError:
                silent += 1
                if silent >= FALL:
                    self.ready[url] = False
            await asyncio.sleep(POLL_SECONDS)

    async def _call(self, client: httpx.AsyncClient) -> None:
        while not self._stop:
            ready = [url for url, is_ready in self.ready.items() if is_ready]
            sent, number = time.monotonic(), next(self._turn)
            if not ready:
                self.outcome.failures.append(Failure(sent, sent, "no service is ready"))
                await asyncio.sleep(POLL_SECONDS)
                continue
            body = {"text": f"{next(self._texts)} {number}", "customer_id": f"customer-{number % 1000}"}
            try:
                answer = await client.post(f"{ready[number % len(ready)]}/v1/classify", json=body)
            except httpx.HTTPError as error:
                self._failed(sent, type(error).__name__)
                continue
            if answer.status_code == 200:
                self._answered(sent, answer.json())
            else:
                self._failed(sent, f"{answer.status_code} {answer.json()['error']['code']}")

    def _failed(self, sent: float, why: str) -> None:
        self.outcome.failures.append(Failure(sent, time.monotonic(), why))

    def _answered(self, sent: float, body: dict[str, str]) -> None:
        self.outcome.answered += 1
        self.outcome.seconds.append(time.monotonic() - sent)
        self.outcome.digests[body["arm"], body["bundle_digest"]] += 1

    @contextlib.asynccontextmanager
    async def load(self) -> AsyncIterator[Outcome]:
        """Load while the block runs."""
        headers = {"X-Request-Timeout-Ms": str(PATIENCE_MS)}
        async with (
            httpx.AsyncClient(limits=LIMITS, headers=headers, timeout=PATIENCE_MS / 1000) as client,
            # A connection for each question: one that is kept knows one worker only.
            httpx.AsyncClient(headers={"Connection": "close"}) as prober,
        ):
            watchers = [asyncio.create_task(self._watch(url, prober)) for url in self._urls]
            async with asyncio.timeout(START_SECONDS):
                while not all(self.ready.values()):
                    await asyncio.sleep(POLL_SECONDS)
            callers = [asyncio.create_task(self._call(client)) for _ in range(CALLERS)]
            try:
                yield self.outcome
            finally:
                self._stop = True
                await asyncio.gather(*callers, *watchers)


def causes(outcome: Outcome) -> str:
    """Of the failures, with their numbers."""
    return json.dumps(Counter(failure.why for failure in outcome.failures))

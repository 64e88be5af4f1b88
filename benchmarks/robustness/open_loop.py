"""A load generator in a process of its own: open loop (Poisson arrivals) and closed loop, over raw sockets.

An open loop sends when its time has come, whatever became of the requests before, as many independent callers
do; a latency counts from the planned time, so that a generator that falls behind hides nothing.
"""

import asyncio
import json
import multiprocessing
import random
import time
from collections import deque
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import uvloop

from benchmarks.robustness.service import texts

PATIENCE_SECONDS = 10.0  # an answer that takes longer counts as none
MAX_CONNECTIONS = 2000


class Sample(NamedTuple):
    """One request."""

    at: float  # seconds from the start at which it was due
    seconds: float  # from then to its answer
    status: int  # 0 where there was none
    retry_after: bool
    late: float  # seconds between due and sent: the generator's own fault


def bodies(seed: int) -> Iterator[bytes]:
    """Requests without end, no two with the same text."""
    some = texts(2000, seed)
    number = 0
    while True:
        for text in some:
            body = json.dumps({"text": f"{text} {number}"}).encode()
            yield (
                b"POST /v1/classify HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n%s" % (len(body), body)
            )
            number += 1


class Connection(asyncio.Protocol):
    """One request at a time; `done` is told of each answer, or of status 0 when the connection ends."""

    def __init__(self, load: "Load") -> None:
        self._load, self._received = load, b""
        self.transport: asyncio.Transport | None = None
        self.due = self.sent = 0.0
        self.busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def send(self, request: bytes, due: float) -> None:
        assert self.transport is not None
        self.busy, self.due, self.sent, self._received = True, due, time.perf_counter(), b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._received += data
        end = self._received.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self._received[:end].lower()
        start = head.index(b"content-length:") + 15
        stop = head.find(b"\r\n", start)
        if len(self._received) - end - 4 < int(head[start : stop if stop > 0 else None]):
            return
        self.busy = False
        self._load.answered(self, int(head[9:12]), b"\r\nretry-after:" in head)

    def connection_lost(self, error: Exception | None) -> None:
        self.transport = None
        if self.busy:
            self.busy = False
            self._load.answered(self, 0, False)


class Load:
    """Sends and remembers. With `connections` a closed loop, with `rate` an open one."""

    def __init__(self, port: int, seconds: float, seed: int, connections: int = 0, rate: float = 0.0) -> None:
        self._port, self._seconds, self._connections, self._rate = port, seconds, connections, rate
        self._bodies, self._draw = bodies(seed), random.Random(seed)
        self._idle: deque[Connection] = deque()
        self._opening: set[asyncio.Task[None]] = set()
        self._open = 0
        self._start = 0.0
        self.samples: list[Sample] = []

    def answered(self, connection: Connection, status: int, retry_after: bool) -> None:
        now = time.perf_counter()
        late = connection.sent - connection.due
        self.samples.append(
            Sample(connection.due - self._start, now - connection.due, status, retry_after, late)
        )
        if connection.transport is None:
            self._open -= 1
            if self._connections and now < self._start + self._seconds:
                self._connect(now)
        elif not self._connections:
            self._idle.append(connection)
        elif now < self._start + self._seconds:
            connection.send(next(self._bodies), now)

    def _connect(self, due: float) -> None:
        self._open += 1
        task = asyncio.ensure_future(self._connected(due))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _connected(self, due: float) -> None:
        try:
            _, connection = await asyncio.get_running_loop().create_connection(
                lambda: Connection(self), "127.0.0.1", self._port
            )
        except OSError:
            self._open -= 1
            self.samples.append(Sample(due - self._start, time.perf_counter() - due, 0, False, 0.0))
            return
        connection.send(next(self._bodies), due)

    def _arrive(self, due: float) -> None:
        while self._idle:
            connection = self._idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.send(next(self._bodies), due)
                return
            self._open -= 1
        if self._open < MAX_CONNECTIONS:
            self._connect(due)
        else:  # the service keeps that many waiting: it neither answers nor refuses
            self.samples.append(Sample(due - self._start, 0.0, 0, False, 0.0))

    async def run(self) -> list[Sample]:
        """Send for the time, then wait for the answers that are still to come."""
        self._start = time.perf_counter()
        end = self._start + self._seconds
        for _ in range(self._connections):
            self._connect(self._start)
        due = self._start
        while self._rate and due < end:
            due += self._draw.expovariate(self._rate)
            wait = due - time.perf_counter()
            if wait > 0.0005:
                await asyncio.sleep(wait)
            self._arrive(due)
            if wait < -0.002:
                await asyncio.sleep(0)  # behind: answers must be read all the same
        await asyncio.sleep(max(0.0, end - time.perf_counter()))
        expected = time.perf_counter() + PATIENCE_SECONDS
        while self._open > len(self._idle) and not self._connections and time.perf_counter() < expected:
            await asyncio.sleep(0.05)
        await asyncio.sleep(0.2)
        unanswered = 0 if self._connections else self._open - len(self._idle)
        self.samples += [Sample(self._seconds, PATIENCE_SECONDS, 0, False, 0.0)] * unanswered
        return self.samples


def _run(port: int, seconds: float, seed: int, connections: int, rate: float) -> list[Sample]:
    async def main() -> list[Sample]:
        return await Load(port, seconds, seed, connections, rate).run()

    return uvloop.run(main())


def generate(
    port: int, seconds: float, seed: int, *, connections: int = 0, rate: float = 0.0
) -> list[Sample]:
    """Load a service from a process of its own, on keep-alive connections.

    Args:
        port: of the service, on this machine.
        seconds: for which requests are sent.
        seed: of texts and arrivals. Another one, other texts.
        connections: of a closed loop, each of which sends its next request when it has an answer.
        rate: of an open loop, requests a second.
    """
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(_run, port, seconds, seed, connections, rate).result()

"""A closed-loop load generator in a process of its own: each connection sends when it has its answer.

    python -m benchmarks.serving.load < plan.json > window.json

Raw asyncio protocols on uvloop: an HTTP library would cost more than the service under test. What this can do
at most is measured too (ceiling.py) and printed beside the results.
"""

import asyncio
import gc
import itertools
import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
import uvloop

HOST = "127.0.0.1"
ROOT = Path(__file__).resolve().parents[2]  # where `benchmarks` is found, wherever the caller is
RAMP_SECONDS = 0.005  # between two connections: a worker that is busy leaves the next one to its neighbour
UNANSWERED_SECONDS = 10.0


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        port: of the server.
        path: of the request.
        template: of the body: %(text)b is a JSON string, %(number)d counts, %(customer)d is one of 5,000.
        headers: further header lines, each ended by a line break.
        texts: a JSON file with a list of distinct texts. When all are used up they come again with a number
            at the end, so that no two are equal.
        connections: kept open, each with one request at a time.
        seconds: that are measured.
        warm_up: seconds before.
        first: position of the first text, so that the next window has others.
        repeat: share of the requests whose text is one of the `popular` first texts, drawn by Zipf's law.
        popular: how many texts come again.
    """

    port: int
    path: str
    template: str
    texts: str
    headers: str = ""
    connections: int = 32
    seconds: float = 4.0
    warm_up: float = 1.0
    first: int = 0
    repeat: float = 0.0
    popular: int = 500


@dataclass(frozen=True)
class Window:
    """What came back. Times in milliseconds; `cpu` is the client's own, in cores."""

    rps: float
    p50: float
    p95: float
    p99: float
    answered: int
    sent: int
    errors: dict[str, int]
    cpu: float


def bodies(plan: Plan) -> Iterator[bytes]:
    """Bodies without end."""
    texts = [json.dumps(text)[:-1].encode() for text in json.loads(Path(plan.texts).read_text())]
    template = plan.template.encode()

    def body(number: int) -> bytes:
        again, position = divmod(number, len(texts))
        text = texts[position] + (b' %d"' % again if again else b'"')
        return template % {b"text": text, b"number": number, b"customer": number % 5000}

    numbers = itertools.count(plan.first + (plan.popular if plan.repeat else 0))
    if not plan.repeat:
        yield from map(body, numbers)
    draw = random.Random(plan.first)
    weights = [1 / rank for rank in range(1, plan.popular + 1)]
    while True:
        for number in draw.choices(range(plan.popular), weights, k=1000):
            yield body(number if draw.random() < plan.repeat else next(numbers))


class Connection(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next."""

    def __init__(self, requests: Iterator[bytes], done: Callable[[float, float, int], None]) -> None:
        self._requests, self._done = requests, done
        self._transport: asyncio.Transport | None = None
        self._buffer, self._need, self._status = b"", 0, 0
        self.sent_at = 0.0
        self.closed = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]
        self.send()

    def send(self) -> None:
        """The next request."""
        request = next(self._requests)
        self.sent_at = time.perf_counter()
        self._transport.write(request)  # type: ignore[union-attr]

    def data_received(self, data: bytes) -> None:
        if self._buffer:
            data = self._buffer + data
        if not self._need and not self._begin(data):
            self._buffer = data
            return
        if (self._need > 0 and len(data) < self._need) or (
            self._need < 0 and not data.endswith(b"0\r\n\r\n")
        ):
            self._buffer = data
            return
        self._buffer, self._need = b"", 0
        self._done(self.sent_at, time.perf_counter(), self._status)
        if not self.closed:
            self.send()

    def _begin(self, data: bytes) -> bool:
        """Read the head; False until it is whole. `_need` is then the length, below zero for chunks."""
        end = data.find(b"\r\n\r\n")
        if end < 0:
            return False
        self._status = int(data[9:12])
        head = data[:end].lower()
        at = head.find(b"\r\ncontent-length:")
        if at < 0:
            self._need = -1
        else:
            stop = head.find(b"\r\n", at + 2)
            self._need = end + 4 + int(head[at + 17 : stop if stop > 0 else end])
        return True

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed:
            self.closed = True
            self._done(self.sent_at, time.perf_counter(), 0)

    def close(self) -> None:
        """No more requests."""
        self.closed = True
        if self._transport:
            self._transport.close()


class Generator:
    """Runs a plan."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.sent = plan, 0
        self._latencies: list[float] = []
        self._errors: Counter[str] = Counter()
        self._begin = self._end = float("inf")
        head = (
            f"POST {plan.path} HTTP/1.1\r\nHost: {HOST}:{plan.port}\r\nContent-Type: application/json\r\n"
            f"Accept: application/json\r\n{plan.headers}Content-Length: "
        ).encode()
        self._requests = self._all(head)

    def _all(self, head: bytes) -> Iterator[bytes]:
        for body in bodies(self.plan):
            self.sent += 1
            yield b"%b%d\r\n\r\n%b" % (head, len(body), body)

    def _done(self, sent: float, now: float, status: int) -> None:
        if self._begin <= now < self._end:
            if status == 200:
                self._latencies.append(now - sent)
            else:
                self._errors[f"HTTP {status}" if status else "connection lost"] += 1

    async def _connect(self) -> Connection:
        def make() -> Connection:
            return Connection(self._requests, self._done)

        loop = asyncio.get_running_loop()
        return (await loop.create_connection(make, HOST, self.plan.port))[1]

    async def run(self) -> Window:
        """Send for as long as the plan says."""
        plan, start = self.plan, time.perf_counter()
        connections = []
        for _ in range(plan.connections):
            connections.append(await self._connect())
            await asyncio.sleep(RAMP_SECONDS)
        await asyncio.sleep(max(0.0, start + plan.warm_up - time.perf_counter()))
        cpu, self._begin = time.process_time(), time.perf_counter()
        self._end = self._begin + plan.seconds
        while (now := time.perf_counter()) < self._end:
            await asyncio.sleep(min(0.1, self._end - now))
            for position, connection in enumerate(connections):
                if connection.closed:  # counted when it was lost
                    try:
                        connections[position] = await self._connect()
                    except OSError:
                        self._errors["no connection"] += 1
        cpu = time.process_time() - cpu
        stuck = sum(self._end - connection.sent_at > UNANSWERED_SECONDS for connection in connections)
        if stuck:
            self._errors["unanswered"] += stuck
        for connection in connections:
            connection.close()
        return self._window(cpu)

    def _window(self, cpu: float) -> Window:
        ms = 1000 * np.array(self._latencies or [np.nan])
        p50, p95, p99 = np.percentile(ms, (50, 95, 99)).tolist()
        answered = len(self._latencies)
        seconds = self.plan.seconds
        return Window(
            answered / seconds, p50, p95, p99, answered, self.sent, dict(self._errors), cpu / seconds
        )


def drive(plan: Plan) -> Window:
    """Run a plan in a process of its own."""
    plan = replace(plan, texts=str(Path(plan.texts).absolute()))
    result = subprocess.run(
        [sys.executable, "-m", "benchmarks.serving.load"],
        input=json.dumps(asdict(plan)), capture_output=True, text=True, check=False, cwd=ROOT,
    )  # fmt: skip
    if result.returncode:
        raise RuntimeError(f"the load generator failed:\n{result.stderr}")
    return Window(**json.loads(result.stdout))


def main() -> None:
    """A plan in, a window out."""
    plan = Plan(**json.loads(sys.stdin.read()))
    gc.disable()
    print(json.dumps(asdict(uvloop.run(Generator(plan).run()))))


if __name__ == "__main__":
    main()

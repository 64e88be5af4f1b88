"""Callers in an open loop, each of whom takes a while to send its ticket.

A caller sends the head of its request, and the body some time later. For that time the request is in flight
at a pod, and costs no processor: so two cores can play several pods, and what is in flight is known, rate x
time.
"""

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.robustness.service import texts

PATIENCE_S = 20.0  # a busy machine may take long, a failure is something else


@dataclass
class Outcome:
    """What became of the requests; seconds from the end of a body to its answer."""

    sent: int = 0
    answered: int = 0
    seconds: list[float] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        """Requests without an answer, or with another one than 200."""
        return self.failures.total()


class Callers:
    """Send at a rate that may change; use it as an asynchronous context manager."""

    def __init__(self, port: int, hold_s: float, rate: Callable[[], float]) -> None:
        self._port, self._hold_s, self._rate = port, hold_s, rate
        self._draw, self._texts = random.Random(7), texts(500)
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False
        self.outcome = Outcome()

    async def __aenter__(self) -> "Callers":
        self._loop = asyncio.create_task(self._send_for_ever())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._stopped = True
        await self._loop
        await asyncio.gather(*self._tasks)

    async def _send_for_ever(self) -> None:
        due = time.monotonic()
        while not self._stopped:
            due += self._draw.expovariate(max(self._rate(), 0.1))
            while (wait := due - time.monotonic()) > 0 and not self._stopped:
                await asyncio.sleep(min(wait, 0.2))
            task = asyncio.create_task(self._call())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _call(self) -> None:
        number = self.outcome.sent
        self.outcome.sent += 1
        body = json.dumps({"text": f"{self._texts[number % len(self._texts)]} {number}"}).encode()
        head = (
            "POST /v1/classify HTTP/1.1\r\nHost: trial\r\nContent-Type: application/json\r\n"
            f"Content-Length: {len(body)}\r\nX-Request-Timeout-Ms: {1000 * PATIENCE_S:.0f}\r\n"
            "Connection: close\r\n\r\n"
        )
        why = ""
        writer = None
        try:
            async with asyncio.timeout(PATIENCE_S):
                reader, writer = await asyncio.open_connection("127.0.0.1", self._port)
                writer.write(head.encode())
                await asyncio.sleep(self._hold_s * self._draw.uniform(0.5, 1.5))
                writer.write(body)
                sent = time.monotonic()
                answer = await reader.read()
                why = _why(answer)
                self.outcome.seconds.append(time.monotonic() - sent)
        except (OSError, TimeoutError) as error:
            why = type(error).__name__
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()
        if why:
            self.outcome.failures[why] += 1
        else:
            self.outcome.answered += 1


def _why(answer: bytes) -> str:
    """What is wrong with an answer, in a few words; "" for none."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = head[9:12].decode()
    if status == "200" and body:
        return ""
    try:
        return f"{status} {json.loads(body)['error']['code']}"
    except ValueError:
        return f"{status or 'no'} answer of the balancer"

"""Customers and the people who label: a process of its own, at a steady rate, until it is told to stop.

    python -m benchmarks.live.traffic PLAN.json

Requests leave when they are due, whether or not earlier ones were answered; a label follows each answer after
a while. Every request is a line of the log: what, when it left and was answered (seconds since 1970), its
status (0: no answer), who asked, and which version in which arm answered.
"""

import asyncio
import json
import random
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO

import aiohttp

from benchmarks.live.models import ticket
from ticket_sentiment.processes import die_with_parent

CONNECTIONS = 64
PATIENCE_S = 10.0  # for one answer


@dataclass(frozen=True)
class Plan:
    """What to send.

    Attributes:
        url: of the service.
        log: file that is written.
        stop: file whose appearance ends the traffic.
        rate: tickets a second.
        customers: who send them, a few of them most.
        label_share: of the tickets that get a label.
        label_s: mean seconds to a label; after three times that all that will come have come.
        seconds: after which it ends in any case.
    """

    url: str
    log: str
    stop: str
    rate: float
    customers: int
    label_share: float
    label_s: float
    seconds: float


@dataclass(frozen=True)
class Line:
    """One request of the log."""

    what: str
    left: float
    answered: float
    status: int
    customer: int
    version: str
    arm: str


class Desk:
    """Sends tickets and labels."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession, log: IO[str]) -> None:
        self._plan, self._session, self._log = plan, session, log
        self._draw = random.Random(7)

    async def run(self) -> None:
        """Until the stop file is there or the seconds are over; then all labels that are due still come."""
        waiting: set[asyncio.Task[None]] = set()
        began, number, stop = time.monotonic(), 0, Path(self._plan.stop)
        while (spent := time.monotonic() - began) < self._plan.seconds and not stop.exists():
            due = began + number / self._plan.rate
            if (ahead := due - began - spent) > 0:
                await asyncio.sleep(ahead)
            number += 1
            task = asyncio.create_task(self._ticket(number))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def _ticket(self, number: int) -> None:
        draw, plan = self._draw, self._plan
        customer = int(plan.customers * draw.random() ** 2)
        text, truth = ticket(number)
        delay = min(draw.expovariate(1 / plan.label_s), 3 * plan.label_s)
        labelled = draw.random() < plan.label_share
        body = {"text": text, "ticket_id": f"T-{number}", "customer_id": f"customer {customer}"}
        await self._send("classify", body, customer)
        if labelled:
            await asyncio.sleep(delay)
            label = {"ticket_id": f"T-{number}", "label": truth, "event_id": "1", "source": "audit"}
            await self._send("feedback", label, customer)

    async def _send(self, what: str, body: dict[str, str], customer: int) -> None:
        left, status, answer = time.time(), 0, {}
        try:
            async with self._session.post(f"{self._plan.url}/v1/{what}", json=body) as response:
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            pass  # status 0 or that of an answer that is no JSON: a failed request, which the log shows
        version, arm = str(answer.get("model_version", "")), str(answer.get("arm", ""))
        line = Line(what, left, time.time(), status, customer, version, arm)
        self._log.write(json.dumps(asdict(line)) + "\n")


async def _main(plan: Plan) -> None:
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    connector = aiohttp.TCPConnector(limit=CONNECTIONS)
    with Path(plan.log).open("w", buffering=1, encoding="utf-8") as log:
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            await Desk(plan, session, log).run()


def read_log(path: Path) -> list[Line]:
    """What was sent until now; a line that is being written is left out."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    return [Line(**json.loads(line)) for line in text.splitlines(keepends=True) if line.endswith("\n")]


if __name__ == "__main__":
    die_with_parent()
    asyncio.run(_main(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))

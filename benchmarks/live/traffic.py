"""Customers and the people who label: a process of its own, at a steady rate, until it is told to stop.

    python -m benchmarks.live.traffic PLAN.json

Requests leave when they are due, whether or not earlier ones were answered; a label follows each answer after
a while. Every request is a line of the log: what, when it left and was answered (seconds since 1970), its
status (0: no answer), who asked about which ticket, and which version in which arm answered what.
"""

import asyncio
import json
import random
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import count
from pathlib import Path
from typing import IO

import aiohttp

from benchmarks.live.models import ticket

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
        label_share: of the tickets that get a label.
        label_s: mean seconds to a label; after three times that all that will come have come.
        seconds: after which it ends in any case.
        tickets: JSON Lines of `Ticket`, sent once each in their order; "": made up without end.
        customers: who send the made-up ones, a few of them most.
    """

    url: str
    log: str
    stop: str
    rate: float
    label_share: float
    label_s: float
    seconds: float
    tickets: str = ""
    customers: int = 1


@dataclass(frozen=True)
class Ticket:
    """What a customer sends, and what the people who label will say of it; "": nothing."""

    ticket_id: str
    customer_id: str
    text: str
    label: str


@dataclass(frozen=True)
class Line:
    """One request of the log: a ticket with its answer, or a person's label; the code is of a refusal."""

    what: str
    left: float
    answered: float
    status: int
    ticket: str
    customer: str
    version: str
    arm: str
    label: str
    code: str = ""


def made_up(customers: int) -> Iterator[Ticket]:
    """Tickets of one word and a code (models.py), without end."""
    draw = random.Random(7)
    for number in count(1):
        customer = int(customers * draw.random() ** 2)
        yield Ticket(f"T-{number}", f"customer {customer}", *ticket(number))


def read_tickets(path: Path) -> Iterator[Ticket]:
    """What `write_tickets` wrote."""
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield Ticket(**json.loads(line))


def write_tickets(tickets: Iterable[Ticket], path: Path) -> None:
    """As JSON Lines, for a Plan."""
    path.write_text("".join(json.dumps(asdict(one)) + "\n" for one in tickets), encoding="utf-8")


class Desk:
    """Sends tickets and labels."""

    def __init__(self, plan: Plan, session: aiohttp.ClientSession, log: IO[str]) -> None:
        self._plan, self._session, self._log = plan, session, log
        self._draw = random.Random(7)

    async def run(self) -> None:
        """Until the stop file is there or all is sent; then all labels that are due still come."""
        plan = self._plan
        waiting: set[asyncio.Task[None]] = set()
        tickets = read_tickets(Path(plan.tickets)) if plan.tickets else made_up(plan.customers)
        began, stop = time.monotonic(), Path(plan.stop)
        for number, sent in enumerate(tickets):
            await asyncio.sleep(max(0.0, began + number / plan.rate - time.monotonic()))
            if time.monotonic() - began >= plan.seconds or stop.exists():
                break
            task = asyncio.create_task(self._ticket(sent))
            waiting.add(task)
            task.add_done_callback(waiting.discard)
        await asyncio.gather(*waiting)

    async def _ticket(self, sent: Ticket) -> None:
        draw, plan = self._draw, self._plan
        delay = min(draw.expovariate(1 / plan.label_s), 3 * plan.label_s)
        labelled = draw.random() < plan.label_share and sent.label != ""
        body = {"text": sent.text, "ticket_id": sent.ticket_id, "customer_id": sent.customer_id}
        await self._send("classify", body, sent)
        if labelled:
            await asyncio.sleep(delay)
            label = {"ticket_id": sent.ticket_id, "label": sent.label, "event_id": "1", "source": "audit"}
            await self._send("feedback", label, sent)

    async def _send(self, what: str, body: dict[str, str], sent: Ticket) -> None:
        left, status, answer = time.time(), 0, {}
        try:
            async with self._session.post(f"{self._plan.url}/v1/{what}", json=body) as response:
                answer = await response.json(content_type=None)
                status = response.status
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            pass  # status 0 or that of an answer that is no JSON: a failed request, which the log shows
        version, arm, said = (str(answer.get(key, "")) for key in ("model_version", "arm", "label"))
        code = str((answer.get("error") or {}).get("code", ""))
        line = Line(
            what, left, time.time(), status, sent.ticket_id, sent.customer_id, version, arm, said, code
        )
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
    asyncio.run(_main(Plan(**json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))))

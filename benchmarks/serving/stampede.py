"""Equal texts at the same moment, none of them known to the cache: the model should run once."""

import asyncio
import json
import time

from benchmarks.serving.load import HOST
from benchmarks.serving.ours import SAMPLED_SECONDS, Ours

CALLERS = 100


async def _ask(port: int, request: bytes, opened: asyncio.Barrier) -> bool:
    reader, writer = await asyncio.open_connection(HOST, port)
    await opened.wait()
    writer.write(request)
    head = await reader.readuntil(b"\r\n\r\n")
    writer.close()
    return head.startswith(b"HTTP/1.1 200 ")


async def _all(port: int, request: bytes) -> int:
    opened = asyncio.Barrier(CALLERS)
    return sum(await asyncio.gather(*(_ask(port, request, opened) for _ in range(CALLERS))))


def stampede(service: Ours) -> tuple[int, int]:
    """How many of the callers were answered, and how often the model ran for them.

    Args:
        service: running, its cache on.
    """
    body = json.dumps({"text": f"The same new ticket for everybody at {time.time_ns()}."}).encode()
    head = (
        f"POST {service.path} HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n{service.headers}"
    )
    request = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body
    time.sleep(SAMPLED_SECONDS)
    before = service.total("model_runs")
    answered = asyncio.run(_all(service.port, request))
    time.sleep(SAMPLED_SECONDS)
    return answered, int(service.total("model_runs") - before)

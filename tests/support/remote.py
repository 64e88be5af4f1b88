"""Another service for tests of hybrid routing: listening in this loop, behind a slow line, or not itself."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import uvicorn

from tests.support.front import Service


@contextlib.asynccontextmanager
async def listening(service: Service) -> AsyncIterator[int]:
    """The port on which uvicorn, as in production, serves a front of this process."""
    server = uvicorn.Server(
        uvicorn.Config(service.front, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    )
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    server.capture_signals = contextlib.nullcontext  # type: ignore[method-assign]
    task = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = server.force_exit = True
        await task


class Line:
    """A TCP proxy: answers come `delay` seconds late, and `cut` breaks every connection."""

    def __init__(self, port: int) -> None:
        self.target, self.delay, self.down = port, 0.0, False
        self.connections = 0
        self._writers: set[asyncio.StreamWriter] = set()

    async def __aenter__(self) -> "Line":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        self.cut()

    def cut(self) -> None:
        for writer in self._writers:
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        if self.down:
            writer.transport.abort()
            return
        there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
        self._writers |= {writer, there}
        await asyncio.gather(self._copy(reader, there, False), self._copy(there_reader, writer, True))

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, back: bool) -> None:
        with contextlib.suppress(OSError):
            while chunk := await reader.read(65536):
                if back:
                    await asyncio.sleep(self.delay)
                writer.write(chunk)
                await writer.drain()
        writer.close()


Answering = Callable[[dict[str, Any]], bytes]


class Impostor:
    """A server that reads a request's body and answers what it is told to."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering
        self.heads: list[str] = []
        self.bodies: list[dict[str, Any]] = []

    async def __aenter__(self) -> "Impostor":
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
        length = int(head.split("content-length: ")[1].split("\r\n")[0])
        self.heads.append(head)
        self.bodies.append(json.loads(await reader.readexactly(length)))
        with contextlib.suppress(OSError):
            writer.write(self._answering(self.bodies[-1]))
            await writer.drain()
        writer.close()


def http(body: object, status: str = "200 OK", *headers: str) -> bytes:
    """A response; bytes go as they are, anything else as JSON."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(raw)}", "Connection: close", *headers]
    return "\r\n".join([*head, "", ""]).encode() + raw


def good(ticket: dict[str, Any], **changes: object) -> dict[str, object]:
    """What the other service answers to a ticket."""
    return {
        "ticket_id": ticket["ticket_id"],
        "label": "positive",
        "probabilities": {"negative": 0.1, "neutral": 0.2, "positive": 0.7},
        "confidence": 0.7,
        "abstain": False,
        "model_version": "1",
        "bundle_digest": "e" * 64,
        "arm": "champion",
        "backend": "CUDAExecutionProvider",
        "cached": False,
        "route": "local",
    } | changes

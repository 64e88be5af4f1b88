"""Idle connections of a server in this process: none is kept for nothing, and never too many."""

import asyncio
import gc
import socket
import struct
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import uvicorn

from tests.support.serving import free_port
from ticket_sentiment.serving import protocol
from ticket_sentiment.serving.protocol import BoundedProtocol

REQUEST = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


async def application(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


def serving(client: Callable[[int], Awaitable[None]]) -> None:
    """Run a client beside a server on a port that it is told."""

    async def run() -> None:
        port = free_port()
        config = uvicorn.Config(
            application, port=port, http=BoundedProtocol, lifespan="off", log_level="critical"
        )
        server = uvicorn.Server(config)
        task = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        try:
            await asyncio.wait_for(client(port), 30)
        finally:
            server.should_exit = True
            await task

    asyncio.run(run())


def alive() -> int:
    gc.collect()
    return sum(type(one) is BoundedProtocol for one in gc.get_objects())


@pytest.fixture(autouse=True)
def kept_for_an_hour(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedProtocol, "keep_alive_seconds", 3700.0)


def test_a_client_that_resets_its_connection_leaves_nothing_behind() -> None:
    """uvicorn alone keeps protocol, request and head until its timer ends: 8,000 resets are a gigabyte."""
    before = alive()

    async def client(port: int) -> None:
        for _ in range(20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            assert b"200 OK" in await reader.read(1000)
            own = writer.get_extra_info("socket")
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            writer.transport.abort()
        for _ in range(100):
            if not BoundedProtocol._idle and alive() == before:
                return
            await asyncio.sleep(0.05)
        raise AssertionError(f"{alive() - before} connections are still held")

    serving(client)


def test_of_too_many_idle_connections_the_longest_idle_is_closed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_IDLE", 3)

    async def client(port: int) -> None:
        async def ask(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bytes:
            writer.write(REQUEST)
            return await reader.read(1000)

        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(3)]
        for one in held:
            assert b"200 OK" in await ask(*one)
        assert b"200 OK" in await ask(*held[0])  # now the second is idle for longest
        held += [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        for one in held[3:]:
            assert b"200 OK" in await ask(*one)
        for closed in held[1:3]:
            assert await closed[0].read(1000) == b""
        for kept in (held[0], *held[3:]):
            assert b"200 OK" in await ask(*kept)
        assert len(BoundedProtocol._idle) == 3
        for _, writer in held:
            writer.close()

    serving(client)
    assert not BoundedProtocol._idle

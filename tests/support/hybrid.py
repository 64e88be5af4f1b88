"""A service here and another one there, behind a line that can be slow or cut; in one loop."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

from tests.support.front import SERVE, Service
from tests.support.remote import Line, listening
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.params import Remote as RemoteSettings

URGENT = {"text": "my invoice", "priority": "urgent"}
KEY = "k" * 16
LOCAL, REMOTE = "f" * 64, "e" * 64


def settings(**changes: Any) -> RemoteSettings:
    # Five seconds: a busy machine must not look like a slow service where that is not what is tested.
    return SERVE.remote.model_copy(update={"timeout_ms": 5000, "min_batch": 4, "max_batch": 3} | changes)


def gpu(digest: str = REMOTE, version: str = "1") -> FakeClassifier:
    model = FakeClassifier(digest)
    model.backend, model.version = "CUDAExecutionProvider", version
    return model


def challenger(seconds: float = 0.0) -> FakeClassifier:
    model = FakeClassifier("d" * 64, seconds=seconds)
    model.version = "2"
    return model


class Pair:
    """A service here, and the other one behind a line."""

    def __init__(self, here: Service, there: Service, line: Line) -> None:
        self.here, self.there, self.line = here, there, line

    async def ask(self, body: Any = URGENT, path: str = "/v1/classify", **headers: str) -> Any:
        """The answer, which there must be."""
        headers.setdefault("x-request-timeout-ms", "20000")
        reply = await self.here.ask(body, path, **headers)
        assert reply.status == 200, reply.body
        return json.loads(reply.body)

    async def batch(self, *tickets: Any) -> list[Any]:
        return (await self.ask({"tickets": tickets}, "/v1/classify/batch"))["results"]

    def calls(self, outcome: str) -> float:
        return self.here.value("remote_requests_total", outcome=outcome)


@contextlib.asynccontextmanager
async def pair(
    *there: FakeClassifier,
    here: tuple[FakeClassifier, ...] = (),
    cache: PredictionCache | None = None,
    key: str | None = None,
    home: Path = Path(),
    over_there: dict[str, Any] | None = None,
    **changes: Any,
) -> AsyncIterator[Pair]:
    other = Service(*(there or (gpu(),)), home=home, **(over_there or {}))
    async with listening(other) as port, Line(port) as line:
        service = Service(
            *(here or (FakeClassifier(LOCAL),)), cache=cache, remote_url=line.url, remote_key=key,
            remote=settings(**changes), timeout_ms=20_000,
        )  # fmt: skip
        try:
            yield Pair(service, other, line)
        finally:
            assert service.remote is not None
            await service.remote.close()
        assert service.front.in_flight == service.engine.pending == 0
        assert service.remote._calls == 0


def between(test: Callable[[Pair], Awaitable[None]], *there: FakeClassifier, **changes: Any) -> None:
    async def main() -> None:
        async with pair(*there, **changes) as made:
            await asyncio.wait_for(test(made), 30)

    asyncio.run(main())


def routes(results: list[Any]) -> list[str]:
    return [result["route"] for result in results]

"""A front in the test's own process, with what is behind it; its store keeps lists."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from tests.support.params import params_of_tests
from tests.support.serving import FakeClassifier
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackResult
from ticket_sentiment.serving.arms import Arms
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.front import Front
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.limiter import RateLimiter
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.remote import Remote
from ticket_sentiment.serving.routes import Routes
from ticket_sentiment.serving.scoring import Scorer
from ticket_sentiment.serving.tracing import Tracing

SERVE = params_of_tests().serve


class Store:
    """Stands for the event store: keeps predictions in a list, and its feedback is away."""

    def __init__(self) -> None:
        self.predictions: list[Any] = []
        self.exposures: list[Any] = []
        self.failures: list[Any] = []

    def predicted(self, event: Any) -> bool:
        self.predictions.append(event)
        return True

    def exposed(self, event: Any) -> bool:
        self.exposures.append(event)
        return True

    def failed(self, event: Any) -> bool:
        self.failures.append(event)
        return True

    def feedback_together(self, events: Sequence[Feedback]) -> list[FeedbackResult]:
        return [self.feedback(event) for event in events]

    def feedback(self, event: Feedback) -> FeedbackResult:
        raise EventStoreUnavailable("away")


class Reply:
    def __init__(self) -> None:
        self.status, self.headers, self.body = 0, {}, b""

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = dict(message["headers"])
        else:
            self.body += message["body"]

    @property
    def code(self) -> str:
        return json.loads(self.body)["error"]["code"]


class Service:
    """A front and what is behind it."""

    def __init__(
        self,
        *models: FakeClassifier,
        cache: PredictionCache | None = None,
        home: Path = Path(),
        remote_url: str | None = None,
        remote_key: str | None = None,
        tracing: Tracing | None = None,
        threaded: bool = False,
        **changes: Any,
    ) -> None:
        serve = SERVE.model_copy(update=changes)
        self.store, self.metrics = Store(), Metrics(None, serve.objective_ms)
        self.engine = Engine(serve.max_queue, serve.max_shadow_queue, serve.objective_ms / 1000, threaded)
        self.arms, self.cache = Arms(models), PredictionCache(0, 1.0) if cache is None else cache
        self.remote: Remote | None = None
        if remote_url is not None:
            self.remote = Remote(remote_url, remote_key, serve.remote, self.metrics)
        self.scorer = Scorer(
            self.arms, self.engine, self.store, self.cache, self.metrics, serve.abstain_below, self.remote
        )
        self.routes = Routes(serve, self.scorer, self.store, self.metrics)
        keys = ApiKeys(serve.api_keys, home)
        limiter = RateLimiter(home / "rates", 1, serve.api_keys.rate, serve.api_keys.burst) if keys else None
        self.front = Front(serve, self.routes.by_path, keys, limiter, self.metrics, tracing)

    def value(self, name: str, **labels: str) -> float:
        """Of a metric; 0 where it has no such series."""
        self.metrics.write()
        return self.metrics.registry.get_sample_value(f"ticket_sentiment_{name}", labels) or 0.0

    async def ask(
        self,
        body: Any,
        path: str = "/v1/classify",
        leaves_after: float | None = None,
        method: str = "POST",
        **headers: str,
    ) -> Reply:
        """A request; its caller leaves after so many seconds."""
        reply = Reply()
        pending = [{"type": "http.request", "body": json.dumps(body).encode()}]

        async def receive() -> dict[str, Any]:
            if pending:
                return pending.pop()
            await asyncio.sleep(3600 if leaves_after is None else leaves_after)
            return {"type": "http.disconnect"}

        sent = {"content-type": "application/json", **headers}
        scope = {
            "path": path,
            "method": method,
            "headers": [(name.encode(), value.encode()) for name, value in sent.items()],
        }
        await self.front(scope, receive, reply.send)
        return reply


def run(
    test: Callable[[Service], Awaitable[None]],
    model: FakeClassifier | None = None,
    *others: FakeClassifier,
    **changes: Any,
) -> None:
    async def main() -> None:
        service = Service(model or FakeClassifier(), *others, **changes)
        await asyncio.wait_for(test(service), 20)
        if service.remote is not None:
            await service.remote.close()
        assert service.front.in_flight == 0
        assert service.engine.pending == 0

    asyncio.run(main())

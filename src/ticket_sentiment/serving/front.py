"""The ASGI application in front of BentoML's: a request passes here, and BentoML's layers see none of it.

What BentoML wraps around a mounted application (two routers, a task and a timer of 60 s for each request, a
context) costs more than this service's whole own work. Its health endpoints are passed on to it; anything
else that it would serve is not on this port.
"""

import logging
import time
from collections.abc import Callable
from typing import Any

from pydantic_core import to_json

from ticket_sentiment.params import Serve
from ticket_sentiment.serving.errors import ApiError, CallerGone
from ticket_sentiment.serving.keys import ApiKeys
from ticket_sentiment.serving.limiter import RateLimiter
from ticket_sentiment.serving.logs import AccessLog, log_failure
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.request import Headers, Receive, Request, Send
from ticket_sentiment.serving.routes import Route
from ticket_sentiment.serving.tracing import Tracing

logger = logging.getLogger(__name__)

_JSON = (b"content-type", b"application/json")
_CLOSE = (b"connection", b"close")
_UNKNOWN = "other"


def _free(_: int) -> None:
    """What a request pays where nobody has a key."""


class Front:
    """Lets requests in or refuses them, and answers in one form."""

    def __init__(
        self,
        serve: Serve,
        routes: dict[str, Route],
        keys: ApiKeys,
        limiter: RateLimiter | None,
        metrics: Metrics,
        tracing: Tracing | None = None,
    ) -> None:
        self._serve, self._routes, self._keys, self._limiter = serve, routes, keys, limiter
        self._metrics, self._log, self._tracing = metrics, AccessLog(serve.access_log), tracing
        self.in_flight = self.callers_gone = 0
        self.draining = False

    async def __call__(self, scope: dict[str, Any], receive: Receive, send: Send) -> None:
        """Answer an HTTP request."""
        request = Request(scope["headers"], receive, self._serve)
        route = self._routes.get(scope["path"])
        if self._tracing is not None:
            self._tracing.begin(request, scope["method"], scope["path"] if route else None)
        self.in_flight += 1
        headers: Headers = ()
        try:
            body = await self._answer(route, scope["method"], request)
            status = 200
        except ApiError as error:
            self._metrics.refused(error.code)
            if error.code == "overloaded":  # at once, and by no model: it is no quick answer of an arm
                request.arm = request.backend = ""
            status, headers, body = error.status, error.headers, self._refusal(error, request)
        except CallerGone:
            self.callers_gone += 1
            if request.trace is not None:
                request.trace.leave()
            return
        except Exception as error:
            log_failure(logger, "a request failed", error, request_id=request.request_id)
            failure = ApiError("internal")
            self._metrics.refused(failure.code)
            status, body = failure.status, self._refusal(failure, request)
        finally:
            self.in_flight -= 1
        seconds = time.monotonic() - request.started
        name = route.name if route else _UNKNOWN
        self._metrics.request(name, request.arm, request.backend, status, seconds)
        self._log.write(status, request.request_id, request.trace_id, seconds, route=name, arm=request.arm)
        if request.trace is not None:
            request.trace.end(name, status, request.arm, request.backend)
        await self._send(send, status, body, headers, request)

    async def _answer(self, route: Route | None, method: str, request: Request) -> bytes:
        if self.in_flight > self._serve.max_in_flight:
            raise ApiError("overloaded", retry_after=1)
        if route is None:
            raise ApiError("not_found")
        if method != route.method:
            raise ApiError("method_not_allowed", headers=((b"allow", route.method.encode()),))
        pay = _free
        if self._keys and route.closed:
            key = self._keys.index(request.authorization, request.api_key)
            if request.forwarded is None:
                pay = self._till(key)
            elif not self._keys.forwards(key):
                # It suppresses records, picks the model and costs no rate: not for every key.
                raise ApiError("not_forwarder")
        request.set_deadline(self._serve)
        return await route.handle(request, pay)

    def _till(self, key: int) -> Callable[[int], None]:
        """What takes the tickets of one request off its key's rate."""
        limiter = self._limiter
        assert limiter is not None
        paid = 0

        def pay(tickets: int) -> None:
            nonlocal paid
            paid = limiter.take(key, tickets, paid)

        return pay

    def _refusal(self, error: ApiError, request: Request) -> bytes:
        return to_json({"error": error.body(), "request_id": request.request_id})

    async def _send(self, send: Send, status: int, body: bytes, extra: Headers, request: Request) -> None:
        headers = [
            _JSON,
            (b"content-length", b"%d" % len(body)),
            (b"x-request-id", request.request_id.encode()),
            *extra,
        ]
        if request.traceparent:
            headers.append((b"traceparent", request.traceparent))
        if self.draining:
            headers.append(_CLOSE)  # the next request of this connection goes to another replica
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

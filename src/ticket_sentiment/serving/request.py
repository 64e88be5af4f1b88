"""One HTTP request: what its head says, its body within bounds, and whether its caller still waits."""

import asyncio
import random
import re
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator, MutableMapping
from typing import TYPE_CHECKING, Any, TypeVar

from ticket_sentiment.params import Serve
from ticket_sentiment.serving.errors import ApiError, CallerGone

if TYPE_CHECKING:
    from ticket_sentiment.serving.tracing import Trace

Message = MutableMapping[str, Any]
Receive = Callable[[], Coroutine[Any, Any, Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]
T = TypeVar("T")

_REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")
# https://www.w3.org/TR/trace-context/#traceparent-header
_TRACEPARENT = re.compile(rb"00-(?!0{32})([0-9a-f]{32})-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
FORWARDED = b"x-ticket-sentiment-forwarded"
_MILLISECONDS = re.compile(rb"[0-9]{1,9}")
# A caller who leaves sooner is not noticed: most answers come before, and to look costs a task of its own.
UNWATCHED_SECONDS = 0.02


def new_request_id() -> str:
    """32 hex digits. Not of the kernel: to call it is to hand the interpreter to another thread."""
    return f"{random.getrandbits(128):032x}"


class _Begun:
    """A coroutine that was begun outside a task, and goes on in the one that awaits this."""

    def __init__(self, coroutine: Coroutine[Any, Any, Message], waits_for: Any) -> None:
        self._coroutine, self._waits_for = coroutine, waits_for

    def __await__(self) -> Generator[Any, Any, Message]:
        try:
            yield self._waits_for
        except BaseException:
            self._coroutine.close()
            raise
        return (yield from self._coroutine.__await__())


class Request:
    """Made for every request, so: slots, one pass over the headers, and nothing decoded that is not used."""

    __slots__ = (
        "api_key", "arm", "authorization", "backend", "expires", "forwarded", "length", "media_type",
        "outgoing", "patient", "receive", "request_id", "started", "trace", "trace_id", "traceparent",
        "wanted_ms",
    )  # fmt: skip

    def __init__(self, headers: list[tuple[bytes, bytes]], receive: Receive, serve: Serve) -> None:
        self.started = time.monotonic()
        self.receive = receive
        self.media_type = self.length = b""
        self.arm = self.backend = ""  # of the model that answers it alone, once that is known
        self.authorization: bytes | None = None
        self.api_key: bytes | None = None
        self.wanted_ms: bytes | None = None
        self.request_id = self.trace_id = ""
        self.forwarded: str | None = None  # the model version that another service of this product asks for
        self.traceparent: bytes | None = None
        self.trace: Trace | None = None  # where it is sampled
        self.outgoing: str | None = None  # `traceparent` for another service, of a trace that is not sampled
        for name, value in headers:
            if name == b"content-type":
                self.media_type = value
            elif name == b"content-length":
                self.length = value
            elif name == b"authorization":
                self.authorization = value
            elif name == b"x-api-key":
                self.api_key = value
            elif name == b"x-request-timeout-ms":
                self.wanted_ms = value
            elif name == FORWARDED:
                self.forwarded = value.decode("latin-1")
            elif name == b"x-request-id" and _REQUEST_ID.fullmatch(value):
                self.request_id = value.decode()
            elif name == b"traceparent" and (match := _TRACEPARENT.fullmatch(value)):
                self.traceparent, self.trace_id = value, match[1].decode()
        self.request_id = self.request_id or new_request_id()
        self.patient = self.wanted_ms is not None
        self.expires = self.started + serve.timeout_ms / 1000

    def set_deadline(self, serve: Serve) -> None:
        """Take over what the caller said about its patience.

        Raises:
            ApiError: that is no number of milliseconds.
        """
        if self.wanted_ms is None:
            return
        if not _MILLISECONDS.fullmatch(self.wanted_ms) or not (wanted := int(self.wanted_ms)):
            raise ApiError("invalid_timeout")
        self.expires = self.started + min(wanted, serve.max_timeout_ms) / 1000

    async def body(self, limit: int) -> bytes:
        """The body, never holding more than one network chunk above `limit` bytes in memory.

        Raises:
            ApiError: it is not declared as JSON, longer than `limit`, or slower than the deadline.
            CallerGone: the connection ended before it did.
        """
        media_type = self.media_type
        if media_type != b"application/json":  # take apart what is not the common case
            media_type = media_type.partition(b";")[0].strip().lower()
        if media_type != b"application/json":
            raise ApiError("unsupported_media_type")
        if self.length.isdigit() and (len(self.length) > 19 or int(self.length) > limit):
            raise ApiError("body_too_large", f"the body is larger than {limit} bytes")
        receiving = self.receive()
        try:
            waits_for = receiving.send(None)
        except StopIteration as received:  # it has come with the head, as most do: that needs no timer
            message = received.value
            if message["type"] == "http.request" and not message.get("more_body"):
                body = message.get("body", b"")
            else:
                body = await self._in_time(self._rest(message, limit))
        else:
            message = await self._in_time(_Begun(receiving, waits_for))
            body = await self._in_time(self._rest(message, limit))
        if len(body) > limit:
            raise ApiError("body_too_large", f"the body is larger than {limit} bytes")
        return body

    async def _in_time(self, arriving: Awaitable[T]) -> T:
        try:
            async with asyncio.timeout(self.expires - time.monotonic()):
                return await arriving
        except TimeoutError:
            raise ApiError("slow_body") from None

    async def _rest(self, message: Message, limit: int) -> bytes:
        body = bytearray()
        while True:
            if message["type"] == "http.disconnect":
                raise CallerGone
            body += message.get("body", b"")
            if len(body) > limit or not message.get("more_body"):
                return bytes(body)
            message = await self.receive()

    async def while_waiting(self, work: Awaitable[T], grace: float = 0.0) -> T:
        """The result of `work`, unless the caller goes or the deadline (and `grace` seconds) passes before.

        Raises:
            ApiError: the deadline passed.
            CallerGone: the caller closed its connection; `work` was cancelled.
        """
        wait = _Wait(self, self.expires + grace)
        try:
            return await work
        except asyncio.CancelledError:
            if (end := wait.ended()) is None:  # another's doing
                raise
            raise end from None
        finally:
            wait.stop()


class _Wait:
    """Cancels the task that makes it when its deadline has passed or its caller has gone.

    One timer for both, as most waits are over before it: first it starts to look for the caller, then it is
    the deadline's.
    """

    __slots__ = ("_deadline", "_end", "_loop", "_request", "_task", "_timer", "_watcher")

    def __init__(self, request: Request, deadline: float) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None
        self._task, self._request, self._deadline = task, request, deadline
        self._end: ApiError | CallerGone | None = None
        self._watcher: asyncio.Task[None] | None = None
        left = deadline - time.monotonic()
        if left <= UNWATCHED_SECONDS:
            self._timer = self._loop.call_later(max(0.0, left), self._expire)
        else:
            self._timer = self._loop.call_later(UNWATCHED_SECONDS, self._look)

    def _look(self) -> None:
        self._watcher = self._loop.create_task(self._watch())
        self._timer = self._loop.call_later(max(0.0, self._deadline - time.monotonic()), self._expire)

    async def _watch(self) -> None:
        while (await self._request.receive())["type"] != "http.disconnect":
            pass
        self._cancel(CallerGone())

    def _expire(self) -> None:
        self._cancel(ApiError("deadline_exceeded"))

    def _cancel(self, end: ApiError | CallerGone) -> None:
        if self._end is None:
            self._end = end
            self._task.cancel()

    def ended(self) -> ApiError | CallerGone | None:
        """Why it cancelled the task; None where it did not, or another did too."""
        return self._end if self._end is not None and self._task.uncancel() == 0 else None

    def stop(self) -> None:
        """Look no more."""
        self._timer.cancel()
        if self._watcher is not None:
            self._watcher.cancel()

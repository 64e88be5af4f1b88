"""HTTP/1.1 on a connection: uvicorn's own, with the bounds that it lacks.

Its parser takes a head of any size, in time that grows with the square of one header: 50 MB of it cost a
worker some 4 s (a busy machine). A connection that sends nothing, or half a head, is kept for ever. Requests
that come before the answers to those in front are all taken in: one connection cost a worker 100 MB a second.
Connections on which nothing is asked are as many as clients like, each with its last head.
What an application reads, a body, is bounded by request.py.

Its parser also loses the body of a request that would rather be in another protocol, as Java's client and
`curl --http2` ask in every one: it is read again without that header.
"""

import asyncio
import sys
from typing import Any, ClassVar

from pydantic_core import to_json
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle

from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.request import new_request_id

MAX_HEAD_BYTES = 65_536  # of a head or of trailers, beside what one read from the socket brings
MAX_WAITING = 500  # requests of a connection behind the one that is being answered
MAX_IDLE = 500  # connections of a worker with nothing asked on them; beyond, the longest idle one is closed
REST_SECONDS = 10.0  # for a head, the rest of a refused body, what comes after it, and to read answers


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client.

    Attributes:
        keep_alive_seconds: that one is kept with nothing asked on it, `serve.keep_alive_seconds`. The service
            sets it: BentoML hands uvicorn's option on from its command line alone.
    """

    keep_alive_seconds = 5.0
    _idle: ClassVar[dict["BoundedProtocol", None]] = {}  # of the process, the longest idle first
    _unparsed = 0  # bytes since the last complete head or piece of a body
    _progress = _body_missing = False
    _timer: asyncio.TimerHandle | None = None
    _unread: asyncio.TimerHandle | None = None
    _answered: RequestResponseCycle | None = None  # the one that the application has
    _head = _again = b""  # of a request that asks for another protocol, without that; with what follows it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if isinstance(self.app, ProxyHeadersMiddleware):  # nothing here asks for the client's address
            self.app = self.app.app
        self.timeout_keep_alive = self.keep_alive_seconds

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A head is awaited."""
        super().connection_made(transport)
        self._start_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing is awaited any more. uvicorn says so to the request that came last, and to no other."""
        super().connection_lost(exc)
        self._unset_keepalive_if_required()  # after a reset uvicorn would keep all of it until the timer ends
        if self._answered is not None and not self._answered.response_complete:
            self._answered.disconnected = True
            self._answered.message_event.set()
        self._stop_timer()
        self._stop_unread()

    def pause_writing(self) -> None:
        """Answers pile up: who reads none would keep a connection, and hold up a stop, for ever."""
        super().pause_writing()
        self._unread = self.loop.call_later(REST_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """It has read."""
        super().resume_writing()
        self._stop_unread()

    def data_received(self, data: bytes) -> None:
        """Parse, and refuse a head that does not end."""
        self._progress = False
        received = data
        while received:
            self._received, self._again = received, b""
            super().data_received(received)
            received = self._again
        if self._progress:
            self._unparsed = 0
            return
        self._unparsed += len(data)
        if self._unparsed > MAX_HEAD_BYTES and not self.transport.is_closing():
            self._refuse(ApiError("head_too_large"))
        elif self._timer is None and (self.cycle is None or self.cycle.response_complete):
            self._start_timer()

    def on_headers_complete(self) -> None:
        """From here on the application has its own deadline.

        Raises:
            ValueError: too many requests wait already. To the parser that is no proper HTTP.
        """
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._head = self._without_upgrade()
        if self._head:
            return
        if len(self.pipeline) >= MAX_WAITING:
            raise ValueError("too many requests wait")
        self._progress = self._body_missing = True
        self._stop_timer()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A piece of a body."""
        self._progress = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is here."""
        if self._head:
            return
        self._progress, self._body_missing = True, False
        self._stop_timer()
        super().on_message_complete()
        if self.cycle.response_complete:  # it had been refused, and uvicorn's timer ended with its last piece
            self._start_timer()

    def on_response_complete(self) -> None:
        """A client whose body nobody reads any more may send the rest of it, but not for ever."""
        super().on_response_complete()
        if self._body_missing:
            self._start_timer()
        if self.timeout_keep_alive_task is not None:
            self._idle[self] = None
            if len(self._idle) > MAX_IDLE:
                oldest = next(iter(self._idle))
                del self._idle[oldest]
                oldest.transport.close()

    def _unset_keepalive_if_required(self) -> None:
        """Something is asked on it again, or it is closed."""
        super()._unset_keepalive_if_required()
        self._idle.pop(self, None)

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._answered = cycle
        super()._start_asgi_task(cycle, app)

    def _without_upgrade(self) -> bytes:
        """The head; nothing where it has no such header, as of CONNECT."""
        kept = [b"%s: %s\r\n" % header for header in self.headers if header[0] != b"upgrade"]
        if len(kept) == len(self.headers):
            return b""
        version = self.parser.get_http_version().encode()
        return b"%s %s HTTP/%s\r\n%s\r\n" % (self.parser.get_method(), self.url, version, b"".join(kept))

    def _unsupported_upgrade_warning(self) -> None:
        """Called where the parser has stopped behind a head that asks for another protocol."""
        stopped = sys.exception()
        assert stopped is not None
        if self._head:
            self._again = self._head + self._received[stopped.args[0] :]
        self._head = b""

    def send_400_response(self, msg: str) -> None:
        """What is no HTTP is refused in the form of every other refusal."""
        self._refuse(ApiError("invalid_http"))

    def _refuse(self, error: ApiError) -> None:
        name = new_request_id()
        body = to_json({"error": error.body(), "request_id": name})
        head = (
            b"content-type: application/json\r\ncontent-length: %d\r\nx-request-id: %s\r\n"
            b"connection: close\r\n\r\n"
        )
        self.transport.write(STATUS_LINE[error.status] + head % (len(body), name.encode()) + body)
        self.transport.close()

    def _start_timer(self) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(REST_SECONDS, self._expire)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _stop_unread(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _expire(self) -> None:
        self._timer = None
        if not self.transport.is_closing():
            self.transport.close()

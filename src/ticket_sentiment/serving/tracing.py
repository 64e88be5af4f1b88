"""Traces: a span for each sampled request and its children, by the exporter that BentoML is configured with.

Requests do not pass through BentoML's own instruments (serving/front.py), so the spans are made here, with
its tracer provider: exporter, sampling and resource are those of `tracing` in BentoML's configuration. Where
no exporter is named there, nothing of this runs. Attributes hold no text, no name of a ticket or a customer
and no key; of an exception only its type, as its message could quote a ticket.
"""

import contextlib
import threading
from collections.abc import Iterator

from bentoml._internal.configuration.containers import BentoMLContainer
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.trace import Span, SpanKind, StatusCode, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from ticket_sentiment.serving.request import Request

CLOSE_SECONDS = 3.0
PREFIX = "ticket_sentiment"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH"})
_PROPAGATOR = TraceContextTextMapPropagator()


class Trace:
    """The spans of one request."""

    __slots__ = ("_context", "_span", "_tracer")

    def __init__(self, tracer: Tracer, span: Span) -> None:
        self._tracer, self._span = tracer, span
        self._context = set_span_in_context(span)

    @contextlib.contextmanager
    def child(self, name: str, kind: SpanKind = SpanKind.INTERNAL) -> Iterator[Span]:
        """A span around a part of the request's work; it ends with the block."""
        span = self._tracer.start_span(name, self._context, kind)
        try:
            yield span
        except BaseException as error:  # CancelledError, too: its caller has gone
            _fail(span, type(error).__name__)
            raise
        finally:
            span.end()

    def end(self, name: str, status: int, arm: str, backend: str) -> None:
        """The request was answered.

        Args:
            name: of the route.
            status: of HTTP.
            arm: that answered alone; empty where there was none.
            backend: of its model.
        """
        self._span.set_attribute("http.response.status_code", status)
        self._span.set_attribute(f"{PREFIX}.route", name)
        if arm:
            self._span.set_attribute(f"{PREFIX}.arm", arm)
            self._span.set_attribute(f"{PREFIX}.backend", backend)
        if status >= 500:
            _fail(self._span, str(status))
        self._span.end()

    def leave(self) -> None:
        """The caller has gone: nobody was answered."""
        _fail(self._span, "CallerGone")
        self._span.end()


def _fail(span: Span, what: str) -> None:
    span.set_attribute("error.type", what)
    span.set_status(StatusCode.ERROR)


def traceparent(span: Span) -> str:
    """The W3C header that makes another service's spans children of this one."""
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span))
    return carrier["traceparent"]


class Tracing:
    """Begins the trace of each request."""

    def __init__(self, provider: TracerProvider) -> None:
        self._provider = provider
        self._tracer = provider.get_tracer(f"{PREFIX}.serving")

    def begin(self, request: Request, method: str, path: str | None) -> None:
        """Give a request its trace, below its caller's where that sent a valid `traceparent`.

        Args:
            request: gets `trace` where it is sampled; else `outgoing`, so that no other service decides anew.
            method: as sent; an odd one is not repeated.
            path: of the route; None where there is none.
        """
        context = None
        if request.traceparent:
            context = _PROPAGATOR.extract({"traceparent": request.traceparent.decode()})
        known = method if method in _METHODS else "_OTHER"
        span = self._tracer.start_span(f"{known} {path}" if path else known, context, SpanKind.SERVER)
        found = span.get_span_context()
        if not found.trace_flags.sampled:  # BentoML's sampler records such spans, too, for nobody
            request.outgoing = traceparent(span)
            return
        span.set_attribute("http.request.method", known)
        span.set_attribute(f"{PREFIX}.request_id", request.request_id)
        if path:
            span.set_attribute("http.route", path)
        request.trace, request.trace_id = Trace(self._tracer, span), f"{found.trace_id:032x}"

    def close(self) -> None:
        """Send what is left, for a moment: a collector that is away would hold up the stop for 20 s."""
        thread = threading.Thread(target=self._provider.shutdown, name="traces", daemon=True)
        thread.start()
        thread.join(CLOSE_SECONDS)


def configured() -> Tracing | None:
    """Traces as BentoML is configured; None where it names no exporter."""
    if not BentoMLContainer.tracing.exporter_type.get():
        return None
    return Tracing(BentoMLContainer.tracer_provider.get())

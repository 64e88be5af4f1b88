"""Traces: what spans a request has, whose children they are, and what is not in them."""

import asyncio
import json
import re
import threading
from collections.abc import Awaitable, Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
import yaml
from bentoml._internal.utils.telemetry import ParentBasedTraceIdRatio
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from tests.serving.test_lifecycle import until
from tests.support.front import Service
from tests.support.hybrid import settings
from tests.support.remote import listening
from tests.support.serving import SERVICE, FakeClassifier, Server, write_params
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.events.types import Feedback, FeedbackResult
from ticket_sentiment.serving import tracing
from ticket_sentiment.serving.tracing import Tracing, configured

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
CANARY = "zanzibar"
TICKET = {"text": f"{CANARY} text", "ticket_id": f"{CANARY}-t", "customer_id": f"{CANARY}-c"}


class Traced:
    """A tracer provider, as BentoML's, that keeps its spans."""

    def __init__(self, sample_rate: float = 1.0) -> None:
        self._exporter = InMemorySpanExporter()
        provider = TracerProvider(sampler=ParentBasedTraceIdRatio(sample_rate))
        provider.add_span_processor(SimpleSpanProcessor(self._exporter))
        self.tracing = Tracing(provider)

    @property
    def spans(self) -> Sequence[ReadableSpan]:
        return self._exporter.get_finished_spans()

    def one(self, name: str) -> ReadableSpan:
        (span,) = [span for span in self.spans if span.name == name]
        return span


def hex_of(span: ReadableSpan) -> tuple[str, str]:
    return f"{span.context.trace_id:032x}", f"{span.context.span_id:016x}"


def with_service(
    traced: Traced,
    test: Callable[[Service], Awaitable[None]],
    model: FakeClassifier | None = None,
    **changes: Any,
) -> None:
    async def main() -> None:
        service = Service(model or FakeClassifier(), tracing=traced.tracing, **changes)
        await asyncio.wait_for(test(service), 20)

    asyncio.run(main())


def test_a_request_has_a_span_below_its_callers_and_children_of_its_work() -> None:
    traced = Traced(0.0)  # a caller whose trace is sampled decides

    async def test(service: Service) -> None:
        header = f"00-{TRACE}-{PARENT}-01"
        assert (await service.ask(TICKET, traceparent=header, **{"x-request-id": "r-1"})).status == 200

    with_service(traced, test, cache=PredictionCache(10, 60))
    server, cache, model = (traced.one(name) for name in ("POST /v1/classify", "cache", "model"))
    assert hex_of(server)[0] == TRACE and f"{server.parent.span_id:016x}" == PARENT
    assert (server.kind, server.status.status_code) == (SpanKind.SERVER, StatusCode.UNSET)
    assert dict(server.attributes) == {
        "http.request.method": "POST",
        "http.route": "/v1/classify",
        "http.response.status_code": 200,
        "ticket_sentiment.request_id": "r-1",
        "ticket_sentiment.route": "classify",
        "ticket_sentiment.arm": "champion",
        "ticket_sentiment.backend": "fake",
    }
    for child in (cache, model):
        assert child.parent.span_id == server.context.span_id
        assert server.start_time <= child.start_time <= child.end_time <= server.end_time
    assert cache.attributes["ticket_sentiment.cached"] is False


def test_nothing_of_a_ticket_is_in_a_span() -> None:
    traced = Traced()

    async def test(service: Service) -> None:
        await service.ask(TICKET)
        await service.ask({"tickets": [TICKET, TICKET | {"text": f"poison {CANARY}"}]}, "/v1/classify/batch")
        await service.ask(TICKET | {"text": f"poison {CANARY}"})
        await service.ask(TICKET, f"/{CANARY}")
        await service.ask({"ticket_id": CANARY, "label": "neutral", "event_id": CANARY}, "/v1/feedback")

    with_service(traced, test, cache=PredictionCache(10, 60))
    assert len(traced.spans) > 10
    assert CANARY not in "".join(span.to_json() for span in traced.spans)


def test_failures_are_marked_with_their_type() -> None:
    traced = Traced()

    async def test(service: Service) -> None:
        await service.ask({"text": "poison"})
        await service.ask({"text": 1})
        await service.ask({}, "/nothing")

    with_service(traced, test)
    failed, refused, unknown = [span for span in traced.spans if span.kind == SpanKind.SERVER]
    assert (failed.status.status_code, failed.attributes["error.type"]) == (StatusCode.ERROR, "500")
    assert traced.one("model").attributes["error.type"] == "ApiError"
    assert (refused.status.status_code, refused.attributes["http.response.status_code"]) == (
        StatusCode.UNSET, 422,
    )  # fmt: skip
    assert (unknown.name, "http.route" in unknown.attributes) == ("POST", False)


def test_a_caller_who_leaves_is_the_end_of_the_trace() -> None:
    traced = Traced()

    async def test(service: Service) -> None:
        await asyncio.gather(
            *(service.ask({"text": f"text {n}"}) for n in range(4)),
            service.ask({"text": "gone"}, leaves_after=0.0),
        )
        assert service.front.callers_gone == 1

    with_service(traced, test, model=FakeClassifier(seconds=0.02))
    gone = [span.kind for span in traced.spans if span.attributes.get("error.type") == "CallerGone"]
    assert gone == [SpanKind.SERVER]
    models = [span.attributes.get("error.type") for span in traced.spans if span.name == "model"]
    assert sorted(models, key=str) == ["CancelledError", *[None] * 4]


def test_what_is_not_sampled_costs_no_spans_and_no_other_service_decides_anew() -> None:
    here, there = Traced(0.0), Traced(1.0)

    async def test() -> None:
        other = Service(FakeClassifier("e" * 64), tracing=there.tracing)
        async with listening(other) as port:
            url = f"http://127.0.0.1:{port}"
            service = Service(FakeClassifier(), tracing=here.tracing, remote_url=url, remote=settings())
            reply = await service.ask(
                {"text": "a", "priority": "urgent"}, **{"x-request-timeout-ms": "20000"}
            )
            assert json.loads(reply.body)["route"] == "remote"
            await service.remote.close()

    asyncio.run(test())
    assert here.spans == there.spans == ()


def test_the_spans_of_the_other_service_are_children_of_the_call() -> None:
    here, there = Traced(), Traced(0.0)

    async def test() -> None:
        other = Service(FakeClassifier("e" * 64), tracing=there.tracing)
        async with listening(other) as port:
            url = f"http://127.0.0.1:{port}"
            service = Service(FakeClassifier(), tracing=here.tracing, remote_url=url, remote=settings())
            await service.ask({"text": "a", "priority": "urgent"}, **{"x-request-timeout-ms": "20000"})
            await service.remote.close()

    asyncio.run(test())
    server, call, answered = here.one("POST /v1/classify"), here.one("remote"), there.one("POST /v1/classify")
    assert call.parent.span_id == server.context.span_id and call.kind == SpanKind.CLIENT
    assert call.attributes["ticket_sentiment.outcome"] == "answered"
    assert (answered.context.trace_id, answered.parent.span_id) == (
        server.context.trace_id, call.context.span_id,
    )  # fmt: skip
    assert there.one("model").context.trace_id == server.context.trace_id


def test_feedback_has_a_span_of_the_event_database() -> None:
    traced = Traced()

    async def test(service: Service) -> None:
        def stored(event: Feedback) -> FeedbackResult:
            return FeedbackResult(True, event.label)

        service.store.feedback = stored
        await service.ask({"ticket_id": "1", "label": "neutral", "event_id": "1"}, "/v1/feedback")

    with_service(traced, test)
    assert traced.one("feedback").parent.span_id == traced.one("POST /v1/feedback").context.span_id


def test_a_collector_that_is_away_does_not_hold_up_the_stop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tracing, "CLOSE_SECONDS", 0.05)
    go_on = threading.Event()

    class Away(SpanProcessor):
        def shutdown(self) -> None:
            go_on.wait(30)

    provider = TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(Away())
    Tracing(provider).close()
    assert [thread.name for thread in threading.enumerate() if thread.name == "traces"] == ["traces"]
    go_on.set()


def test_without_an_exporter_in_bentomls_configuration_there_are_no_traces() -> None:
    assert configured() is None


class Collector(BaseHTTPRequestHandler):
    """An OTLP receiver."""

    received: ClassVar[list[tuple[str, bytes]]] = []

    def do_POST(self) -> None:
        Collector.received.append((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def collector() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Collector)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1/traces"
    server.shutdown()


def test_a_real_service_sends_its_spans_where_bentoml_is_told_to(
    folder: Path, tmp_path: Path, collector: str
) -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    write_params(tmp_path, {"access_log": "all"})
    wanted = {
        "exporter_type": "otlp", "sample_rate": 1.0, "otlp": {"protocol": "http", "endpoint": collector},
    }  # fmt: skip
    configuration = {"services": {"ticket_sentiment": {"tracing": wanted}}}
    (tmp_path / "bentoml.yaml").write_text(yaml.safe_dump(configuration))
    environment = {
        "TICKET_SENTIMENT_BUNDLE": str(folder / "bundle"),
        "BENTOML_CONFIG": str(tmp_path / "bentoml.yaml"),
    }
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server:
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/v1/classify", json=TICKET, timeout=30)
        assert answer.status_code == 200
    until(lambda: bool(Collector.received))  # sent at the latest when it stops
    messages = [ExportTraceServiceRequest.FromString(body) for _, body in Collector.received]
    resources = [found for message in messages for found in message.resource_spans]
    names = {
        attribute.value.string_value
        for found in resources
        for attribute in found.resource.attributes
        if attribute.key == "service.name"
    }
    assert names == {"ticket_sentiment"}
    spans = [span for found in resources for scope in found.scope_spans for span in scope.spans]
    assert {span.name for span in spans} == {"POST /v1/classify", "cache", "model"}
    assert len({span.trace_id for span in spans}) == 1
    assert CANARY not in str(messages)
    (logged,) = re.findall(r'"trace_id":\s*"([0-9a-f]{32})"', (tmp_path / "serve.log").read_text())
    assert bytes.fromhex(logged) == spans[0].trace_id

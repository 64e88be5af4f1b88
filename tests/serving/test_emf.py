"""Lines for CloudWatch: their form, what counters have grown by, and the process beside a service."""

import json
import math
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import islice
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import CollectorRegistry, Gauge

from tests.support.params import params_of_tests
from tests.support.serving import REPOSITORY, Server, free_port
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.registry.build import Release, stage_context
from ticket_sentiment.serving.emf import (
    Page,
    added,
    every,
    lines,
    of_arm,
    of_service,
    page_url,
    quantiles,
    read,
    total,
)
from ticket_sentiment.serving.metrics import MetricsServer

PARAMS = params_of_tests()
PAGE = Path(__file__).with_name("metrics-page.txt").read_text()  # of a service that two texts were sent to


def test_a_page_is_read_with_its_labels():
    page = read(PAGE)
    assert total(page, "requests_total", route=("classify",), code=("200",)) == 2
    assert total(page, "requests_total", route=("classify",), code=("404",)) == 0
    assert total(page, "workers") == 1
    assert total(page, "nothing_total") == 0


def test_counters_give_what_was_added_also_after_a_restart():
    before: Page = {"a_total": {frozenset(): 5.0}}
    assert added(before, {"a_total": {frozenset(): 7.0}}) == {"a_total": {frozenset(): 2.0}}
    assert added(before, {"a_total": {frozenset(): 3.0}}) == {"a_total": {frozenset(): 3.0}}
    assert added({}, {"a_total": {frozenset(): 3.0}}) == {"a_total": {frozenset(): 3.0}}


def bucket(le: str, value: float, arm: str = "champion") -> tuple[frozenset[tuple[str, str]], float]:
    return frozenset({("le", le), ("route", "classify"), ("arm", arm)}), value


def test_quantiles_are_the_edges_of_buckets_and_never_infinite():
    page: Page = {
        "request_seconds_bucket": dict([bucket("0.1", 90.0), bucket("0.5", 98.0), bucket("+Inf", 100.0)])
    }
    assert quantiles(page, (0.5, 0.95, 0.99)) == [0.1, 0.5, 0.5]
    assert quantiles({}, (0.5,)) == []


def test_objectives_can_be_judged_by_the_lines():
    page = read(PAGE)
    values = of_service(page, page, PARAMS.serve.objective_ms)
    assert values["Requests"] == (2, "Count") and values["Failed"] == (0, "Count")
    assert values["Singles"] == (2, "Count") and 0 <= values["Late"][0] <= 2
    assert values["LatencyP50"][1] == "Milliseconds" and values["LatencyP50"][0] > 0
    assert of_arm(page, "champion")["ArmRequests"] == (2, "Count")


def test_a_client_that_is_refused_in_a_loop_hides_nothing():
    """Neither that all others fail, nor that all others wait."""

    def labels(**held: str) -> frozenset[tuple[str, str]]:
        return frozenset({"route": "classify", "arm": "champion", **held}.items())

    page: Page = {
        "requests_total": {
            labels(code="200"): 4.0, labels(code="503"): 4.0, labels(code="401", arm=""): 1000.0
        },
        "request_seconds_count": {labels(): 8.0, labels(arm=""): 1000.0},
        "request_seconds_bucket": dict(
            [bucket("0.1", 0.0), bucket("0.5", 8.0), bucket("+Inf", 8.0), bucket("0.1", 1000.0, "")]
        ),
    }  # fmt: skip
    values = of_service(page, page, 100.0)
    assert (values["Requests"][0], values["Failed"][0]) == (8, 4)
    assert (values["Singles"][0], values["Late"][0], values["LatencyP50"][0]) == (8, 8, 500)


def test_a_line_is_a_document_of_the_format():
    page = read(PAGE)
    made = [
        json.loads(text)
        for text in lines(
            PARAMS.objectives.cloudwatch, PARAMS.serve.objective_ms, iter([None, page, page, None])
        )
    ]
    away, first, arm, second, gone = made
    assert (away["Up"], first["Up"], second["Up"], gone["Up"]) == (0, 1, 1, 0)
    assert set(first) == {"_aws", "Service", "Up"}, "counters grow from the first page on"
    assert second["Requests"] == 0 and arm["Arm"] == "champion"
    for document in made:
        (directive,) = document["_aws"]["CloudWatchMetrics"]
        assert set(document["_aws"]) == {"Timestamp", "CloudWatchMetrics"}
        assert set(directive) == {"Namespace", "Dimensions", "Metrics"}
        assert len(directive["Metrics"]) <= 100
        (dimensions,) = directive["Dimensions"]
        named = {metric["Name"] for metric in directive["Metrics"]}
        assert set(document) == {"_aws", *dimensions, *named}
        assert all(math.isfinite(document[name]) for name in named)
        assert all(isinstance(document[name], str) for name in dimensions)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "127.0.0.1", "::1"])
def test_a_page_is_asked_for_where_it_is_bound_to(host):
    metrics = PARAMS.serve.metrics.model_copy(update={"host": host, "port": free_port()})
    registry = CollectorRegistry()
    Gauge("ticket_sentiment_workers", "How many", registry=registry).set(1)
    server = MetricsServer(registry, metrics.host, metrics.port)
    try:
        pages = every(0.05, page_url(metrics), lambda seconds: time.sleep(seconds) is not None)
        page = next(page for page in islice(pages, 200) if page is not None)
    finally:
        server.close()
    assert total(page, "workers") == 1


def test_a_page_that_is_cut_short_is_a_service_that_is_away():
    """As of one that is killed while it answers."""

    class Cut(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"# HELP")

        def log_message(self, *_: Any) -> None: ...

    with HTTPServer(("127.0.0.1", 0), Cut) as server:
        threading.Thread(target=server.handle_request, daemon=True).start()
        pages = every(60, f"http://127.0.0.1:{server.server_port}/metrics", lambda _: True)
        (told,) = [json.loads(text) for text in lines(PARAMS.objectives.cloudwatch, 100, pages)]
    assert told["Up"] == 0


@pytest.fixture
def context(tmp_path: Path) -> Path:
    """What lies in an image, with the metrics on another port, asked for often."""
    port = free_port()
    metrics = PARAMS.serve.metrics.model_copy(update={"port": port})
    cloudwatch = PARAMS.objectives.cloudwatch.model_copy(update={"interval_s": 1.0})
    changed = PARAMS.model_copy(
        update={
            "serve": PARAMS.serve.model_copy(update={"metrics": metrics, "workers": 1}),
            "objectives": PARAMS.objectives.model_copy(update={"cloudwatch": cloudwatch}),
        }
    )
    bundle = make_tiny_bundle(tmp_path / "bundle")
    stage_context(tmp_path / "context", changed, Release("1", bundle), REPOSITORY)
    return tmp_path / "context"


def test_beside_a_service_it_tells_what_was_asked_and_stops_when_told(context: Path):
    environment = {**os.environ, "PYTHONPATH": str(context)}
    target = "ticket_sentiment.serving.service:TicketSentiment"
    with Server(target, context.parent / "log", context, PYTHONPATH=str(context)) as server:
        server.wait_until_ready()
        process = subprocess.Popen(
            [sys.executable, "-m", "ticket_sentiment.serving.emf"],
            stdout=subprocess.PIPE, text=True, cwd=context, env=environment,
        )  # fmt: skip
        assert process.stdout is not None
        try:
            first = json.loads(process.stdout.readline())
            assert first["Up"] == 1
            for number in range(3):
                assert (
                    httpx.post(f"{server.url}/v1/classify", json={"text": f"great {number}"}).status_code
                    == 200
                )
            told: dict[str, Any] = {}
            while not told.get("Requests"):
                told = json.loads(process.stdout.readline())
            assert told["Requests"] <= 3 and told["Workers"] == 1
            process.send_signal(signal.SIGTERM)
            assert process.wait(20) == 0
        finally:
            process.kill()
            process.wait()

"""Start, stop and death of real server processes, and the metrics of several workers."""

import contextlib
import hashlib
import os
import re
import signal
import socket
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest

from tests.support.servers import PostgresServer
from tests.support.serving import SERVICE, Server, write_params
from ticket_sentiment.serving.settings import EXIT_SECONDS

HEAD = (
    b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n\r\n"
)


def until(true: Callable[[], bool], seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx.TransportError):  # of a worker that is killed meanwhile
            if true():
                return
        time.sleep(0.1)
    raise AssertionError("it did not come true in time")


def metric(port: int, name: str) -> float:
    """A metric's value over all its labels."""
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    lines = re.findall(rf"^ticket_sentiment_{name}(?:\{{.*\}})? (\S+)$", page, re.MULTILINE)
    return sum(map(float, lines))


def workers(server: Server) -> list[psutil.Process]:
    found = []
    for child in psutil.Process(server.process.pid).children(recursive=True):
        with contextlib.suppress(psutil.Error):  # it has just ended
            if "_bentoml_impl.worker.service" in " ".join(child.cmdline()):
                found.append(child)
    return found


@pytest.fixture
def started(folder: Path, tmp_path: Path) -> Iterator[Callable[..., tuple[Server, int]]]:
    servers = []

    def start(count: int = 1, environment: dict[str, str] | None = None, **serve: object):
        port = write_params(tmp_path, serve)
        server = Server(
            SERVICE,
            tmp_path / "serve.log",
            tmp_path,
            workers=count,
            TICKET_SENTIMENT_BUNDLE=str(folder / "bundle"),
            **(environment or {}),
        )
        servers.append(server)
        server.wait_until_ready()
        return server, port

    yield start
    for server in servers:
        server.__exit__()


def ask(server: Server, text: str = "great") -> httpx.Response:
    """By a connection of its own, so that the kernel chooses a worker."""
    return httpx.post(f"{server.url}/v1/classify", json={"text": text}, timeout=10)


def test_an_idle_connection_is_kept_as_long_as_params_say(started):
    """A gateway keeps its own for up to an hour, and answers 502 where the service closed one before."""

    def closed_after(keep_alive_seconds: float, patience: float) -> float:
        server, _ = started(keep_alive_seconds=keep_alive_seconds)
        host, port = server.url.removeprefix("http://").split(":")
        with socket.create_connection((host, int(port)), timeout=patience) as connection:
            connection.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in connection.recv(65_536)
            start = time.monotonic()
            with contextlib.suppress(TimeoutError):
                while connection.recv(65_536):
                    pass
            return time.monotonic() - start

    assert closed_after(1.0, patience=10) == pytest.approx(1.0, abs=0.9)
    assert closed_after(3700.0, patience=7) >= 7  # uvicorn's own would be 5


def test_two_workers_have_one_page_of_metrics_and_a_killed_one_is_replaced(started) -> None:
    server, port = started(2, environment={"BENTOML_CONTAINERIZED": "true"})
    until(lambda: metric(port, "workers") == 2)
    before = {worker.pid for worker in workers(server)}
    assert len(before) == 2
    for n in range(40):
        assert ask(server, f"great {n}").status_code == 200
    time.sleep(0.6)  # the gauges and totals are sampled
    for _ in range(6):  # whichever worker answers
        assert metric(port, "requests_total") == 40
        assert metric(port, "predicted_total") == metric(port, "cache_misses_total") == 40
        assert metric(port, "model_runs_total") == 40
        assert metric(port, "request_seconds_count") == 40
    page = httpx.get(f"http://127.0.0.1:{port}/metrics").text
    assert 'le="0.1"' in page  # the objective is an edge
    assert re.search(r'ticket_sentiment_build_info\{.*digest="[0-9a-f]{64}".*\} 1\.0', page)

    os.kill(before.pop(), signal.SIGKILL)
    until(lambda: len({worker.pid for worker in workers(server)} - before) == 1)
    until(lambda: metric(port, "workers") == 2)
    for n in range(20):
        assert ask(server, f"fine {n}").status_code == 200
    until(lambda: metric(port, "requests_total") == 60)  # what the dead one counted is kept


def test_a_worker_that_is_started_again_knows_the_keys_of_its_neighbours(started, tmp_path: Path) -> None:
    key = "0123456789abcdef-website"
    path = tmp_path / "keys"
    path.write_text(f"website {hashlib.sha256(key.encode()).hexdigest()}\n")
    server, port = started(2, api_keys={"file": "keys"})
    until(lambda: metric(port, "workers") == 2)
    path.write_text("not a key\n")
    before = {worker.pid for worker in workers(server)}
    os.kill(before.pop(), signal.SIGKILL)
    until(lambda: len({worker.pid for worker in workers(server)} - before) == 1)
    until(lambda: metric(port, "workers") == 2)
    for n in range(20):  # by connections of their own, to both
        answer = httpx.post(
            f"{server.url}/v1/classify", json={"text": f"great {n}"}, headers={"X-API-Key": key}, timeout=10
        )
        assert answer.status_code == 200
    assert "error:" not in server.log.read_text()


def test_sigterm_ends_readiness_then_listening_and_no_request_is_lost(started, tmp_path: Path) -> None:
    server, _ = started(drain_seconds=1.5)
    for n in range(5):
        ask(server, f"great {n}")
    begun = socket.create_connection(("127.0.0.1", server.port), timeout=20)
    begun.sendall(HEAD.replace(b"\r\n\r\n", b"\r\nX-Request-Timeout-Ms: 9000\r\n\r\n"))
    kept = httpx.Client(base_url=server.url)
    assert kept.post("/v1/classify", json={"text": "great"}).headers.get("connection") != "close"

    server.process.send_signal(signal.SIGTERM)
    until(lambda: httpx.get(f"{server.url}/readyz").status_code == 503, 1)
    response = kept.post("/v1/classify", json={"text": "great"})  # still answered, and told to go elsewhere
    assert (response.status_code, response.headers["connection"]) == (200, "close")
    time.sleep(2)
    begun.sendall(b'{"text": "great"}')
    assert begun.recv(10_000).startswith(b"HTTP/1.1 200")
    assert server.process.wait(20) == 0
    with pytest.raises(httpx.TransportError):
        ask(server)
    stored = sqlite3.connect(tmp_path / "var/events.db").execute("select count(*) from predictions")
    assert stored.fetchone()[0] == 8
    assert "Traceback" not in server.log.read_text()


def test_two_services_never_share_a_metrics_port(started, folder: Path, tmp_path: Path) -> None:
    _, port = started()
    other = tmp_path / "other"
    other.mkdir()
    write_params(other, {"metrics": {"port": port}})
    environment = {"TICKET_SENTIMENT_BUNDLE": str(folder / "bundle")}
    with (
        Server(SERVICE, other / "serve.log", other, **environment) as server,
        pytest.raises(AssertionError, match=r"error: serve\.metrics: 127\.0\.0\.1:\d+ cannot be listened on"),
    ):
        server.wait_until_ready(30)


def test_without_keys_the_log_says_who_is_answered(server: Server) -> None:
    assert "whoever reaches the port is answered" in server.log.read_text()


def test_nothing_of_a_ticket_is_in_the_metrics(client: httpx.Client, folder: Path) -> None:
    port = int((folder / "metrics-port").read_text())
    client.post("/v1/classify", json={"text": "zanzibar", "customer_id": "zanzibar", "ticket_id": "zanzibar"})
    client.post("/v1/zanzibar", json={})
    # The process that listened may just have been killed by a test before; another one takes the port over.
    transport = httpx.HTTPTransport(retries=8)
    with httpx.Client(transport=transport) as caller:
        assert "zanzibar" not in caller.get(f"http://127.0.0.1:{port}/metrics").text


def test_a_database_that_says_nothing_holds_no_process(
    started: Callable[..., tuple[Server, int]], postgres: PostgresServer
) -> None:
    database = {"TICKET_SENTIMENT_EVENTS_URL": postgres.url()}
    server, _ = started(environment=database, rollout_poll_seconds=0.2)
    postgres.freeze()
    try:
        assert ask(server).status_code == 200
        sent = {"ticket_id": "1", "label": "neutral", "source": "agent", "event_id": "1"}
        assert httpx.post(f"{server.url}/v1/feedback", json=sent, timeout=20).status_code == 503
        server.process.terminate()
        server.process.wait(EXIT_SECONDS)
    finally:
        postgres.thaw()

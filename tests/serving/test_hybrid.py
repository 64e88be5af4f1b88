"""Two real services of one database, the second as the other's GPU service: frozen, killed, started again."""

import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest

from tests.serving.test_lifecycle import metric, until
from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle

KEY = "k" * 24


class Hybrid:
    """A service here with the int8 bundle, and one there with the fp16 bundle of the same version."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "there").mkdir()
        self.digests = {
            "here": make_tiny_bundle(folder / "int8").digest,
            "there": make_tiny_bundle(folder / "fp16", precision="fp16").digest,
        }
        limits = {"timeout_ms": 1500, "min_batch": 8, "breaker_failures": 2, "breaker_pause_s": 0.5}
        self.metrics = write_params(folder, {"remote": limits})
        write_params(
            folder / "there",
            {"api_keys": {"environment": ["FRONT_KEY"], "forwarders": ["FRONT_KEY"]}},
            events={"url": f"sqlite:///{folder}/var/events.db"},
        )
        self.there = self.start_there()
        self.here = Server(
            SERVICE, folder / "here.log", folder, TICKET_SENTIMENT_BUNDLE=str(folder / "int8"),
            TICKET_SENTIMENT_REMOTE_URL=self.there.url, TICKET_SENTIMENT_REMOTE_KEY=KEY,
        )  # fmt: skip
        self.here.wait_until_ready()
        self.client = httpx.Client(
            base_url=self.here.url, timeout=30, headers={"X-Request-Timeout-Ms": "10000"}
        )

    def start_there(self, port: int | None = None) -> Server:
        server = Server(
            SERVICE, self.folder / "there.log", self.folder / "there", port=port,
            TICKET_SENTIMENT_BUNDLE=str(self.folder / "fp16"), FRONT_KEY=KEY,
        )  # fmt: skip
        server.wait_until_ready()
        return server

    def signal_there(self, number: signal.Signals) -> None:
        """To all its processes, the supervisor first, so that it starts no new worker."""
        parent = psutil.Process(self.there.process.pid)
        for process in [parent, *parent.children(recursive=True)]:
            process.send_signal(number)

    def ask(self, text: str = "great", **fields: Any) -> dict[str, Any]:
        response = self.client.post("/v1/classify", json={"text": text, "priority": "urgent", **fields})
        assert response.status_code == 200, response.text
        answer = response.json()
        assert answer["label"] == "positive"
        assert answer["bundle_digest"] == self.digests["there" if answer["route"] == "remote" else "here"]
        return answer

    def close(self) -> None:
        self.client.close()
        self.here.__exit__()
        self.there.__exit__()


@pytest.fixture(scope="module")
def hybrid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hybrid]:
    made = Hybrid(tmp_path_factory.mktemp("hybrid"))
    yield made
    made.close()


def test_the_decision_is_in_the_answer_and_one_record_is_made(hybrid: Hybrid) -> None:
    assert hybrid.ask(ticket_id="u-1")["route"] == "remote"
    assert hybrid.ask(ticket_id="n-1", priority="normal")["route"] == "local"
    tickets = [{"text": f"great {n}", "ticket_id": f"b-{n}"} for n in range(10)]
    results = hybrid.client.post("/v1/classify/batch", json={"tickets": tickets}).json()["results"]
    assert {(r["route"], r["bundle_digest"]) for r in results} == {("remote", hybrid.digests["there"])}
    assert [r["ticket_id"] for r in results] == [f"b-{n}" for n in range(10)]
    until(lambda: metric(hybrid.metrics, "remote_answers_total") == 11)
    assert (
        metric(hybrid.metrics, "remote_requests_total") == metric(hybrid.metrics, "remote_seconds_count") == 2
    )
    assert metric(hybrid.metrics, "remote_available") == 1
    with sqlite3.connect(hybrid.folder / "var/events.db") as connection:
        count = "select count(*), count(distinct ticket_id) from predictions"
        until(lambda: connection.execute(count).fetchone()[0] >= 12)
        time.sleep(1)  # what the other one would record comes in batches, too
        assert connection.execute(count).fetchone() == (12, 12)


def test_frozen_killed_and_started_again_under_load_and_no_ticket_is_lost(hybrid: Hybrid) -> None:
    stop, lost, routes = threading.Event(), [], []

    def load() -> None:
        with httpx.Client(base_url=hybrid.here.url, timeout=30) as client:
            while not stop.is_set():
                body = {"text": f"great {time.monotonic()}", "priority": "urgent"}
                response = client.post("/v1/classify", json=body, headers={"X-Request-Timeout-Ms": "10000"})
                if response.status_code == 200 and response.json()["label"] == "positive":
                    routes.append(response.json()["route"])
                else:
                    lost.append(response.text)

    threads = [threading.Thread(target=load) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        until(lambda: routes[-20:] == ["remote"] * 20)
        hybrid.signal_there(signal.SIGSTOP)
        until(lambda: routes[-50:] == ["fallback"] * 50)
        until(lambda: metric(hybrid.metrics, "remote_available") == 0)
        hybrid.signal_there(signal.SIGCONT)
        until(lambda: routes[-20:] == ["remote"] * 20)
        hybrid.signal_there(signal.SIGKILL)
        hybrid.there.process.wait()
        until(lambda: routes[-50:] == ["fallback"] * 50)
        hybrid.there = hybrid.start_there(hybrid.there.port)
        until(lambda: routes[-20:] == ["remote"] * 20)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert lost == []
    assert metric(hybrid.metrics, "remote_fallbacks_total") >= 100
    log = (hybrid.folder / "here.log").read_text()
    assert "Traceback" not in log and KEY not in log and hybrid.there.url not in log


def test_an_address_that_is_none_ends_the_service_in_one_line(hybrid: Hybrid, tmp_path: Path) -> None:
    write_params(tmp_path)
    environment = {
        "TICKET_SENTIMENT_BUNDLE": str(hybrid.folder / "int8"),
        "TICKET_SENTIMENT_REMOTE_URL": "http://user:s3cret@gpu:3000",
    }
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server:
        assert server.process.wait(30) == 1
    log = (tmp_path / "serve.log").read_text()
    assert "error: TICKET_SENTIMENT_REMOTE_URL holds no URL of a service" in log
    assert "Traceback" not in log and "s3cret" not in log


def test_a_service_without_another_one_never_loads_its_client() -> None:
    script = "import sys, ticket_sentiment.serving.service; print('aiohttp' in sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.split()[-1] == "False"

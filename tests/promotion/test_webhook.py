"""MLflow's webhook: what is believed, what is not, and the whole way with a real MLflow server."""

import asyncio
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml
from cryptography.fernet import Fernet
from fastapi.testclient import TestClient
from mlflow import MlflowClient
from mlflow.webhooks.delivery import _generate_hmac_signature

from tests.promotion.loop import Loop
from tests.support.params import params_of_tests
from tests.support.serving import free_port
from ticket_sentiment.cli import main
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.promotion.webhook import (
    DELIVERY,
    MAX_BODY,
    PATH,
    SIGNATURE,
    TIMESTAMP,
    Wake,
    application,
    is_genuine,
    secret_of,
    signature,
)

ROOT = Path(__file__).parents[2]
SECRET = "a long random word of a test"
WEBHOOK = params_of_tests().registry.webhook


def delivery(body: bytes, secret: str = SECRET, at: float | None = None) -> dict[str, str]:
    """The headers of a delivery, signed by MLflow's own function."""
    timestamp = str(int(time.time() if at is None else at))
    signed = _generate_hmac_signature(secret, "one", timestamp, body.decode())
    return {DELIVERY: "one", TIMESTAMP: timestamp, SIGNATURE: signed}


def moved(model: str = "ticket-sentiment", entity: str = "model_version_alias") -> bytes:
    data = {"name": model, "alias": "champion", "version": "2"}
    return json.dumps({"entity": entity, "action": "created", "data": data}).encode()


@pytest.fixture
def runs() -> list[int]:
    return []


@pytest.fixture
def client(runs: list[int]) -> Iterator[TestClient]:
    async def run() -> None:
        runs.append(1)

    with TestClient(application(WEBHOOK, SECRET, "ticket-sentiment", run)) as made:
        yield made


def test_our_signature_is_mlflow_s():
    assert signature(SECRET, "one", "17", b'{"a": "\xc3\xa9"}') == _generate_hmac_signature(
        SECRET, "one", "17", '{"a": "é"}'
    )


@pytest.mark.parametrize(
    ("change", "genuine"),
    [
        ({}, True),
        ({SIGNATURE: "v1,AAAA"}, False),
        ({SIGNATURE: "é"}, False),
        ({TIMESTAMP: "²"}, False),
        ({TIMESTAMP: ""}, False),
        ({TIMESTAMP: "9" * 400}, False),
        ({TIMESTAMP: "9" * 5000}, False),
        ({DELIVERY: "another"}, False),
    ],
)
def test_only_what_mlflow_signed_is_genuine(change, genuine):
    headers = delivery(b"{}") | change
    assert is_genuine(SECRET, headers, b"{}", time.time(), 300) is genuine


def test_what_is_old_or_from_the_future_or_changed_is_not_genuine():
    headers, now = delivery(b"{}"), time.time()
    assert not is_genuine(SECRET, headers, b"{}", now + 400, 300)
    assert not is_genuine(SECRET, headers, b"{}", now - 400, 300)
    assert not is_genuine(SECRET, headers, b"{ }", now, 300)
    assert not is_genuine("another long random word", headers, b"{}", now, 300)


def test_an_alias_that_moved_is_followed(client, runs):
    body = moved()
    assert client.post(PATH, content=body, headers=delivery(body)).status_code == 202
    assert client.get("/livez").status_code == 200
    assert runs == [1]


@pytest.mark.parametrize(
    "body",
    [moved(model="another"), moved(entity="prompt_alias"), b"[]", b"null", b"{", b"", b'{"entity": 1}'],
)
def test_what_is_about_something_else_is_taken_and_left(client, runs, body):
    assert client.post(PATH, content=body, headers=delivery(body)).status_code == 202
    assert client.get("/livez").status_code == 200
    assert runs == []


def test_what_is_unsigned_or_too_large_is_refused(client, runs):
    assert client.post(PATH, content=moved()).status_code == 401
    large = b" " * (MAX_BODY + 1)
    assert client.post(PATH, content=large, headers=delivery(large)).status_code == 413
    assert runs == []


def test_moves_during_a_run_are_followed_by_one_more():
    async def play() -> tuple[int, int]:
        done = at_once = most = 0

        async def run() -> None:
            nonlocal done, at_once, most
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.05)
            at_once -= 1
            done += 1

        wake = Wake(run)
        wake.call()
        await asyncio.sleep(0.02)
        for _ in range(5):
            wake.call()
        await asyncio.sleep(0.3)
        return done, most

    assert asyncio.run(play()) == (2, 1)


def test_without_a_secret_nothing_listens(monkeypatch):
    for value in (None, "short"):
        if value:
            monkeypatch.setenv(WEBHOOK.secret_env, value)
        with pytest.raises(TicketSentimentError, match=f"{WEBHOOK.secret_env} is not set, or shorter"):
            secret_of(WEBHOOK)


class Servers:
    """A real MLflow server on a loop's database, and the listener."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.port = loop, free_port()
        self.mlflow = f"http://127.0.0.1:{free_port()}"
        raw = yaml.safe_load((loop.root / "params.yaml").read_text())
        raw["registry"]["webhook"]["port"] = self.port
        (loop.root / "params.yaml").write_text(yaml.safe_dump(raw))
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str, **environment: str) -> None:
        with (self.loop.root / "var/servers.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", *arguments], cwd=self.loop.root, stdout=log, stderr=log,
                env={**os.environ, **environment},
            )  # fmt: skip
        self._processes.append(process)

    def wait_for(self, url: str) -> None:
        until = time.monotonic() + 120
        while time.monotonic() < until:
            try:
                if httpx.get(url, timeout=5).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.2)
        pytest.fail(f"{url}: {(self.loop.root / 'var/servers.log').read_text()[-3000:]}")

    def close(self) -> None:
        for process in self._processes:
            process.terminate()
        for process in self._processes:
            process.wait(30)


@pytest.fixture
def servers(loop: Loop) -> Iterator[Servers]:
    made = Servers(loop)
    yield made
    made.close()


@pytest.mark.slow
def test_a_person_s_move_reaches_the_ledger_by_the_webhook(
    servers: Servers, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loop = servers.loop
    loop.begin(1)
    loop.register(2, decision="review")
    monkeypatch.chdir(loop.root)
    monkeypatch.setenv(WEBHOOK.secret_env, SECRET)
    port = servers.mlflow.rpartition(":")[2]
    servers.start(
        "mlflow", "server", "--host", "127.0.0.1", "--port", port, "--workers", "1",
        "--backend-store-uri", loop.store.uri, "--artifacts-destination", str(loop.root / "var/mlartifacts"),
        MLFLOW_WEBHOOK_SECRET_ENCRYPTION_KEY=Fernet.generate_key().decode(),
        MLFLOW_WEBHOOK_ALLOW_PRIVATE_IPS="true",
        MLFLOW_WEBHOOK_ALLOWED_SCHEMES="http,https",
    )  # fmt: skip
    servers.start(
        "flows.webhook",
        PYTHONPATH=os.pathsep.join([str(ROOT / "src"), str(ROOT)]),
        PREFECT_HOME=os.environ.get("TEST_PREFECT_HOME", str(loop.root / "var/prefect")),
        BENTOML_HOME=str(loop.root / "var/bentoml"),
    )
    servers.wait_for(f"{servers.mlflow}/health")
    servers.wait_for(f"http://127.0.0.1:{servers.port}/livez")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", servers.mlflow)
    for _ in range(2):  # a second time it is changed, not made once more
        assert main(["webhook", f"http://127.0.0.1:{servers.port}/"]) == 0
    assert f"http://127.0.0.1:{servers.port}{PATH} when an alias moves" in capsys.readouterr().out
    person = MlflowClient(tracking_uri=servers.mlflow, registry_uri=servers.mlflow)
    assert len(person.list_webhooks()) == 1
    person.set_registered_model_alias(loop.params.registry.model, "champion", "2")
    until = time.monotonic() + 180
    while loop.serving[0] != "2" and time.monotonic() < until:
        time.sleep(0.2)
    assert loop.serving == ("2", None, "1"), (loop.root / "var/servers.log").read_text()[-3000:]
    assert loop.told[-1] == "adopt by person via MLflow"


@pytest.mark.parametrize(
    ("tracking", "told"),
    [
        (None, "set MLFLOW_TRACKING_URI to the server"),  # a database, which would call nobody
        ("http://127.0.0.1:9", "docs/promotion.md says what its server must be started with"),
    ],
)
def test_without_a_server_nothing_is_announced(
    loop: Loop,
    tracking: str | None,
    told: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(loop.root)
    monkeypatch.setenv(WEBHOOK.secret_env, SECRET)
    if tracking:
        monkeypatch.setenv("MLFLOW_TRACKING_URI", tracking)
    assert main(["webhook", "https://reconcile.example.com"]) == 2
    assert told in capsys.readouterr().err

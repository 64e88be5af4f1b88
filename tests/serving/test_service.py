"""The service as a client sees it: a real server process, friendly and hostile requests."""

import errno
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.params import params_of_tests
from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.providers import CUDA, TENSORRT
from ticket_sentiment.model.runtime import CPU, Runtime
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.serving.settings import load_deployed, load_settings, read_settings
from ticket_sentiment.serving.startable import require_startable

PARAMS = params_of_tests()
SERVE = PARAMS.serve
SETTINGS = {
    "model_version": "3",
    **PARAMS.model_dump(mode="json", include={"serve", "events", "cache"}),
    "cloudwatch": PARAMS.objectives.cloudwatch.model_dump(mode="json"),
}
CANARY = "zanzibar"  # a word that must not be in the log
JSON = {"Content-Type": "application/json"}


def post(client: httpx.Client, body: bytes | str, **headers: str) -> httpx.Response:
    return client.post("/v1/classify", content=body, headers={**JSON, **headers})


def refused(response: httpx.Response, status: int, code: str) -> str:
    """Check a refusal; returns its message."""
    assert response.status_code == status, response.text
    error = response.json()["error"]
    assert error["code"] == code
    return error["message"]


@pytest.mark.parametrize(
    ("text", "label"),
    [("Thanks, that was GREAT!", "positive"), ("terrible, broken", "negative"), ("my invoice", "neutral")],
)
def test_answer(client: httpx.Client, folder: Path, text: str, label: str) -> None:
    answer = client.post("/v1/classify", json={"text": text, "ticket_id": "t-1", "customer_id": "c-1"}).json()
    assert list(answer["probabilities"]) == list(LABELS)
    assert sum(answer["probabilities"].values()) == pytest.approx(1, abs=1e-5)
    assert answer["label"] == label == max(answer["probabilities"], key=answer["probabilities"].get)
    assert answer["confidence"] == answer["probabilities"][label]
    assert answer["ticket_id"] == "t-1"
    assert answer["bundle_digest"] == load_bundle(folder / "bundle").digest
    assert answer["model_version"] == "development"
    assert answer["backend"] == "CPUExecutionProvider"
    assert (answer["arm"], answer["abstain"]) == ("champion", False)


def test_unsure_answers_are_marked(client: httpx.Client) -> None:
    sure = client.post("/v1/classify", json={"text": "great"}).json()
    unsure = client.post("/v1/classify", json={"text": "qwertz"}).json()  # no word that the model knows
    assert unsure["confidence"] < SERVE.abstain_below < sure["confidence"]
    assert (sure["abstain"], unsure["abstain"]) == (False, True)


def test_personal_data_is_masked_before_the_model_sees_it(client: httpx.Client) -> None:
    # `terrible` is part of an address here, so nothing of it may count.
    masked = client.post("/v1/classify", json={"text": "great works terrible@example.com"}).json()
    spelled = client.post("/v1/classify", json={"text": "great works [EMAIL]"}).json()
    assert masked["probabilities"] == spelled["probabilities"]


def test_models_and_health(client: httpx.Client, folder: Path) -> None:
    (model,) = client.get("/v1/models").json()["models"]
    assert model["bundle_digest"] == load_bundle(folder / "bundle").digest
    assert (model["precision"], model["max_length"], model["labels"]) == ("int8", 32, list(LABELS))
    assert client.get("/livez").status_code == client.get("/readyz").status_code == 200


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/vnd.bentoml+pickle", "multipart/form-data", ""]
)
def test_only_json_is_accepted(client: httpx.Client, content_type: str) -> None:
    response = client.post(
        "/v1/classify", content=b'{"text": "great"}', headers={"Content-Type": content_type}
    )
    refused(response, 415, "unsupported_media_type")


def test_a_charset_beside_json_is_fine(client: httpx.Client) -> None:
    response = post(client, '{"text": "great"}', **{"Content-Type": "Application/JSON; charset=utf-8"})
    assert response.status_code == 200


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, "invalid_json"),
        (b"{", 400, "invalid_json"),
        (b"\xff\xfe{\x00}\x00", 400, "invalid_json"),
        (b'{"text": "\xc3\x28"}', 400, "invalid_json"),
        (b'{"text": "\\ud800"}', 400, "invalid_json"),
        (b'{"text": "a", "ticket_id": "\\udfff"}', 400, "invalid_json"),
        (b"[" * 100_000, 400, "invalid_json"),
        (b'{"text": ' + b'{"a":' * 20_000, 400, "invalid_json"),
        (b"NaN", 422, "invalid_field"),
        (b"[]", 422, "invalid_field"),
        (b"null", 422, "invalid_field"),
        (b"{}", 422, "invalid_field"),
        (b'{"text": NaN}', 422, "invalid_field"),
        (b'{"text": null}', 422, "invalid_field"),
        (b'{"text": 1e999}', 422, "invalid_field"),
        (b'{"text": ' + b"9" * 10_000 + b"}", 400, "invalid_json"),
        (b'{"text": ["great"]}', 422, "invalid_field"),
        (b'{"text": "great", "ticket_id": 7}', 422, "invalid_field"),
        (b'{"text": "great", "ticket_id": "' + b"x" * 201 + b'"}', 422, "invalid_field"),
        (b'{"text": "great", "label": "positive"}', 422, "invalid_field"),
        (b'{"text": ""}', 422, "empty_text"),
        (b'{"text": " \\n\\t\\u200b\\u0000 "}', 422, "empty_text"),
        (b'{"text": "\\ufffd"}', 422, "empty_text"),  # the tokenizer drops it
    ],
)
def test_bad_bodies_are_refused_with_a_reason(
    client: httpx.Client, body: bytes, status: int, code: str
) -> None:
    assert refused(post(client, body), status, code)


def test_the_field_is_named_and_its_content_is_not(client: httpx.Client) -> None:
    message = refused(client.post("/v1/classify", json={"text": {"x": CANARY}}), 422, "invalid_field")
    assert message.startswith("text:")
    assert CANARY not in message


def test_odd_but_valid_text_is_answered(client: httpx.Client) -> None:
    texts = [
        "a\u0000great",
        "😀" * 500,
        "\u202egreat",
        "İstanbul ß ﬁ",
        "great " * 3000,
        "<script>",
        "' OR 1=1",
    ]
    assert [client.post("/v1/classify", json={"text": text}).status_code for text in texts] == [200] * len(
        texts
    )


def test_text_at_the_limit_passes_and_beyond_is_too_long(client: httpx.Client) -> None:
    assert client.post("/v1/classify", json={"text": "a" * SERVE.max_text_chars}).status_code == 200
    refused(
        client.post("/v1/classify", json={"text": "a" * (SERVE.max_text_chars + 1)}), 413, "text_too_long"
    )


def test_large_bodies_are_refused_with_and_without_a_declared_length(client: httpx.Client) -> None:
    body = b'{"text": "' + b"a" * SERVE.max_body_bytes + b'"}'
    refused(post(client, body), 413, "body_too_large")
    chunks = (body[start : start + 1000] for start in range(0, len(body), 1000))
    refused(client.post("/v1/classify", content=chunks, headers=JSON), 413, "body_too_large")


def test_wrong_method_and_path(client: httpx.Client) -> None:
    response = client.get("/v1/classify")
    refused(response, 405, "method_not_allowed")
    assert response.headers["allow"] == "POST"
    for path in ("/v1/nothing", "/", "/metrics", "/docs.json", "/schema.json", "/v1", "/v1/classify/"):
        refused(client.post(path, json={}), 404, "not_found")


def test_a_client_that_leaves_half_way_harms_nobody(server: Server, client: httpx.Client) -> None:
    head = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
    for _ in range(5):
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as connection:
            connection.sendall(head + b'Content-Length: 99\r\n\r\n{"text": "gre')
    assert client.post("/v1/classify", json={"text": "great"}).status_code == 200
    assert "Traceback" not in server.log.read_text()


json_values = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)


@settings(max_examples=100, deadline=None)
@given(body=st.binary(max_size=200) | json_values.map(json.dumps).map(str.encode))
def test_no_body_is_a_server_error(client: httpx.Client, body: bytes) -> None:
    assert post(client, body).status_code in (400, 413, 422)


@settings(max_examples=100, deadline=None)
@given(text=st.text(st.characters(codec="utf-8"), max_size=300))
def test_no_text_is_a_server_error(client: httpx.Client, text: str) -> None:
    ticket_id = text[:200].replace("\0", "")  # which no database can keep
    answer = client.post("/v1/classify", json={"text": f"great {text}", "ticket_id": ticket_id})
    assert answer.status_code == 200
    assert answer.json()["ticket_id"] == ticket_id


def test_concurrent_answers_are_those_of_one_alone(client: httpx.Client) -> None:
    texts = ["great", "terrible and slow", "my invoice please"] * 20

    def ask(text: str) -> Any:
        while True:  # a busy machine refuses for a moment what it could not answer in time
            answer = client.post("/v1/classify", json={"text": text})
            if answer.status_code != 503:
                return answer.json()["probabilities"]
            time.sleep(0.1)

    alone = {text: ask(text) for text in set(texts)}
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, texts)) == [alone[text] for text in texts]


def test_no_text_and_no_identifier_is_logged(client: httpx.Client, server: Server) -> None:
    for body in (f'{{"text": "{CANARY}"}}', f'{{"text": "a", "{CANARY}": 1}}', f"{{{CANARY}", f'"{CANARY}"'):
        post(client, body)
    client.post("/v1/classify", json={"text": "a", "customer_id": CANARY, "ticket_id": CANARY})
    log = server.log.read_text()
    assert "ticket_sentiment" in log
    assert CANARY not in log


def test_heavy_libraries_are_not_imported() -> None:
    modules = "ticket_sentiment.serving.service, ticket_sentiment.serving.application"
    script = f"import sys, {modules}; print(*sys.modules)"
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    loaded = set(result.stdout.split())
    assert "onnxruntime" in loaded
    heavy = {"torch", "transformers", "dvc", "prefect", "mlflow", "evidently", "great_expectations"}
    assert not loaded & (heavy | {"pandas", "sklearn", "pyarrow"})


def test_gpu_build_falls_back_to_the_processor_with_its_fp16_bundle(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "gpu", precision="fp16")
    classifier = Classifier(bundle, "1", SERVE.gpu, "gpu")
    assert classifier.describe()["precision"] == "fp16"
    assert classifier.max_batch == 1
    (answer,) = classifier.answers(["great"])
    assert (answer.label, answer.backend) == ("positive", "CPUExecutionProvider")


class FakeRuntime(Runtime):
    """A runtime that took a provider of a GPU, until its card fails."""

    taken = CUDA

    @property
    def provider(self) -> str:
        return self.taken


def test_cuda_in_tensorrts_place_batches_until_the_card_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticket_sentiment.serving.classifier.Runtime", FakeRuntime)
    gpu = SERVE.gpu.model_copy(update={"provider": "tensorrt", "engine_cache": str(tmp_path / "engines")})
    classifier = Classifier(make_tiny_bundle(tmp_path / "gpu", precision="fp16"), "1", gpu, "gpu")
    assert classifier.describe()["requested_backend"] == TENSORRT
    assert (classifier.backend, classifier.max_batch) == (CUDA, gpu.max_batch)
    classifier.runtime.taken = CPU
    (answer,) = classifier.answers(["great"])
    assert (answer.backend, classifier.max_batch) == (CPU, 1)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("TICKET_SENTIMENT_EVENTS_URL", "mysql://host/database", "events.url: expected SQLite or PostgreSQL"),
        ("TICKET_SENTIMENT_EVENTS_URL", "sqlite:////proc/nowhere/events.db", "the folder of the database"),
        ("TICKET_SENTIMENT_REDIS_URL", "http://host", "holds no Redis URL"),
        ("TICKET_SENTIMENT_METRICS_HOST", "no such host", "serve.metrics: no such host"),
    ],
)
def test_what_a_worker_would_stumble_over_ends_the_service_in_one_line(
    folder: Path, tmp_path: Path, name: str, value: str, said: str
) -> None:
    write_params(tmp_path)
    environment = {"TICKET_SENTIMENT_BUNDLE": str(folder / "bundle"), name: value}
    with Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server:
        assert server.process.wait(30) == 1
    log = (tmp_path / "serve.log").read_text()
    assert [line.startswith("error: ") and said in line for line in log.splitlines() if "error" in line] == [
        True
    ]
    assert "Traceback" not in log


def test_the_environment_moves_the_metrics_to_another_host(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TICKET_SENTIMENT_BUNDLE", raising=False)
    write_json(tmp_path / "serving.json", SETTINGS)
    assert load_settings(tmp_path).serve.metrics == SERVE.metrics
    monkeypatch.setenv("TICKET_SENTIMENT_METRICS_HOST", "0.0.0.0")
    metrics = load_settings(tmp_path).serve.metrics
    assert (metrics.host, metrics.port) == ("0.0.0.0", SERVE.metrics.port)


def test_a_damaged_bundle_is_never_served(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "bundle", tmp_path / "bundle")
    with (tmp_path / "bundle/model.onnx").open("ab") as stream:
        stream.write(b"x")
    write_params(tmp_path)
    environment = {"TICKET_SENTIMENT_BUNDLE": str(tmp_path / "bundle")}
    with (
        Server(SERVICE, tmp_path / "serve.log", tmp_path, **environment) as server,
        pytest.raises(AssertionError, match=r"error: .*SHA-256 differs"),
    ):
        server.wait_until_ready()
    assert "Traceback" not in (tmp_path / "serve.log").read_text()


def test_settings_in_the_bento_are_strict(tmp_path: Path) -> None:
    path = tmp_path / "serving.json"
    with pytest.raises(TicketSentimentError, match="is missing"):
        read_settings(path)
    good = SETTINGS
    write_json(path, good)
    assert read_settings(path).serve == SERVE
    write_json(path, good | {"serve": {**good["serve"], "surprise": 1}})
    with pytest.raises(TicketSentimentError, match=r"serve\.surprise"):
        read_settings(path)


def test_bundle_and_settings_are_found_beside_the_package(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TICKET_SENTIMENT_BUNDLE", raising=False)
    bundle = make_tiny_bundle(tmp_path / "bundle")
    write_json(tmp_path / "serving.json", SETTINGS)
    deployed = load_deployed(tmp_path)
    assert (deployed.bundle.digest, deployed.settings.model_version) == (bundle.digest, "3")
    assert deployed.challenger is None
    other = make_tiny_bundle(tmp_path / "challenger", seed=1)
    write_json(tmp_path / "serving.json", {**SETTINGS, "challenger_version": "4"})
    assert load_deployed(tmp_path).challenger.digest == other.digest


def test_a_service_whose_workers_will_have_no_room_ends_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    settings = SETTINGS | {"events": {**SETTINGS["events"], "url": f"sqlite:///{tmp_path}/events.db"}}
    write_json(tmp_path / "serving.json", settings)
    shared = tmp_path / "shared"
    shared.mkdir()
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TicketSentimentError, match=r"3840 KiB .* cannot be had \(No space left on device\)"):
        require_startable(read_settings(tmp_path / "serving.json"), shared, 3)
    assert not list(shared.iterdir())

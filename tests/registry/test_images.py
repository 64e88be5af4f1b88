"""The CPU image, really built, started read-only, asked, hurt and stopped.

`make image-test` names the champion's image in TICKET_SENTIMENT_IMAGE; without that a small champion is
registered and its image built here, from BASE_IMAGE where that is set.
"""

import json
import os
import re
import socket
import subprocess
import tarfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import bentoml
import httpx
import pytest
from bentoml._internal.bento import BentoStore
from bentoml._internal.configuration.containers import BentoMLContainer
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from tests.support.container import Container, base_image_or_skip, engine_or_skip, export
from tests.support.given import BENTO, Given, given_for, settings_of
from tests.support.params import params_of_tests
from tests.support.project import REPOSITORY, TICKET, make_project
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.registry import images
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.supply.contents import opened
from ticket_sentiment.supply.sbom import bill_of_materials
from ticket_sentiment.supply.scan import scan
from ticket_sentiment.supply.texts import Texts

SECRET = "s3cr3t-canary-of-the-build"
TEXT = "The second parcel was fast, thanks, it works great"
CUSTOMER = "zanzibar"
HEAD = (
    "POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 17\r\n"
    "X-Request-Timeout-Ms: 9000\r\n"
)
MEGABYTES = 500
# Compilers, what the build borrowed, caches, tests, and the parts of this repository that do not serve.
UNWANTED = re.compile(
    r"/bin/(gcc|cc|g\+\+|git|uv)$|^/etc/uv|^/root/\.cache/|^/tmp/.|/site-packages/(.*/)?tests(/|$)"
    r"|/ticket_sentiment/(registry|gates|model/train)"
)
ABSENT = (
    "torch", "transformers", "dvc", "prefect", "mlflow", "evidently", "great_expectations", "pandas", "onnx",
    "pytest", "pip", "uv",
)  # fmt: skip


@pytest.fixture(scope="module")
def tags(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Iterator[dict[str, str]]:
    """Both Bentos of a small registered champion, in a store of their own."""
    folder = tmp_path_factory.mktemp("images")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("BENTOML_HOME", str(folder))
        patch.setenv("BENTOML_DO_NOT_TRACK", "true")
        (folder / "bentos").mkdir()
        BentoMLContainer.bento_store.set(BentoStore(folder / "bentos"))  # it was read at the first use
        project = make_project(folder / "project", empty_database)
        project.result()
        project.register()
        yield images.build_champion(project.params, project.root)
        BentoMLContainer.bento_store.reset()


@pytest.fixture(scope="module")
def engine() -> str:
    return engine_or_skip()


@pytest.fixture(scope="module")
def base_image(engine: str) -> str:
    return base_image_or_skip(engine, os.environ.get("BASE_IMAGE", "docker.io/library/python:3.11-slim"))


@pytest.fixture(scope="module")
def image(request: pytest.FixtureRequest, engine: str) -> Iterator[str]:
    if named := os.environ.get("TICKET_SENTIMENT_IMAGE"):
        yield named
        return
    base = request.getfixturevalue("base_image")
    tag = request.getfixturevalue("tags")["cpu"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("A_KEY_OF_THE_HOST", SECRET)
        built = images.build_image(tag, engine, base, REPOSITORY)
    assert built.name == tag
    assert about(engine, tag)["Id"].removeprefix("sha256:") == built.id.removeprefix("sha256:")
    yield built.id  # as the steps of a release name it
    subprocess.run([engine, "rmi", tag], capture_output=True)  # the layers of packages stay in the cache


@pytest.fixture(scope="module")
def given(engine: str, image: str, tmp_path_factory: pytest.TempPathFactory) -> Given:
    return given_for(settings_of(engine, image), tmp_path_factory.mktemp("given"))


@pytest.fixture(scope="module")
def container(engine: str, image: str, given: Given) -> Iterator[Container]:
    with Container(engine, image, given) as running:
        print(f"\nready {running.wait_until_ready():.1f} s after the start")
        yield running


@pytest.fixture(scope="module")
def bundle(container: Container, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The champion's, out of the image."""
    path = tmp_path_factory.mktemp("bundle") / "bundle"
    container.copy(f"{BENTO}/src/bundle", path)
    return load_bundle(path)


def about(engine: str, image: str) -> dict:
    result = subprocess.run([engine, "image", "inspect", image], capture_output=True, text=True, check=True)
    return json.loads(result.stdout)[0]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come true in time"
        time.sleep(0.2)


@pytest.mark.parametrize("device", ["cpu", "gpu"])
def test_the_recipe_installs_in_one_stage_and_serves_from_another(tags: dict[str, str], device: str) -> None:
    bento = bentoml.get(tags[device])
    recipe, base = images.containerfile(bento, REPOSITORY)
    assert base == "python:3.11-slim"
    stages = re.findall(r"^FROM (.+)$", recipe, re.MULTILINE)
    assert stages == ["${BASE_IMAGE} AS base-container", "${BASE_IMAGE}"]
    last = recipe.split("FROM ${BASE_IMAGE}\n")[1]
    assert 'ENV ORT_DISABLE_TELEMETRY="1"' in last
    assert "\nUSER 1034:1034\n" in last
    assert "\nRUN " not in last
    assert ('ENV NVIDIA_DRIVER_CAPABILITIES="compute,utility"' in last) == (device == "gpu")
    labels = images.image_labels(bento, base)
    assert labels["ticket-sentiment.device"] == device
    assert tags[device].split("-")[2] == labels["ticket-sentiment.bundle-digest"][:12]


def test_a_dockerfile_of_another_bentoml_is_refused(tags: dict[str, str]) -> None:
    bento = bentoml.get(tags["gpu"])
    path = Path(bento.path_of("env/docker/Dockerfile"))
    held = path.read_text()
    path.write_text(held.replace("AS base-container", "AS other"))
    try:
        with pytest.raises(TicketSentimentError, match="no stage `base-container`"):
            images.containerfile(bento, REPOSITORY)
    finally:
        path.write_text(held)


def test_without_an_engine_the_error_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(TicketSentimentError, match="install podman or buildah"):
        images.find_engine()
    with pytest.raises(TicketSentimentError, match=r"no container engine answers \(podman\)"):
        images.find_engine("podman")


def test_a_build_that_fails_is_one_line_and_leaves_a_log(
    engine: str, tags: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "deploy").symlink_to(REPOSITORY / "deploy")
    failure = rf"^{engine} build of ticket-sentiment:v1-\w+-cpu failed: .+$"
    with pytest.raises(TicketSentimentError, match=failure):
        images.build_image(tags["cpu"], engine, "localhost/ticket-sentiment-no-such-base:0", tmp_path)
    assert (tmp_path / "var/images.log").stat().st_size > 0


def test_the_image_is_small_and_says_what_it_is(engine: str, image: str) -> None:
    held = about(engine, image)
    labels = held["Config"]["Labels"]
    print(f"\n{image}: {held['Size'] / 1e6:.0f} MB")
    assert held["Size"] <= MEGABYTES * 1e6
    assert held["Config"]["User"] == "1034:1034"
    assert held["Config"].get("Healthcheck") or held.get("Healthcheck")
    assert re.fullmatch("[0-9]+", labels["org.opencontainers.image.version"])
    assert re.fullmatch("[0-9a-f]{40}", labels["org.opencontainers.image.revision"])
    assert re.fullmatch("[0-9a-f]{64}", labels["ticket-sentiment.bundle-digest"])


def test_no_layer_of_the_image_holds_a_secret_or_a_ticket_and_its_bill_is_of_what_was_pinned(
    engine: str, image: str
) -> None:
    assert SECRET not in json.dumps(about(engine, image))
    pins = (REPOSITORY / "src/ticket_sentiment/serving/requirements-cpu.txt").read_text().split()
    with opened(image, engine) as archive:
        result = scan(archive, Texts([TICKET]))
        bill = bill_of_materials(archive, "ticket-sentiment:v1-cpu", image)
    print(f"\n{result.files:,} files of all layers, {result.megabytes:.0f} MB")
    assert result.findings == ()
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(bill) is None
    urls = {component.get("purl", "") for component in json.loads(bill)["components"]}
    assert {f"pkg:pypi/{pin.replace('==', '@')}" for pin in pins} - urls == set()
    assert any(url.startswith("pkg:deb/debian/libc6@") for url in urls)


def test_the_image_holds_nothing_that_the_service_does_not_need(
    engine: str, image: str, tmp_path: Path
) -> None:
    with tarfile.open(export(engine, image, tmp_path)) as archive:
        for member in archive:
            name = f"/{member.name}"
            assert not UNWANTED.search(name), name
            if package := re.fullmatch(r"/app/.*/site-packages/([^/]+)", name):
                assert re.split(r"[-.]", package[1])[0].lower() not in ABSENT, name
            if not name.startswith(("/app", "/home")):
                continue
            assert member.uid == (1034 if name == f"{BENTO}/var" else 0), f"{name}: whose is it?"
            if member.isfile():
                content = archive.extractfile(member).read()
                assert SECRET.encode() not in content, name


def test_it_answers_like_the_bundle_outside(container: Container, bundle: Bundle) -> None:
    with container.client() as client:
        models = client.get("/v1/models").json()["models"]
        ticket = {"ticket_id": "7", "customer_id": CUSTOMER, "text": TEXT}
        answer = client.post("/v1/classify", json=ticket).json()
    (loaded,) = [model for model in models if model["arm"] == "champion"]
    assert loaded["bundle_digest"] == bundle.digest
    gpu = params_of_tests().serve.gpu
    (expected,) = Classifier(bundle, "1", gpu, "cpu").answers([TEXT])
    assert (answer["label"], answer["ticket_id"]) == (expected.label, "7")
    # int8 products may differ in the last place from one processor's kernels to another's, not on one machine
    assert list(answer["probabilities"].values()) == pytest.approx(list(expected.probabilities), abs=1e-6)


def test_it_takes_batches_feedback_and_refuses_bad_bodies(container: Container) -> None:
    with container.client() as client:
        tickets = [{"text": "terrible and broken"}, {"text": 7}, {"text": "great"}]
        first, second, third = client.post("/v1/classify/batch", json={"tickets": tickets}).json()["results"]
        assert (first["label"], third["label"]) == ("negative", "positive")
        assert "error" in second
        feedback = client.post("/v1/feedback", json={"ticket_id": "7", "label": "positive", "event_id": "e1"})
        assert feedback.status_code == 200
        bad = client.post("/v1/classify", content=b"{", headers={"Content-Type": "application/json"})
        assert (bad.status_code, bad.headers["content-type"]) == (400, "application/json")
        assert (
            client.post("/v1/classify", content=b"x", headers={"Content-Type": "text/plain"}).status_code
            == 415
        )
    metrics = f"http://127.0.0.1:{container.metrics_port}/metrics"  # tallied, and written twice a second
    until(lambda: "ticket_sentiment_requests_total" in httpx.get(metrics).text)


def test_it_is_not_root_and_can_write_nowhere_but_its_volume(container: Container) -> None:
    assert container.exec("id", "-u").stdout.strip() == "1034"
    assert container.exec("python", "-c", "import torch").returncode == 1
    for place in ("/", "/etc", "/app", "/home/bentoml", BENTO, f"{BENTO}/src"):
        assert container.exec("touch", f"{place}/canary").returncode != 0, place
    status = container.exec("cat", "/proc/1/status").stdout
    assert re.search(r"^CapEff:\s+0+$", status, re.MULTILINE)
    assert re.search(r"^NoNewPrivs:\s+1$", status, re.MULTILINE)


def test_a_killed_worker_is_replaced(container: Container) -> None:
    before, wanted = container.workers(), container.given.workers
    assert len(before) == wanted
    victim = before.pop()
    container.exec("python", "-c", f"import os; os.kill({victim}, 9)")
    until(lambda: len(container.workers() - {victim}) == wanted)
    until(lambda: httpx.get(f"{container.url}/readyz", timeout=5).status_code == 200)
    with container.client() as client:
        assert client.post("/v1/classify", json={"text": "great"}).status_code == 200


def test_without_its_key_it_answers_nobody(container: Container) -> None:
    answer = httpx.post(f"{container.url}/v1/classify", json={"text": "great"}, timeout=30)
    assert answer.status_code == (401 if container.given.key else 200)


def test_nothing_of_a_ticket_is_in_the_logs(container: Container) -> None:
    logs = container.logs()
    assert f"metrics on http://0.0.0.0:{container.given.metrics_port}" in logs
    assert TEXT not in logs
    assert CUSTOMER not in logs


def test_stopping_is_graceful_and_what_was_recorded_is_kept(engine: str, image: str, given: Given) -> None:
    with Container(engine, image, given) as container, ThreadPoolExecutor(1) as pool:
        container.wait_until_ready()
        with container.client() as client:
            for n in range(5):
                assert client.post("/v1/classify", json={"text": f"great number {n}"}).status_code == 200
        begun = socket.create_connection(("127.0.0.1", container.port), timeout=30)
        head = HEAD + "".join(f"{name}: {value}\r\n" for name, value in given.headers.items())
        begun.sendall(f"{head}\r\n".encode())
        time.sleep(0.5)  # it is in a worker's hands
        stopping = pool.submit(container.stop)
        time.sleep(0.5)
        begun.sendall(b'{"text": "great"}')
        assert begun.recv(10_000).startswith(b"HTTP/1.1 200")
        print(f"\nstopped {stopping.result():.1f} s after SIGTERM")
        state = container.inspect()["State"]
        assert (state["Running"], state["ExitCode"]) == (False, 0)
        assert "Traceback" not in container.logs()
        query = "select count(*) from predictions"
        count = f"import sqlite3; print(*sqlite3.connect('var/events.db').execute('{query}').fetchone())"
        assert container.run_on_its_volume("python", "-c", count) == "6"


def test_it_starts_without_any_network_and_its_health_check_knows(
    engine: str, image: str, given: Given
) -> None:
    with Container(engine, image, given, network="none") as container:
        held = about(engine, image)
        check = (held["Config"].get("Healthcheck") or held.get("Healthcheck"))["Test"]
        assert check[0] == "CMD"
        assert container.exec(*check[1:]).returncode != 0  # not listening yet
        until(lambda: container.exec(*check[1:]).returncode == 0, 120)

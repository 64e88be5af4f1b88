"""Bentos, really built and (the CPU one) really served. BentoML's store is a temporary folder."""

import re
import shutil
import subprocess
import sys
import tomllib
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from importlib.metadata import version as installed
from pathlib import Path

import httpx
import pytest
import yaml
from bentoml._internal.bento import BentoStore
from bentoml._internal.configuration.containers import BentoMLContainer
from packaging.requirements import Requirement

from tests.support.params import params_of_tests
from tests.support.project import REPOSITORY, Project
from tests.support.serving import Server, free_port
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.hotfix.start import finish, start
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.webhook import announce
from ticket_sentiment.registry import build
from ticket_sentiment.registry.releases import registered_bundle
from ticket_sentiment.registry.store import connect

PARAMS = params_of_tests()


def on_free_port(params: Params) -> Params:
    """With metrics where no other service has them."""
    metrics = params.serve.metrics.model_copy(update={"port": free_port()})
    return params.model_copy(update={"serve": params.serve.model_copy(update={"metrics": metrics})})


@pytest.fixture
def bento_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty BentoML store for this process and its children."""
    home = tmp_path / "bentoml"
    monkeypatch.setenv("BENTOML_HOME", str(home))
    monkeypatch.setenv("BENTOML_DO_NOT_TRACK", "true")
    (home / "bentos").mkdir(parents=True)
    BentoMLContainer.bento_store.set(
        BentoStore(home / "bentos")
    )  # this process read the variable at its first use
    yield home
    BentoMLContainer.bento_store.reset()


def bento_yaml(home: Path, tag: str) -> dict:
    return yaml.safe_load((home / "bentos" / tag.replace(":", "/") / "bento.yaml").read_text())


def requirements(device: str) -> dict[str, str]:
    """Version by package."""
    path = REPOSITORY / f"src/ticket_sentiment/serving/requirements-{device}.txt"
    return dict(line.split("==") for line in path.read_text().split())


def test_registered_version_becomes_two_bentos_and_the_champion_is_served(
    project: Project, bento_home: Path, tmp_path: Path
) -> None:
    project.result()
    project.register()
    project.params = on_free_port(project.params)
    tags = build.build_services(project.params, 1, project.root)
    for device, tag in tags.items():
        assert re.fullmatch(rf"ticket-sentiment:v1-[0-9a-f]{{12}}-{device}", tag)
        about = bento_yaml(bento_home, tag)
        assert about["args"] == {"device": device, "workers": str(project.params.serve.workers)}
        assert about["labels"]["model_version"] == "1"
        assert about["labels"]["bundle_digest"].startswith(tag.split("-")[2])
        assert re.fullmatch("[0-9a-f]{40}", about["labels"]["git_commit"])
        runtime = {"cpu": "onnxruntime==", "gpu": "onnxruntime-gpu=="}[device]
        assert runtime in about["image"]["python_requirements"]
        packed = bento_home / "bentos" / tag.replace(":", "/") / "src/cards/champion.md"
        assert packed.read_text() == (project.root / "reports/card.md").read_text()
    held = project.store.client.get_model_version(project.store.model, "1").tags
    assert {"cpu": held["bento.cpu"], "gpu": held["bento.gpu"]} == tags

    command = build.serve_command(project.params, project.root)
    assert command[-5:] == [tags["cpu"], "--host", "127.0.0.1", "--port", str(project.params.serve.port)]
    with Server(tags["cpu"], tmp_path / "serve.log", tmp_path) as server:
        server.wait_until_ready()
        answer = httpx.post(f"{server.url}/v1/classify", json={"text": "great, thanks"}).json()
    assert (tmp_path / "var/events.db").is_file()  # below the folder where the service was started
    assert (answer["label"], answer["model_version"]) == ("positive", "1")
    assert answer["bundle_digest"] == held["bundle.cpu.digest"]


def test_an_unchanged_bento_is_kept_a_changed_or_damaged_one_replaced(
    bento_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = make_tiny_bundle(tmp_path / "cpu")

    def made(params=PARAMS) -> str:
        return bento_yaml(
            bento_home, build.build_service(params, build.Release("1", bundle), "cpu", root=REPOSITORY)
        )["creation_time"]

    first = made()
    assert made() == first
    serve = PARAMS.serve.model_copy(update={"abstain_below": 0.5})
    second = made(PARAMS.model_copy(update={"serve": serve}))
    assert second != first
    third = made()
    tag = build.bento_tag(PARAMS, build.Release("1", bundle), "cpu").replace(":", "/")
    (bento_home / "bentos" / tag / "src/bundle/model.onnx").write_bytes(b"")
    assert made() != third


def test_a_service_keeps_its_code_while_its_bento_is_built_anew_and_where_that_fails(
    bento_home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = build.Release("1", make_tiny_bundle(tmp_path / "cpu"))
    tag = build.build_service(PARAMS, release, "cpu", root=REPOSITORY)
    service = bento_home / "bentos" / tag.replace(":", "/") / "src/ticket_sentiment/serving/service.py"
    run, there = build.subprocess.run, []

    def watched(*arguments, **options):
        there.append(service.is_file())
        result = run(*arguments, **options)
        there.append(service.is_file())
        return result

    monkeypatch.setattr(build.subprocess, "run", watched)
    changed = PARAMS.model_copy(update={"serve": PARAMS.serve.model_copy(update={"abstain_below": 0.5})})
    (bento_home / ".rebuilt-killed").mkdir()
    assert build.build_service(changed, release, "cpu", root=REPOSITORY) == tag
    assert there == [True, True] and service.is_file()
    before = bento_yaml(bento_home, tag)
    (tmp_path / "bentofile.yaml").write_text("service: ticket_sentiment.no_such_module\n")
    with pytest.raises(TicketSentimentError, match="bentoml build of"):
        build.build_service(PARAMS, release, "cpu", root=tmp_path)
    assert bento_yaml(bento_home, tag) == before and service.is_file()
    assert not list(bento_home.glob(".rebuilt-*"))


def test_a_build_that_fails_is_one_line(bento_home: Path, tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "cpu")
    (tmp_path / "bentofile.yaml").write_text("service: ticket_sentiment.no_such_module\n")
    with pytest.raises(
        TicketSentimentError, match=r"^bentoml build of ticket-sentiment:v1-\w+-cpu failed: .+$"
    ):
        build.build_service(PARAMS, build.Release("1", bundle), "cpu", root=tmp_path)


def test_two_who_build_the_same_take_turns(bento_home: Path, tmp_path: Path) -> None:
    """The monthly flow and a reconcile of the same minute: the second one finds what the first has built."""
    bundle = make_tiny_bundle(tmp_path / "cpu")
    (tmp_path / "root").mkdir()
    shutil.copyfile(REPOSITORY / "bentofile.yaml", tmp_path / "root/bentofile.yaml")
    release = build.Release("1", bundle)
    with ThreadPoolExecutor(2) as pool:
        tags = list(
            pool.map(lambda _: build.build_service(PARAMS, release, "cpu", root=tmp_path / "root"), range(2))
        )
    assert tags[0] == tags[1] and len(list((bento_home / "bentos").glob("*/v1-*"))) == 1


@pytest.mark.parametrize(
    "asked",
    [
        lambda params, root: build.is_built(params, "1", root),
        lambda params, root: start(params, root / "fixes.csv", root=root),
        lambda params, root: finish(params, root, root),
        lambda params, root: registered_bundle(params, root=root).__enter__(),
        lambda params, root: announce(connect(params, root), params, "https://reconcile.example.com"),
    ],
    ids=["is_built", "start", "finish", "score", "webhook"],
)
def test_mlflow_s_password_is_in_no_error(
    project: Project, monkeypatch: pytest.MonkeyPatch, asked: Callable[[Params, Path], object]
) -> None:
    """Prefect stores what a flow raises, and logs it; requests quote the address."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://anna:geheim@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv(project.params.registry.webhook.secret_env, "a" * 20)
    (project.root / "champion").mkdir()
    (project.root / "champion/version.json").write_text('{"version": "1"}')
    (project.root / "fixes.csv").write_text("text,label\nit broke,negative\n")
    with pytest.raises(TicketSentimentError) as failed:
        asked(project.params, project.root)
    assert "geheim" not in "".join(traceback.format_exception(failed.value))


def test_serving_without_champion_says_what_to_do(project: Project) -> None:
    with pytest.raises(TicketSentimentError, match="make retrain"):
        build.serve_command(project.params, project.root)


def test_champion_and_challenger_are_served_by_one_bento(bento_home: Path, tmp_path: Path) -> None:
    champion = build.Release("1", make_tiny_bundle(tmp_path / "cpu"))
    challenger = build.Release("2", make_tiny_bundle(tmp_path / "new", seed=3))
    params = on_free_port(PARAMS)
    tag = build.build_service(params, champion, "cpu", root=REPOSITORY, challenger=challenger)
    assert tag.endswith(f":{champion.name}-{challenger.name}-cpu")
    with Server(tag, tmp_path / "serve.log", tmp_path) as server:
        server.wait_until_ready()
        models = httpx.get(f"{server.url}/v1/models").json()["models"]
    assert [(model["arm"], model["model_version"], model["bundle_digest"]) for model in models] == [
        ("champion", "1", champion.bundle.digest),
        ("challenger", "2", challenger.bundle.digest),
    ]


def test_the_staged_files_are_all_that_the_service_needs(tmp_path: Path) -> None:
    bundle = make_tiny_bundle(tmp_path / "bundle")
    context = tmp_path / "context"
    context.mkdir()
    build.stage_context(context, PARAMS, build.Release("1", bundle), REPOSITORY)
    heavy = ("torch", "transformers", "dvc", "prefect", "mlflow", "evidently", "great_expectations", "pandas")
    script = f"""
import asyncio, sys
sys.path[:] = [{str(context)!r}] + [path for path in sys.path if path != {str(REPOSITORY / "src")!r}]
from ticket_sentiment.serving.service import TicketSentiment

async def main():
    service = TicketSentiment.inner()
    (model,) = service.application.arms.loaded.values()
    assert model.version == "1"
    await service.application.stop()

asyncio.run(main())
ours = [m.__file__ for name, m in sys.modules.items() if name.startswith("ticket_sentiment")]
assert all(path.startswith({str(context)!r}) for path in ours), ours
print([name for name in {heavy!r} if name in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert result.stdout.strip().splitlines()[-1] == "[]"


def test_requirements_are_pinned_alike_and_as_installed() -> None:
    cpu, gpu = requirements("cpu"), requirements("gpu")
    assert "onnxruntime-gpu" in gpu
    assert "onnxruntime" not in gpu
    shared = cpu.keys() & gpu.keys()
    assert {name: cpu[name] for name in shared} == {name: gpu[name] for name in shared}
    assert cpu["onnxruntime"] == gpu["onnxruntime-gpu"]
    # BentoML adds its own version to the image's packages; another one here would contradict it.
    assert cpu["bentoml"] == installed("bentoml")


def test_the_requirements_are_all_that_the_service_imports() -> None:
    """Closed under what each package requires, so that nothing is missing in the image."""
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    pins = requirements("cpu")
    for line in project["dependencies"]:
        requirement = Requirement(line)
        assert requirement.specifier.contains(pins[requirement.name.lower().replace("_", "-")]), line

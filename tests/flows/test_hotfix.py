"""Corrected tickets to a registered version, on a tiny champion, through the real tools."""

import json
import shutil
import subprocess
import sys

import pytest

from tests.support.repository import Repository, kill_at, tiny
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.model.bundle import load_bundle

pytestmark = pytest.mark.slow

WORDS = ("perfect", "great", "lovely", "happy", "quick")
ENDS = ("today", "parcel", "invoice", "number")
KILLS = ("data/hotfix", "Running stage 'train'", "Running stage 'prune'", "Running stage 'report'")


def write_corrections(repository: Repository, name: str, verb: str) -> None:
    """A coherent mistake of a model that has learnt single words, and never saw this one."""
    rows = [f"{word} {verb} {end},negative" for word in WORDS for end in ENDS]
    (repository.root / name).write_text("\n".join(["text,label", *rows]) + "\n")


@pytest.fixture(scope="module")
def repository(tmp_path_factory) -> Repository:
    """A champion that has learnt a month, and two files of corrections."""
    made = tiny(tmp_path_factory.mktemp("hotfix") / "repository")
    made.edit_params(
        hotfix={"learning_rate": 3.0e-3, "batch_size": 8, "replay_rows": 100},
        gate={"min_corrected": 0.8, "max_broken": 1.0},
    )
    write_corrections(made, "fixes.csv", "never")
    write_corrections(made, "others.csv", "used")
    made.retrain()
    (version,) = made.versions()
    assert version.aliases == ["champion"]
    return made


def hotfix(repository: Repository, *arguments: str) -> str:
    status, output = repository.run("ticket_sentiment.cli", "hotfix", *arguments)
    assert status == 0, output[-4000:]
    return output


def test_corrections_become_a_challenger_and_the_month_stays_as_it_was(repository):
    root = repository.root
    month = {
        name: sha256_tree(root / name) for name in ("models", "reports", "data/prepared", "data/tickets")
    }
    lock = (root / "dvc.lock").read_bytes()
    output = hotfix(repository, "fixes.csv")
    (folder,) = (root / "var/hotfix").iterdir()
    gate = json.loads((folder / "reports/gate.json").read_text())
    assert gate["decision"] == "pass", gate
    first, second = repository.versions()
    assert (first.aliases, second.aliases) == (["champion"], ["challenger"])
    assert second.tags["release.kind"] == "hotfix" and second.tags["hotfix.champion.version"] == "1"
    digest = load_bundle(folder / "models/release/cpu").digest
    assert second.tags["bundle.cpu.digest"] == digest != first.tags["bundle.cpu.digest"]
    assert second.tags["bento.cpu"] in output and second.tags["bento.gpu"] in output
    page = (folder / "reports/release.html").read_text()
    assert "This is a hotfix of version 1" in page
    assert any(f"{word} never {end}" in page for word in WORDS for end in ENDS)  # some of the corrected
    assert "Hotfix    of version 1" in output
    old, new = (
        load_bundle(path).manifest for path in (root / "models/release/cpu", folder / "models/release/cpu")
    )
    assert old.architecture == new.architecture
    assert {name: sha256_tree(root / name) for name in month} == month
    assert (root / "dvc.lock").read_bytes() == lock

    again = hotfix(repository, "fixes.csv")
    assert "Running stage" not in again
    assert "version 2, alias challenger (known before" in again
    shutil.rmtree(folder)
    assert "known before" in hotfix(repository, "fixes.csv")  # out of DVC's cache
    assert len(repository.versions()) == 2


def test_killed_anywhere_and_run_again_ends_as_if_undisturbed(repository):
    for number, mark in enumerate(KILLS):
        kill_at(repository, mark, number % 2 == 0, "flows.hotfix", "others.csv")
    hotfix(repository, "others.csv")
    version = repository.versions()[-1]
    (folder,) = (
        path
        for path in (repository.root / "var/hotfix").iterdir()
        if load_bundle(path / "models/release/cpu").digest == version.tags["bundle.cpu.digest"]
    )
    shutil.rmtree(folder / "models")
    shutil.rmtree(repository.root / ".dvc/cache/runs")  # so that every stage up to the bundles runs once more
    command = [sys.executable, "-m", "dvc", "repro", "quantize"]
    done = subprocess.run(
        command, cwd=folder, env=repository.environment, capture_output=True, text=True, check=True
    )
    assert "Running stage 'train'" in done.stdout
    for device in ("cpu", "gpu"):
        digest = load_bundle(folder / f"models/release/{device}").digest
        assert digest == version.tags[f"bundle.{device}.digest"]
    assert {run.info.status for run in repository.runs()} == {"FINISHED"}


def test_a_wrong_file_is_one_line_and_changes_nothing(repository):
    (repository.root / "wrong.csv").write_text("text,label\nfine,splendid\n")
    count = len(repository.versions())
    status, output = repository.run("ticket_sentiment.cli", "hotfix", "wrong.csv")
    assert status == 2
    last = output.strip().splitlines()[-1]
    assert last.startswith("error: wrong.csv row 2: column label: expected one of negative")
    assert len(repository.versions()) == count

"""A pull request from what a retraining wrote: git is real, gh is asked and does nothing."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.project import GIT_IDENTITY, begin_repository, git

SCRIPT = Path(__file__).parents[2] / "scripts/open-change"


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """Of one branch, as CI checks out."""
    origin, root = tmp_path / "origin", tmp_path / "clone"
    begin_repository(origin)
    git(tmp_path, "clone", "--quiet", "--single-branch", str(origin), str(root))
    return root


def open_change(root: Path, already: str = "") -> list[str]:
    """Run it; what gh was asked. `already` is what gh answers when it lists pull requests."""
    tools = root.parent / "tools"
    tools.mkdir(exist_ok=True)
    asked = root.parent / "asked"
    asked.write_text("")
    gh = f'#!/bin/sh\necho "$1 $2" >> {asked}\n[ "$2" = list ] && printf "%s" "{already}" || true\n'
    (tools / "gh").write_text(gh)
    (tools / "gh").chmod(0o755)
    environment = os.environ | GIT_IDENTITY | {"PATH": f"{tools}:{os.environ['PATH']}", "GH_TOKEN": "t"}
    command = [SCRIPT, "retrain/2026-11", "Retrained", "body.md"]
    subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True)
    return asked.read_text().splitlines()


def test_nothing_new_opens_nothing(clone: Path) -> None:
    assert open_change(clone) == []
    assert git(clone.parent / "origin", "branch", "--list", "retrain/*") == ""


def test_a_change_becomes_a_branch_and_a_pull_request(clone: Path) -> None:
    (clone / "dvc.lock").write_text("two\n")
    assert open_change(clone) == ["pr list", "pr create"]
    origin = clone.parent / "origin"
    assert git(origin, "show", "retrain/2026-11:dvc.lock") == "two"
    assert git(origin, "show", "main:dvc.lock") == "one"


def test_what_the_loop_writes_anew_goes_along_and_an_export_stays_here(clone: Path) -> None:
    written = ("data/tickets.dvc", "data/hotfix/1.parquet.dvc", "reports/training/curve.csv")
    for name in (*written, "inbox/2026-11.csv", "data/raw.csv"):
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text("new\n")
    assert open_change(clone) == ["pr list", "pr create"]
    pushed = git(clone.parent / "origin", "ls-tree", "-r", "--name-only", "retrain/2026-11").splitlines()
    assert set(pushed) == {"dvc.lock", *written}


def test_run_again_in_a_fresh_clone_it_writes_the_branch_anew_and_opens_no_second(clone: Path) -> None:
    (clone / "dvc.lock").write_text("two\n")
    open_change(clone)
    again = clone.parent / "again"
    git(clone.parent, "clone", "--quiet", "--single-branch", str(clone.parent / "origin"), str(again))
    (again / "dvc.lock").write_text("three\n")
    assert open_change(again, already="7") == ["pr list"]
    assert git(clone.parent / "origin", "show", "retrain/2026-11:dvc.lock") == "three"


def test_after_its_branch_was_merged_and_removed_the_same_clone_opens_another(clone: Path) -> None:
    (clone / "dvc.lock").write_text("two\n")
    open_change(clone)
    git(clone.parent / "origin", "branch", "-D", "retrain/2026-11")
    (clone / "dvc.lock").write_text("three\n")
    assert open_change(clone) == ["pr list", "pr create"]
    assert git(clone.parent / "origin", "show", "retrain/2026-11:dvc.lock") == "three"

"""Snapshots of versions reach the team's repository: git is real, and nothing is forced."""

import os
import subprocess
from pathlib import Path

import pytest

from tests.support.project import GIT_IDENTITY, begin_repository, git
from ticket_sentiment.registry.lineage import read_snapshot, snapshot

SCRIPT = Path(__file__).parents[2] / "scripts/push-versions"


@pytest.fixture
def origin(tmp_path: Path) -> Path:
    work, bare = tmp_path / "work", tmp_path / "origin"
    begin_repository(work)
    git(tmp_path, "clone", "--quiet", "--bare", str(work), str(bare))
    return bare


def clone_of(origin: Path, name: str) -> Path:
    """Of one branch, as CI checks out."""
    root = origin.parent / name
    git(origin.parent, "clone", "--quiet", "--single-branch", origin.as_uri(), str(root))
    return root


def register(root: Path, tag: str, lock: str) -> str:
    """What a retraining leaves in its working copy's git; the snapshot's hash."""
    (root / "dvc.lock").write_text(lock)
    commit = snapshot(root, ["dvc.lock"], tag)
    assert commit
    return commit


def push(root: Path) -> tuple[int, str, str]:
    """Run it: exit status, and what it said on both streams."""
    environment = os.environ | GIT_IDENTITY | {"GH_TOKEN": "t"}
    done = subprocess.run([SCRIPT], cwd=root, env=environment, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr


def tags(repository: Path) -> dict[str, str]:
    lines = git(repository, "for-each-ref", "--format=%(refname:short) %(objectname)", "refs/tags")
    return dict(line.split() for line in lines.splitlines())


def test_a_version_of_a_runner_that_is_gone_can_be_fetched_and_read(origin: Path) -> None:
    runner = clone_of(origin, "runner")
    commit = register(runner, "model/v1", "two\n")
    git(runner, "tag", "mine")
    assert push(runner) == (0, "sent model/v1\n", "")
    assert tags(origin) == {"model/v1": commit}
    desk = clone_of(origin, "desk")
    assert read_snapshot(desk, commit, "dvc.lock") is None
    git(desk, "fetch", "--quiet", "origin", "tag", "model/v1")
    assert read_snapshot(desk, commit, "dvc.lock") == b"two\n"


def test_run_again_it_sends_what_is_new(origin: Path) -> None:
    runner = clone_of(origin, "runner")
    first = register(runner, "model/v1", "two\n")
    push(runner)
    assert push(runner) == (0, "", "")
    again = clone_of(origin, "again")  # which has none of the tags
    second = register(again, "model/v2", "three\n")
    assert push(again) == (0, "sent model/v2\n", "")
    assert tags(origin) == {"model/v1": first, "model/v2": second}


def test_a_tag_of_another_commit_is_said_and_left_while_others_are_sent(origin: Path) -> None:
    runner, other = clone_of(origin, "runner"), clone_of(origin, "other")
    first = register(runner, "model/v1", "two\n")
    push(runner)
    mine = register(other, "model/v1", "mine\n")
    second = register(other, "model/v2", "three\n")
    status, printed, said = push(other)
    assert (status, printed) == (2, "sent model/v2\n")
    assert said.startswith(f"error: model/v1 is commit {first} at origin and {mine} here, and was left")
    assert "git push origin --delete model/v1" in said
    assert tags(origin) == {"model/v1": first, "model/v2": second}


def test_without_a_remote_it_says_so_and_does_not_fail(origin: Path) -> None:
    alone = clone_of(origin, "alone")
    register(alone, "model/v1", "two\n")
    git(alone, "remote", "remove", "origin")
    assert push(alone) == (0, "no snapshot sent: this repository has no remote origin\n", "")


def test_a_remote_that_cannot_be_read_or_written_is_an_error_of_one_line_with_a_remedy(origin: Path) -> None:
    runner = clone_of(origin, "runner")
    register(runner, "model/v1", "two\n")
    refuse = origin / "hooks/pre-receive"
    refuse.write_text("#!/bin/sh\nexit 1\n")
    refuse.chmod(0o755)
    status, _, said = push(runner)
    assert (status, tags(origin)) == (2, {})
    assert said.splitlines()[-1].startswith("error: not sent: refs/tags/model/v1; ")
    git(runner, "remote", "set-url", "origin", str(origin / "none"))
    status, _, said = push(runner)
    assert status == 2
    assert said.splitlines()[-1].startswith("error: no snapshot sent: origin cannot be read")


STATE = SCRIPT.with_name("champion-state")


def champion_state(root: Path, images: str, away: str = "none") -> subprocess.CompletedProcess[str]:
    """Run it, with a stand-in for dvc that says what it was asked."""
    tools = root.parent / "tools"
    tools.mkdir(exist_ok=True)
    bring = "mkdir -p data/prepared && cp dvc.lock data/prepared/train.parquet"
    (tools / "dvc").write_text(
        f'#!/bin/sh\necho "dvc $@, $(cat dvc.lock)"\n[ -e {away} ] || {{ {bring}; }}\n'
    )
    (tools / "dvc").chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "GH_TOKEN": "t"}
    return subprocess.run([STATE, images], cwd=root, env=environment, capture_output=True, text=True)


def test_the_champions_tickets_are_those_of_its_snapshot_and_unknown_without(origin: Path) -> None:
    runner = clone_of(origin, "runner")
    (runner / "data").mkdir()
    (runner / "data/tickets.dvc").write_text("month two\n")
    (runner / "dvc.lock").write_text("two\n")
    assert snapshot(runner, ["dvc.lock", "data/tickets.dvc"], "model/v2")
    desk = clone_of(origin, "desk")
    images = "ticket-sentiment:v2-0a1b2c3d4e5f-cpu\nticket-sentiment:v2-5f4e3d2c1b0a-gpu"
    missing = champion_state(desk, images)
    assert missing.returncode == 2 and "make versions-push" in missing.stderr and not missing.stdout
    assert push(runner)[0] == 0
    for _ in range(2):  # the second time the tag is there
        done = champion_state(desk, images)
        assert (done.returncode, done.stdout) == (0, "dvc pull --allow-missing, two\n"), done.stderr
    assert (desk / "data/tickets.dvc").read_text() == "month two\n"
    assert (desk / "var/released/v2/train.parquet").read_text() == "two\n"
    assert champion_state(desk, "postgres:17").returncode == 2


def test_the_tickets_of_a_challenger_beside_it_are_brought_too(origin: Path) -> None:
    runner = clone_of(origin, "runner")
    (runner / "data").mkdir()
    for version in ("v1", "v2", "v10"):
        for name in ("dvc.lock", "data/tickets.dvc"):
            (runner / name).write_text(f"{version}\n")
        assert snapshot(runner, ["dvc.lock", "data/tickets.dvc"], f"model/{version}")
    assert push(runner)[0] == 0
    desk = clone_of(origin, "desk")
    (desk / "var/released/v1").mkdir(parents=True)  # of a release before
    names = (f"ticket-sentiment:v2-{'0' * 12}-v10-{'1' * 12}-{device}" for device in ("cpu", "gpu"))
    done = champion_state(desk, "\n".join(names))
    assert done.stdout.splitlines() == ["dvc pull --allow-missing, v10", "dvc pull --allow-missing, v2"]
    held = {path.parent.name: path.read_text() for path in desk.glob("var/released/*/train.parquet")}
    assert held == {"v2": "v2\n", "v10": "v10\n"}
    assert (desk / "dvc.lock").read_text() == "v2\n"
    assert sorted(path.name for path in desk.glob("var/released/*")) == ["v10", "v2"]
    lacking = champion_state(desk, f"ticket-sentiment:v1-{'0' * 12}-cpu", away="dvc.lock")
    assert lacking.returncode == 2 and "does not hold the tickets of version 1" in lacking.stderr

"""What was merged comes into a copy that flows work in, and what the loop wrote stays; git is real."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support.project import git

SCRIPT = Path(__file__).parents[2] / "scripts/update"
OURS = {
    "dvc.lock": "ours",
    "data/tickets.dvc": "ours",
    "data/hotfix/1.parquet.dvc": "ours",
    "reports/metrics.json": "ours",
    "reports/training/learning_curve.csv": "ours",
}


def write(root: Path, **texts: str) -> None:
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def merged(origin: Path, **texts: str) -> None:
    """Somebody's change comes to the main branch."""
    write(origin, **texts)
    git(origin, "add", "--all")
    git(origin, "commit", "--quiet", "-m", "A change")


@pytest.fixture
def work(tmp_path: Path) -> Path:
    """A working copy in which a month has run: pointers, figures and state of its own."""
    origin, root = tmp_path / "origin", tmp_path / "work"
    origin.mkdir()
    git(origin, "init", "--quiet", "--initial-branch=main")
    first = {"code.py": "old", "gone.py": "old", "dvc.lock": "theirs", "reports/.gitignore": "old"}
    merged(origin, **first, **{".gitignore": "/var/\n"})
    git(tmp_path, "clone", "--quiet", str(origin), str(root))
    write(root, **OURS, **{"var/mlflow.db": "ours"})
    return root


@pytest.fixture
def change(work: Path) -> dict[str, str]:
    """In code, and in each of the files that the loop writes."""
    origin = work.parent / "origin"
    (origin / "gone.py").unlink()
    held = {"code.py": "new", "added/code.py": "new", "reports/.gitignore": "new", "data/other.dvc": "theirs"}
    merged(origin, **held, **dict.fromkeys(OURS, "theirs"))
    del held["data/other.dvc"]  # a pointer to what does not lie here
    return held


def update(root: Path, path: str = os.environ["PATH"]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [SCRIPT], cwd=root, capture_output=True, text=True, env={**os.environ, "PATH": path}
    )


def read(root: Path, *names: str) -> dict[str, str]:
    return {name: (root / name).read_text() for name in names if (root / name).exists()}


def assert_updated(work: Path, change: dict[str, str]) -> None:
    assert read(work, *change) == change
    assert read(work, *OURS) == OURS and (work / "var/mlflow.db").read_text() == "ours"
    assert not (work / "gone.py").exists() and not (work / "data/other.dvc").exists()
    assert git(work, "rev-parse", "HEAD") == git(work, "rev-parse", "origin/main")


def test_what_was_merged_comes_and_what_the_loop_wrote_stays(work: Path, change: dict[str, str]) -> None:
    done = update(work)
    assert (done.returncode, done.stderr) == (0, "") and "A change" in done.stdout
    assert_updated(work, change)
    assert update(work).stdout == ""
    merged(work.parent / "origin", **{"code.py": "newer", "dvc.lock": "theirs again"})
    assert update(work).returncode == 0
    assert_updated(work, change | {"code.py": "newer"})


@pytest.mark.parametrize("command", ["restore", "reset"])
def test_killed_between_any_two_steps_and_run_again_it_ends_what_it_began(
    work: Path, change: dict[str, str], command: str
) -> None:
    tools = work.parent / "tools"
    tools.mkdir()
    real = shutil.which("git")
    kill = f'#!/bin/sh\n[ "$1" = {command} ] && touch .git/index.lock && kill -9 $PPID\nexec {real} "$@"\n'
    (tools / "git").write_text(kill)
    (tools / "git").chmod(0o755)
    assert update(work, f"{tools}:{os.environ['PATH']}").returncode == -9
    assert update(work).returncode == 0
    assert_updated(work, change)


@pytest.mark.parametrize("name", ["code.py", "mine.py"])
def test_what_a_person_changed_here_is_named_and_kept(work: Path, change: dict[str, str], name: str) -> None:
    (work / name).write_text("by hand")
    done = update(work)
    assert done.returncode == 2 and "by hand" in done.stderr and name in done.stderr
    assert (work / name).read_text() == "by hand"
    assert git(work, "rev-parse", "HEAD") != git(work, "rev-parse", "origin/main")


def test_exports_that_lie_here_are_no_change_by_hand(work: Path, change: dict[str, str]) -> None:
    ignored = (SCRIPT.parents[1] / ".gitignore").read_text()
    merged(work.parent / "origin", **{".gitignore": ignored})
    (work / ".git/info/exclude").write_text(ignored)  # as if it had been there before
    write(work, **{"exports/2026-11.csv": "unmasked", "queue.csv": "unmasked"})
    assert update(work).returncode == 0
    assert_updated(work, change)
    assert (work / "exports/2026-11.csv").read_text() == "unmasked"


def test_commits_of_this_copy_alone_are_kept(work: Path, change: dict[str, str]) -> None:
    git(work, "commit", "--quiet", "--allow-empty", "-m", "mine")
    done = update(work)
    assert done.returncode == 2 and "commits" in done.stderr
    assert git(work, "log", "-1", "--format=%s") == "mine"


def test_a_repository_that_is_away_stops_nothing(work: Path) -> None:
    (work.parent / "origin").rename(work.parent / "away")
    done = update(work)
    assert done.returncode == 0 and "going on with what is here" in done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_a_copy_that_git_does_not_read_is_an_error_and_not_a_repository_that_is_away(work: Path) -> None:
    for path in (work, work / ".git"):
        os.chown(path, 50_000, 50_000)
    done = update(work)
    assert done.returncode == 2 and "git does not read this copy" in done.stderr

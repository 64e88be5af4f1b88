"""What a version was made from, and the commit that brings it back."""

from pathlib import Path

import pytest

from tests.support.project import DVC_LOCK, Project, git
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, write_text
from ticket_sentiment.registry.lineage import (
    lineage,
    lock_digest,
    read_snapshot,
    snapshot,
    snapshot_files,
)


def test_lineage_names_commit_data_and_params(project: Project) -> None:
    found = lineage(project.root)
    assert found["git.commit"] == git(project.root, "rev-parse", "HEAD")
    assert found["dvc.data.md5"] == "0123abcd.dir"
    assert found["params.sha256"] == sha256_file(project.root / "params.yaml")
    assert found["data.holdout.sha256"] == "c" * 64
    assert found["python"].startswith("3.")
    assert all(found.values())


def test_dirty_means_changed_code_not_a_retraining(project: Project) -> None:
    assert lineage(project.root)["git.dirty"] == "false"
    with (project.root / "params.yaml").open("a") as stream:
        stream.write("# changed\n")
    write_text(project.root / "untracked.txt", "x")
    assert lineage(project.root)["git.dirty"] == "false"
    for name in ("reports/gate.json", "reports/training/learning_curve.csv"):  # in git since last month
        write_text(project.root / name, "1\n")
        git(project.root, "add", "-f", name)
        git(project.root, "commit", "--quiet", "-m", name)
        write_text(project.root / name, "2\n")
    assert lineage(project.root)["git.dirty"] == "false"
    write_text(project.root / "code.py", "2\n")
    assert lineage(project.root)["git.dirty"] == "true"


def test_new_code_that_nobody_committed_is_dirty(project: Project) -> None:
    write_text(project.root / "src/new.py", "1\n")
    assert lineage(project.root)["git.dirty"] == "true"
    write_text(project.root / ".gitignore", "new.py\n")
    git(project.root, "add", ".gitignore")
    git(project.root, "commit", "--quiet", "-m", "ignored")
    assert lineage(project.root)["git.dirty"] == "false"


def test_a_snapshot_that_git_cannot_make_is_an_error(project: Project) -> None:
    write_text(project.root / ".git/refs/tags/model/v1.lock", "")  # as a kill in the middle leaves it
    with pytest.raises(TicketSentimentError, match=r"git update-ref failed \(.*v1.lock.*\).*run again"):
        snapshot(project.root, snapshot_files(project.root), "model/v1")


def test_lock_digest_ignores_layout_and_later_stages_but_not_the_model(tmp_path: Path) -> None:
    def digest(text: str) -> str:
        write_text(tmp_path / "dvc.lock", text)
        return lock_digest(tmp_path)

    original = digest(DVC_LOCK)
    assert digest("# a comment\n" + DVC_LOCK) == original
    assert digest(DVC_LOCK.replace("md5: ee", "md5: ff")) == original
    assert digest(DVC_LOCK.replace("dd.dir", "d0.dir")) != original
    assert digest("schema: '2.0'\nstages: {}\n") == "none"
    assert digest("- not\n- a lock\n") == "none"


def test_missing_sources_are_named_none(tmp_path: Path) -> None:
    found = lineage(tmp_path)
    keys = (
        "git.commit",
        "git.dirty",
        "dvc.lock.sha256",
        "dvc.data.md5",
        "dvc.feedback.md5",
        "params.sha256",
        "data.train.sha256",
    )
    assert {found[key] for key in keys} == {"none"}


def state(root: Path) -> tuple[str, ...]:
    """Branch, index bytes and working tree."""
    return (
        git(root, "symbolic-ref", "HEAD"),
        git(root, "rev-parse", "HEAD"),
        sha256_file(root / ".git/index"),
        git(root, "status", "--porcelain"),
        git(root, "diff"),
    )


def test_snapshot_holds_the_working_copies_and_leaves_branch_index_and_tree_alone(project: Project) -> None:
    project.result()
    write_text(project.root / "code.py", "staged\n")
    git(project.root, "add", "code.py")
    before = state(project.root)
    commit = snapshot(project.root, snapshot_files(project.root), "model/v1")
    assert state(project.root) == before
    assert git(project.root, "rev-parse", "model/v1") == commit
    assert git(project.root, "show", "model/v1:dvc.lock") == DVC_LOCK.strip()
    assert git(project.root, "show", "model/v1:code.py") == "1"
    held = git(project.root, "ls-tree", "-r", "--name-only", "model/v1").splitlines()
    assert {"reports/gate.json", "reports/evaluation/metrics.json", "data/tickets.dvc"} <= set(held)
    assert not any(name.startswith(("models/release", "var")) for name in held)
    author = git(project.root, "log", "-1", "--format=%an <%ae> %at", "model/v1")
    assert author == "Ticket Sentiment <ticket-sentiment@localhost> 1700000000"


def test_snapshot_of_equal_content_is_the_same_commit(project: Project) -> None:
    paths = snapshot_files(project.root)
    first = snapshot(project.root, paths, "model/v1")
    assert snapshot(project.root, paths, "model/v1") == first
    write_text(project.root / "dvc.lock", DVC_LOCK.replace("dd.dir", "d0.dir"))
    assert snapshot(project.root, paths, "model/v1") != first


def test_snapshot_can_be_checked_out(project: Project, tmp_path: Path) -> None:
    snapshot(project.root, snapshot_files(project.root), "model/v1")
    git(project.root, "worktree", "add", str(tmp_path / "checkout"), "model/v1")
    assert (tmp_path / "checkout/dvc.lock").read_text() == DVC_LOCK


def test_no_repository_or_no_commit_is_no_snapshot(tmp_path: Path) -> None:
    write_text(tmp_path / "dvc.lock", DVC_LOCK)
    assert snapshot(tmp_path, ["dvc.lock"], "model/v1") is None
    git(tmp_path, "init", "--quiet")
    assert snapshot(tmp_path, ["dvc.lock"], "model/v1") is None


def test_a_file_of_a_snapshot_is_read_as_it_was(project: Project) -> None:
    root = project.root
    write_text(root / "reports/odd.json", "  {}\n\n")
    commit = snapshot(root, snapshot_files(root), "model/v1")
    write_text(root / "reports/odd.json", "other")
    assert read_snapshot(root, commit, "reports/odd.json") == b"  {}\n\n"
    assert read_snapshot(root, commit, "reports/none.json") is None
    assert read_snapshot(root, "0" * 40, "dvc.lock") is None


def test_files_made_elsewhere_lie_in_a_snapshot_as_if_made_here(project: Project) -> None:
    root, elsewhere = project.root, project.root / "var/elsewhere"
    write_text(elsewhere / "dvc.lock", "of elsewhere\n")
    before = state(root)
    commit = snapshot(root, ["dvc.lock", "none.json"], "model/v2", elsewhere)
    assert state(root) == before
    assert read_snapshot(root, commit, "dvc.lock") == b"of elsewhere\n"
    changed = git(root, "diff", "--name-only", "HEAD", commit).splitlines()
    assert changed == ["dvc.lock"]

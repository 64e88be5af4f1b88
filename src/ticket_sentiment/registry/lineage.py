"""What a result was made from: git, dvc.lock, data, params; and a commit that brings all of it back."""

import hashlib
import json
import os
import platform
import subprocess
import tempfile
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file

NONE = "none"  # the value of a tag whose source is not there; an empty tag would not be shown
PACKAGES = ("onnxruntime", "torch", "transformers")
BUNDLE_STAGES = ("train", "prune", "quantize")
# What a retraining changes in the working copy; a snapshot holds these as they are now.
SNAPSHOT_PATHS = (
    "dvc.lock",
    "dvc.yaml",
    "params.yaml",
    "data/*.dvc",
    "models/frontier/frontier.csv",
    "reports/**/*.csv",
    "reports/**/*.json",
)
HOTFIX_PATHS = (*SNAPSHOT_PATHS, "champion/*.dvc", "champion/*.json")  # what a hotfix started from
CODE = ("src", "flows", "dvc.hotfix.yaml", "data/*.yaml")
GIT_LOCATIONS = ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_PREFIX")
IDENTITY = {"NAME": "Ticket Sentiment", "EMAIL": "ticket-sentiment@localhost"}


def _run_git(
    root: Path, *arguments: str, given: str | None = None, **environment: str
) -> subprocess.CompletedProcess[bytes] | None:
    """A git command; None where there is no git."""
    # Inside a git hook these would point at another repository or index.
    inherited = {name: value for name, value in os.environ.items() if name not in GIT_LOCATIONS}
    try:
        return subprocess.run(
            # Without optional locks even `git status` leaves the index file untouched.
            ["git", "--no-optional-locks", "-C", str(root), *arguments],
            capture_output=True,
            input=None if given is None else given.encode(),
            env={**inherited, **environment},
        )
    except OSError:
        return None


def _output(root: Path, *arguments: str) -> bytes | None:
    """What a git command writes, or None when it fails (no git, no repository, no commit)."""
    done = _run_git(root, *arguments)
    return done.stdout if done is not None and done.returncode == 0 else None


def _git(root: Path, *arguments: str) -> str | None:
    """The same, as text."""
    output = _output(root, *arguments)
    return None if output is None else output.decode().strip()


def _require_git(root: Path, *arguments: str, given: str | None = None, **environment: str) -> str:
    """The same, of a command that must not fail."""
    done = _run_git(root, *arguments, given=given, **environment)
    if done is None or done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() if done is not None else []
        raise TicketSentimentError(
            f"git {arguments[0]} failed ({lines[0] if lines else 'no reason given'}): what the version was "
            "made from is not kept yet: correct that and run again"
        )
    return done.stdout.decode().strip()


def read_snapshot(root: Path, commit: str, path: str) -> bytes | None:
    """A file of a commit, as it was; None when there is no such commit or file.

    Args:
        root: the repository, or a folder in it.
        commit: its hash.
        path: relative to `root`.
    """
    return _output(root, "show", f"{commit}:./{path}")


def snapshot_files(root: Path, patterns: Sequence[str] = SNAPSHOT_PATHS) -> list[str]:
    """Those files below `root` that match, as sorted paths relative to it."""
    found = {path.relative_to(root).as_posix() for pattern in patterns for path in root.glob(pattern)}
    return sorted(found)


def is_dirty(root: Path) -> bool:
    """Whether a tracked file differs from the commit, other than those that a snapshot holds, or code is new.

    New code is a file below `CODE` that git neither tracks nor ignores.
    """
    excluded = [f":(exclude,glob){pattern}" for pattern in SNAPSHOT_PATHS]
    changed = _git(root, "status", "--porcelain", "--untracked-files=no", "--", ".", *excluded)
    return bool(changed or _git(root, "ls-files", "--others", "--exclude-standard", "--", *CODE))


def _yaml(path: Path) -> dict[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError):
        return {}
    return content if isinstance(content, dict) else {}


def lock_digest(root: Path) -> str:
    """SHA-256 over dvc.lock's entries of the stages that make the bundle, whatever the file's layout.

    `none` when one of them is not in the file.
    """
    stages = _yaml(root / "dvc.lock").get("stages", {})
    if any(name not in stages for name in BUNDLE_STAGES):
        return NONE
    canonical = json.dumps({name: stages[name] for name in BUNDLE_STAGES}, sort_keys=True)
    return hashlib.sha256(canonical.encode()).hexdigest()


def _versioned(pointer: Path) -> str:
    """The hash of a folder that DVC versions."""
    outputs = _yaml(pointer).get("outs") or [{}]
    return str(outputs[0].get("md5", NONE))


def _package_version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return NONE


def _prepared_hashes(root: Path) -> dict[str, str]:
    path = root / "data/prepared/split.json"
    hashes = read_json(path)["sha256"] if path.is_file() else {}
    return {f"data.{split}.sha256": hashes.get(split, NONE) for split in ("train", "tune", "holdout")}


def lineage(root: Path, made_in: Path | None = None) -> dict[str, str]:
    """Tags that lead from a model version back to what made it.

    Args:
        root: the repository.
        made_in: where its stages ran, if not there.

    Returns:
        git.commit; git.dirty (`is_dirty`); dvc.lock.sha256; dvc.data.md5; dvc.feedback.md5; params.sha256;
        data.{train,tune,holdout}.sha256; python, onnxruntime, torch and transformers (versions). `none`
        stands for what is not there.
    """
    commit, made_in = _git(root, "rev-parse", "HEAD"), made_in or root
    params = made_in / "params.yaml"
    return {
        "git.commit": commit or NONE,
        "git.dirty": str(is_dirty(root)).lower() if commit else NONE,
        "dvc.lock.sha256": lock_digest(made_in),
        "dvc.data.md5": _versioned(made_in / "data/tickets.dvc"),
        "dvc.feedback.md5": _versioned(made_in / "data/feedback.dvc"),
        "params.sha256": sha256_file(params) if params.is_file() else NONE,
        **_prepared_hashes(made_in),
        "python": platform.python_version(),
        **{name: _package_version(name) for name in PACKAGES},
    }


def snapshot_tag(version: int | str) -> str:
    """The git tag that brings a version back: `git checkout model/v3 && dvc pull`."""
    return f"model/v{version}"


def snapshot(root: Path, paths: Sequence[str], name: str, made_in: Path | None = None) -> str | None:
    """Commit HEAD's tree plus the working copies of `paths`, and tag it `name`.

    A retraining changes dvc.lock, the data pointer and the reports, and nobody commits them before the
    model is registered. This keeps them: `git checkout <name> && dvc pull` brings a version back. Branch,
    index and working tree stay as they are; equal content gives the same commit.

    Args:
        root: the repository, or a folder in it.
        paths: files relative to `root`.
        name: of the tag. A tag of this name is moved: the registry numbers versions, git follows.
        made_in: where these files lie, if not in `root`; in the commit they lie as if they did.

    Returns:
        The commit's hash; None when there is no git repository or no commit yet.

    Raises:
        TicketSentimentError: git cannot do its part, as on a full disk or with a lock that a kill has left.
    """
    head, prefix = _git(root, "rev-parse", "HEAD"), _git(root, "rev-parse", "--show-prefix")
    date = _git(root, "log", "-1", "--format=%cd", "--date=raw")
    if not head or not date:
        return None
    folder = made_in or root
    present = [path for path in paths if (folder / path).is_file()]
    stored = "\n".join(str((folder / path).resolve()) for path in present)
    blobs = _require_git(root, "hash-object", "-w", "--no-filters", "--stdin-paths", given=stored)
    entries = [f"100644 {blob}\t{prefix}{path}" for blob, path in zip(blobs.split(), present, strict=True)]
    roles = ("AUTHOR", "COMMITTER")
    identity = {f"GIT_{role}_{key}": value for role in roles for key, value in IDENTITY.items()}
    identity |= {f"GIT_{role}_DATE": date for role in roles}
    with tempfile.TemporaryDirectory() as temporary:
        index = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
        _require_git(root, "read-tree", "HEAD", **index)
        _require_git(root, "update-index", "--add", "--index-info", given="\n".join(entries), **index)
        tree = _require_git(root, "write-tree", **index)
    message = f"Snapshot for {name}"
    commit = _require_git(root, "commit-tree", tree, "-p", head, "-m", message, **identity)
    _require_git(root, "update-ref", f"refs/tags/{name}", commit)
    return commit

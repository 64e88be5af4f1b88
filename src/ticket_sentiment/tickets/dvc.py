"""One DVC command in a repository, and DVC's own reason where it fails.

What changes something is a process of its own; what only looks is asked in this one, as a process for each
question would take a second, a dozen times a month.
"""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ticket_sentiment.dvc_locks import mend_dvc_locks
from ticket_sentiment.errors import TicketSentimentError, Unavailable


def run_dvc(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run `dvc` in a repository; what a kill left of its locks is mended before."""
    mend_dvc_locks(root)
    return subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=root,
        env={"DVC_NO_ANALYTICS": "1", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )


def has_remote(root: Path) -> bool:
    """Whether a default remote is configured.

    Of its failures DVC does not say which may pass: to a remote that is away it answers like to one that
    lacks the files. So where there is one, all of them are `Unavailable`.
    """
    from dvc.config import Config, ConfigError

    try:
        return bool(Config(str(root / ".dvc"))["core"].get("remote"))
    except ConfigError:
        return False  # every command of DVC will say so


def data_status(root: Path, folder: str) -> Mapping[str, Any]:
    """`dvc data status --granular --json` of one folder: its path and all in the answer relative to the root.

    Raises:
        TicketSentimentError: DVC cannot tell.
    """
    from dvc.repo import Repo

    mend_dvc_locks(root)
    try:
        with Repo(str(root)) as repo:
            return repo.data_status(targets=[folder], granular=True)
    except Exception as error:  # each of the packages that DVC consists of has errors of its own
        reason = next(iter(str(error).splitlines()), "") or type(error).__name__
        raise TicketSentimentError(
            f"dvc cannot tell the state of {folder} ({reason}): run `dvc data status`"
        ) from error


def require(
    done: subprocess.CompletedProcess[str],
    problem: str,
    remedy: str,
    kind: type[TicketSentimentError] = TicketSentimentError,
) -> None:
    """Refuse a command that failed.

    Raises:
        TicketSentimentError: it did; of this kind, with the problem, DVC's reason and the remedy.
    """
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise kind(f"{problem} ({reason.removeprefix('ERROR: ')}): {remedy}")


def bring(root: Path, pointer: str, remedy: str, what: str = "") -> None:
    """Make what a file of DVC's is about lie on disk: out of the cache, else from the remote.

    Args:
        root: the repository.
        pointer: the file, relative to it.
        remedy: what a person can do where neither has it.
        what: it is, for the message.

    Raises:
        Unavailable: the remote did not bring it.
        TicketSentimentError: there is no remote either.
    """
    checkout = ("--wait-for-lock", "checkout", "--force", pointer)
    if run_dvc(root, *checkout).returncode == 0:
        return
    run_dvc(root, "--wait-for-lock", "fetch", pointer)
    if run_dvc(root, *checkout).returncode:
        kind = Unavailable if has_remote(root) else TicketSentimentError
        name = pointer.removesuffix(".dvc")
        raise kind(f"{name}{what} is neither in DVC's cache nor in its remote: {remedy}")

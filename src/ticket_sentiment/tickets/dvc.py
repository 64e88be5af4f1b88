"""One DVC command in a repository, and DVC's own reason where it fails."""

import os
import subprocess
import sys
from pathlib import Path

from ticket_sentiment.dvc_locks import mend_dvc_locks
from ticket_sentiment.errors import TicketSentimentError


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


def require(done: subprocess.CompletedProcess[str], problem: str, remedy: str) -> None:
    """Refuse a command that failed.

    Raises:
        TicketSentimentError: it did; with the problem, DVC's reason and the remedy.
    """
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise TicketSentimentError(f"{problem} ({reason.removeprefix('ERROR: ')}): {remedy}")

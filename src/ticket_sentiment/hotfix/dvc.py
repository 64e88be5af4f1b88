"""DVC commands on single files, in the repository or in the folder of a hotfix."""

import os
import subprocess
import sys
from pathlib import Path

from ticket_sentiment.dvc_locks import mend_dvc_locks
from ticket_sentiment.errors import TicketSentimentError


def run_dvc(root: Path, *arguments: str, remedy: str = "", may_fail: bool = False) -> str | None:
    """Run `dvc` and give what it says.

    Args:
        root: where.
        *arguments: of the command.
        remedy: what a person does when it fails.
        may_fail: whether a failure is None instead.

    Raises:
        TicketSentimentError: it failed; with DVC's own reason.
    """
    mend_dvc_locks(root)
    done = subprocess.run(
        [sys.executable, "-m", "dvc", "--wait-for-lock", *arguments],
        cwd=root,
        env={"DVC_NO_ANALYTICS": "1", **os.environ},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode and not may_fail:
        lines = [line for line in done.stderr.splitlines() if line.strip()] or ["no reason given"]
        reason = next((line for line in lines if line.startswith("ERROR")), lines[-1])
        raise TicketSentimentError(f"dvc {arguments[0]} failed ({reason.removeprefix('ERROR: ')}): {remedy}")
    return None if done.returncode else done.stdout

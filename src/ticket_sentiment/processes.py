"""Processes that do not outlive the one that started them."""

import ctypes
import os
import signal
import sys


def die_with_parent(parent: int | None = None) -> None:
    """End this process when the one that started it is killed (Linux).

    Without it a stage goes on after `kill -9` of the flow and would race with the next run.

    Args:
        parent: process id of the one that started it: when that is gone already, this ends at once.
    """
    if sys.platform == "linux":
        set_parent_death_signal = 1  # PR_SET_PDEATHSIG of prctl(2)
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGKILL)
    if parent is not None and os.getppid() != parent:
        os._exit(1)

"""Processes that do not outlive the one that started them, hold little memory, and end without delay."""

import atexit
import ctypes
import gc
import io
import os
import platform
import signal
import sys


def few_collections() -> None:
    """Let the collector of cycles look seldom, and not at the end; best before the heavy imports.

    Torch, Evidently or MLflow are half a million objects that stay until the end. The collector would look
    through them dozens of times while they are imported and once more when the process ends: two fifths of
    the time of a stage on a small table. Counting references frees nearly everything without it.
    """
    gc.set_threshold(50_000, 20, 20)  # 700, 10, 10 by default
    atexit.register(gc.freeze)  # the last of all: what is registered later is called before


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


def lines_in_order() -> None:
    """Write standard output line by line in a pipe, too: else an error comes before what led to it.

    A character that the terminal's encoding lacks is written as its number, so that a run never ends by it.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")


def lean_memory() -> None:
    """Keep the memory of training low; to be called before torch computes and before threads begin.

    Texts have every length, so tensors have every size. With an arena for each thread glibc keeps what one
    freed from the others, and oneDNN keeps a compiled kernel with its scratch for each of 1,024 shapes:
    together half a gigabyte.
    """
    os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
    if platform.libc_ver()[0] == "glibc":
        most_arenas = -8  # M_ARENA_MAX of mallopt(3)
        ctypes.CDLL(None).mallopt(most_arenas, 1)

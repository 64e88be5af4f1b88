"""What a kill can leave of DVC: its files half written, or itself still at work."""

import json
import re
import time
from collections.abc import Callable
from itertools import chain
from pathlib import Path

import psutil
import yaml

from ticket_sentiment.errors import TicketSentimentError

RWLOCK = ".dvc/tmp/rwlock"
MERGE = re.compile(r"^<{7} ", re.MULTILINE)


def _require_whole(lock: str) -> None:
    """Raise ValueError where a dvc.lock was not written to its end.

    Raises:
        TicketSentimentError: a merge has left both sides in it; which one is right a person must say.
    """
    if MERGE.search(lock):
        raise TicketSentimentError(
            "dvc.lock holds the two sides of a merge (<<<<<<<): take one with `git checkout --ours dvc.lock` "
            "or `--theirs`, and run again"
        )
    try:
        content = yaml.safe_load(lock)
        content["schema"]
        for stage in (content.get("stages") or {}).values():
            for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
                if "path" not in entry or entry.keys() <= {"path", "hash"}:  # a hash's name and no hash
                    raise ValueError("an entry ends too early")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("it ends too early") from error


def _remove_broken(path: Path, read: Callable[[str], object]) -> bool:
    """Remove a file that `read` refuses with a ValueError, unless it is being written just now."""
    for _ in range(2):
        try:
            read(path.read_text(encoding="utf-8"))
            return False
        except FileNotFoundError:
            return False
        except ValueError:
            time.sleep(0.5)
    path.unlink(missing_ok=True)
    return True


def _named(root: Path) -> set[int]:
    """Processes that DVC's locks on paths name; not one that started this process."""
    try:
        lock = json.loads((root / RWLOCK).read_text(encoding="utf-8"))
        holders = [*chain.from_iterable(lock["read"].values()), *lock["write"].values()]
        named = {int(holder["pid"]) for holder in holders if holder}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return set()  # none was made yet, or it is being written
    return named - {parent.pid for parent in psutil.Process().parents()}


def _at_work(root: Path) -> set[int]:
    """Processes of DVC that hold one of its locks on paths, and live."""
    living = set()
    for number in _named(root):
        try:
            process = psutil.Process(number)
            # Another program may have got the number of one that is gone.
            programs = {Path(argument).name for argument in process.cmdline()[:4]}  # python -m dvc
            if process.status() != psutil.STATUS_ZOMBIE and "dvc" in programs:
                living.add(number)
        except psutil.Error:
            continue
    return living


def _wait_for_dvc(root: Path) -> None:
    """Wait until no other DVC is at work in the repository, and say so.

    DVC waits for its lock of the repository alone (`--wait-for-lock`). While it runs a stage it holds others,
    on paths, at which the next DVC would fail: as after a flow that was killed, whose DVC goes on.
    """
    told = False
    while pids := _at_work(root):
        if not told:
            print(f"waiting for another dvc here (PID {', '.join(map(str, sorted(pids)))})", flush=True)
            told = True
        time.sleep(0.5)


def mend_dvc_locks(root: Path) -> None:
    """Make DVC's state such that its next command is not refused, whatever was killed before.

    A DVC that is at work is waited for; what is half written is removed. The file of locks,
    `.dvc/tmp/rwlock`, held those of the process that is gone. `dvc.lock` is made anew by the next
    `dvc repro`, which takes what was made before out of its run cache.

    Raises:
        TicketSentimentError: `dvc.lock` holds the two sides of a merge.
    """
    _wait_for_dvc(root)
    _remove_broken(root / RWLOCK, json.loads)
    if _named(root):  # gone, all of them: DVC itself would take another program with such a number for one
        (root / RWLOCK).unlink(missing_ok=True)
    if _remove_broken(root / "dvc.lock", _require_whole):
        print("removed dvc.lock, which was half written: it is made anew", flush=True)

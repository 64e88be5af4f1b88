"""What a kill can leave of DVC's own files, and its removal."""

import json
import time
from collections.abc import Callable
from pathlib import Path

import yaml


def _require_whole(lock: str) -> None:
    """Raise ValueError where a dvc.lock was not written to its end."""
    try:
        content = yaml.safe_load(lock)
        content["schema"]
        for stage in (content.get("stages") or {}).values():
            for entry in (*stage.get("deps", ()), *stage.get("outs", ())):
                if "path" not in entry or entry.keys() <= {"path", "hash"}:  # a hash's name and no hash
                    raise ValueError("an entry ends too early")
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise ValueError("it ends too early") from error


def _remove_broken(path: Path, read: Callable[[str], object]) -> None:
    """Remove a file that `read` refuses with a ValueError, unless it is being written just now."""
    for _ in range(2):
        try:
            read(path.read_text(encoding="utf-8"))
            return
        except FileNotFoundError:
            return
        except ValueError:
            time.sleep(0.5)
    path.unlink(missing_ok=True)


def mend_dvc_locks(root: Path) -> None:
    """Remove what a kill left half written of DVC's state: it would refuse every command.

    The file of locks, `.dvc/tmp/rwlock`, held those of the process that is gone. `dvc.lock` is made anew by
    the next `dvc repro`, which takes what was made before out of its run cache.
    """
    _remove_broken(root / ".dvc/tmp/rwlock", json.loads)
    _remove_broken(root / "dvc.lock", _require_whole)

"""Files that are either whole or not there: written aside, then renamed."""

import contextlib
import hashlib
import json
import math
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, TextIO

from ticket_sentiment.errors import TicketSentimentError

LOCK_POLL_S = 1.0  # between two looks at a lock that is waited for


def sha256_file(path: Path) -> str:
    """Hex SHA-256 of a file's bytes, read in chunks."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def sha256_tree(folder: Path) -> str:
    """Hex SHA-256 over the sorted relative names and contents of all files below a folder."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(f"{path.relative_to(folder).as_posix()}\0{sha256_file(path)}\n".encode())
    return digest.hexdigest()


@contextlib.contextmanager
def replacing(path: Path, mode: int = 0o644) -> Iterator[Path]:
    """Yield a temporary file path beside `path`; on success rename it over `path`, else remove it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        os.chmod(temporary, mode)  # mkstemp makes 0600, which a container's user could not read
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield an empty temporary folder beside `path`; on success it takes the place of `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        yield temporary
        os.chmod(temporary, 0o755)
        if path.exists():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Write a UTF-8 text file as a whole."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, value: Any) -> None:
    """Write JSON as a whole: sorted keys, so that equal values give equal bytes. NaN is refused."""
    write_text(path, json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path, remedy: str | None = None) -> Any:
    """Read a JSON file.

    Args:
        path: of the file.
        remedy: what a person does when it cannot be read; None: it is what a DVC stage has made.

    Raises:
        TicketSentimentError: the file is missing or is no JSON; the message says which.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: {remedy or 'run `dvc repro` to make it'}") from None
    except ValueError as error:
        raise TicketSentimentError(
            f"{path} is not JSON ({error}): {remedy or 'remove it and run `dvc repro`'}"
        ) from None


def rounded(value: Any) -> Any:
    """Every float of a nested value to five digits: more is noise, and makes a file's diffs unreadable."""
    if isinstance(value, dict):
        return {key: rounded(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [rounded(item) for item in value]
    return float(f"{value:.5g}") if isinstance(value, float) else value


def finite_or_none(value: float) -> float | None:
    """A number for JSON: NaN and infinities become null, which every gate reads as missing evidence."""
    return float(value) if math.isfinite(value) else None


def require_space(folder: Path, needed: int) -> None:
    """Refuse to start writing `needed` bytes below `folder` when the disk does not hold them.

    Raises:
        TicketSentimentError: with the folder, the bytes needed and the bytes free.
    """
    probe = folder
    while not probe.exists():
        probe = probe.parent
    free = shutil.disk_usage(probe).free
    if free < needed:
        raise TicketSentimentError(
            f"no space for {folder}: {needed / 1e6:.0f} MB needed, {free / 1e6:.0f} MB free; "
            "free some disk space (`dvc gc --workspace --all-tags` drops what no version needs) and run again"
        )


@contextlib.contextmanager
def exclusive(path: Path, what: str, wait_s: float = 0.0) -> Iterator[None]:
    """Hold a lock file while the block runs; the kernel lets go of it when the process dies.

    Args:
        path: of the lock file.
        what: holds it, for a person.
        wait_s: how long to wait for another process that holds it. That it waits is said once.

    Raises:
        TicketSentimentError: another process holds it, or still does after the wait.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as stream:
        until = time.monotonic() + wait_s
        held = _locked(stream)
        if not held and wait_s:
            limit = f"{wait_s / 3600:g} hours" if wait_s >= 3600 else f"{wait_s / 60:.0f} minutes"
            said = f"{what} is running here ({path} is locked): waiting for its end, {limit} at most"
            print(said, file=sys.stderr, flush=True)  # what goes to stdout others may read
        while not held and time.monotonic() < until:
            time.sleep(LOCK_POLL_S)
            held = _locked(stream)
        if not held:
            raise TicketSentimentError(
                f"{what} is already running in this repository ({path} is locked): wait for its end"
            )
        yield


def _locked(stream: TextIO) -> bool:
    import fcntl  # here: what the edge needs of this module also runs where there is none

    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True

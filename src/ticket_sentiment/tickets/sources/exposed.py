"""Files of what customers wrote, unmasked, and secrets that git has or would take up."""

import os
import subprocess
from collections.abc import Iterable
from itertools import groupby
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Tickets
from ticket_sentiment.tickets.sources.files import matching

GIT_TIMEOUT_S = 60.0


def exposure(tickets: Tickets, root: Path) -> str | None:
    """A warning where files of the source lie in a git repository that does not ignore them.

    No refusal, as made-up tickets may be in git on purpose. None for other sources, and where git is away.
    """
    if tickets.source.kind != "files":
        return None
    found = in_git(root / path for path in matching(tickets.source, root))
    if not found:
        return None
    more = f" and {len(found) - 1} more files" if len(found) > 1 else ""
    return (
        f"warning: {found[0]}{more} of tickets.source.path {'are' if more else 'is'} not ignored by git, and "
        "what customers wrote is not masked there: add the folder to .gitignore, or keep it outside of the "
        "repository; `git rm --cached` takes out what git has already, but not of its history"
    )


def in_git(paths: Iterable[Path]) -> list[Path]:
    """Those of some files that git tracks, or that `git add --all` would take up."""
    found = []
    for folder, inside in groupby(sorted(paths), key=lambda path: path.parent):
        listed = _listed(folder)
        found += [path for path in inside if path.name in listed]
    return found


def require_outside(secret: Path) -> None:
    """Refuse the place of a secret that is not there yet, where `git add --all` would take it up.

    Raises:
        TicketSentimentError: it lies in a git repository that does not ignore it.
    """
    path = secret.absolute()
    folder = next(one for one in path.parents if one.is_dir())
    done = _git(folder, "check-ignore", "--quiet", str(path))
    if done and done.returncode == 1:  # 0 is ignored, 128 no repository
        raise TicketSentimentError(
            f"{secret} is a secret and lies in a git repository, which would take it up: name a file outside "
            "of it, such as ~/keys/2026-11"
        )


def _listed(folder: Path) -> set[str]:
    """Names of a folder that git tracks or does not ignore; none where there is no git or no repository."""
    done = _git(folder, "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    return {os.fsdecode(name) for name in done.stdout.split(b"\0")} if done else set()


def _git(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes] | None:
    # Inside a git hook its variables would point at another repository.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    try:
        return subprocess.run(
            ["git", "-C", str(folder), *arguments],
            env=environment,
            capture_output=True,
            timeout=GIT_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError):
        return None

"""Room for files that are mapped into memory: a write to a page for which there is none kills the process."""

import os
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError


def reserve(path: Path, size: int) -> None:
    """Make the file where it is missing, and give it all its blocks.

    Raises:
        TicketSentimentError: there is no room.
    """
    try:
        with path.open("ab") as stream:
            os.posix_fallocate(stream.fileno(), 0, size)
    except OSError as error:
        raise TicketSentimentError(
            f"{path.parent}: {size / 1024:.0f} KiB for what the workers share cannot be had "
            f"({error.strerror}): free some space there, or set TMPDIR to another folder"
        ) from None


def require_room(folder: Path, size: int) -> None:
    """Refuse to start where a folder has no room for so many bytes.

    Raises:
        TicketSentimentError: it has not.
    """
    probe = folder / "room"
    try:
        reserve(probe, size)
    finally:
        probe.unlink(missing_ok=True)

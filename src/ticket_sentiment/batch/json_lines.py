"""Lines of a JSON Lines file, and what they hold, before its first ticket is scored."""

import contextlib
import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import BinaryIO

from ticket_sentiment.errors import TicketSentimentError

LONGEST_LINE = 2**24
LONG_LINE = 2**16  # from here on what nobody asks for is left out: a chunk would hold all attachments
LOOKED_AT = 1000  # lines, the blank ones not counted, in search of the columns


def read_lines(stream: BinaryIO) -> Iterator[bytes | None]:
    """Lines behind a byte order mark; None in the place of one that is longer than any ticket."""
    if stream.read(3) != b"\xef\xbb\xbf":
        stream.seek(0)
    while line := stream.readline(LONGEST_LINE):
        whole = len(line) < LONGEST_LINE or line.endswith(b"\n")
        while not line.endswith(b"\n") and (rest := stream.readline(LONGEST_LINE)):
            line = rest
        yield line if whole else None


def without_the_rest(line: bytes, keys: Collection[str]) -> bytes:
    """A long line as an object of these keys alone; what is no object stays none."""
    if len(line) < LONG_LINE or not line.strip():
        return line
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return b"null"
    if not isinstance(record, dict):
        return b"null"
    return json.dumps({key: record[key] for key in keys if key in record}).encode()


def read_keys(path: Path, name: str) -> list[str] | None:
    """Of the objects among the first lines; None where all lines are blank.

    Raises:
        TicketSentimentError: there are lines, and none is an object.
    """
    found: dict[str, None] = {}
    looked, objects = 0, 0
    with path.open("rb") as stream:
        for line in read_lines(stream):
            if line is None or not line.strip():
                continue
            looked += 1
            with contextlib.suppress(ValueError, RecursionError):
                record = json.loads(line)
                if isinstance(record, dict):
                    objects += 1
                    found |= dict.fromkeys(record)
            if looked == LOOKED_AT:
                break
    if looked and not objects:
        raise TicketSentimentError(f"{name}: no line is a JSON object: expected one a line, {{...}}")
    return list(found) if looked else None

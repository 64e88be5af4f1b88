"""`python -m ticket_sentiment.batch.worker`: scores the chunks that come on standard input, one at a time.

Not a pool of `multiprocessing`: that imports the caller's main module in every worker, which under Prefect is
Prefect (seconds, and 150 MB), and passes pickles. Here go frames: a byte of kind, eight of length, content.
"""

import os
import signal
import struct
import sys
import traceback
from pathlib import Path
from typing import BinaryIO

from ticket_sentiment.batch.scorer import ChunkScorer, ScoreSettings, score_packed
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.processes import die_with_parent

RESULT, PROBLEM, FAILURE = b"r", b"p", b"f"  # what a person can correct is a problem
_HEAD = struct.Struct("<cQ")


def write_frame(stream: BinaryIO, kind: bytes, content: bytes) -> None:
    """Send one frame."""
    stream.write(_HEAD.pack(kind, len(content)))
    stream.write(content)
    stream.flush()


def read_frame(stream: BinaryIO) -> tuple[bytes, bytes] | None:
    """The next frame's kind and content; None when the other side has closed or died."""
    head = stream.read(_HEAD.size)
    if len(head) < _HEAD.size:
        return None
    kind, length = _HEAD.unpack(head)
    content = stream.read(length)
    return (kind, content) if len(content) == length else None


def _failure(error: Exception) -> bytes:
    """Kind and place of an error; its message may hold a text."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__} in {Path(last.filename).name} line {last.lineno}".encode()


def main() -> None:
    """Settings and bundle in the first frame, then chunks until the parent closes."""
    die_with_parent(int(sys.argv[1]))
    for ignored in (signal.SIGINT, signal.SIGTERM):  # a terminal tells all; the parent says when to end
        signal.signal(ignored, signal.SIG_IGN)
    frames = os.fdopen(os.dup(sys.stdout.fileno()), "wb")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # what a library prints must not get between frames
    scorer = None
    while (frame := read_frame(sys.stdin.buffer)) is not None:
        try:
            if scorer is None:
                scorer, answer = _open(frame[1]), b""
            else:
                answer = score_packed(scorer, frame[1])
        except TicketSentimentError as error:
            write_frame(frames, PROBLEM, str(error).encode())
        except Exception as error:
            write_frame(frames, FAILURE, _failure(error))
        else:
            write_frame(frames, RESULT, answer)


def opening(bundle: Path, settings: ScoreSettings) -> bytes:
    """The content of the first frame."""
    return f"{settings.model_dump_json()}\n{bundle}".encode()


def _open(first: bytes) -> ChunkScorer:
    settings, _, bundle = first.decode().partition("\n")
    return ChunkScorer(load_bundle(Path(bundle)), ScoreSettings.model_validate_json(settings))


if __name__ == "__main__":
    main()

"""`dvc repro` as a function. dvc.yaml stays the only place where the graph of stages is stated."""

import codecs
import os
import re
import subprocess
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from ticket_sentiment.dvc_locks import mend_dvc_locks
from ticket_sentiment.errors import TicketSentimentError

RETRAIN_LOCK = Path("var/retrain.lock")  # of whoever changes what a retraining reads
RETRAINING = "a retraining, a collection, a hotfix or an erasure"  # holds it
ERROR = re.compile(r"^error: (?P<message>.*)")
LAST_LINES = 20
LINE_END = re.compile(r"[\r\n]+")


def _passed_on(stream: IO[bytes]) -> Iterator[str]:
    """What arrives, shown at once (a progress bar ends no line for minutes) and yielded by whole lines."""
    decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
    pending = ""
    while chunk := stream.read1():
        text = decoder.decode(chunk)
        sys.stdout.write(text)
        sys.stdout.flush()
        *whole, pending = LINE_END.split(pending + text)
        yield from whole
    yield pending


def reproduce(target: str, root: Path = Path()) -> None:
    """Bring a stage and all it depends on up to date; what has not changed is not run again.

    What the stages print is passed on. Another `dvc` in the same repository is waited for.

    Args:
        target: a stage of dvc.yaml.
        root: of the repository.

    Raises:
        TicketSentimentError: a stage failed; with its own one line where it gave one (DVC itself only
            says that something exited with a status).
    """
    mend_dvc_locks(root)
    scripts = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{scripts}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [sys.executable, "-m", "dvc", "--wait-for-lock", "repro", target]
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, cwd=root, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        for line in _passed_on(process.stdout):
            last.append(line)
    if process.returncode == 0:
        return
    for line in reversed(last):
        if found := ERROR.match(line):
            raise TicketSentimentError(found["message"])
    reason = next((line for line in reversed(last) if line.startswith("ERROR")), "see the output above")
    raise TicketSentimentError(f"`dvc repro {target}` failed: {reason.removeprefix('ERROR: ')}")

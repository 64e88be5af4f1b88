"""A server under test: started, asked, frozen while others are timed, stopped with all its processes."""

import contextlib
import json
import os
import signal
import subprocess
import time
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import psutil

from benchmarks.serving.load import HOST

START_SECONDS = 120.0
STOP_SECONDS = 20.0


def post(port: int, path: str, body: bytes, headers: str = "") -> Any:
    """One request, its JSON answer.

    Raises:
        OSError: there is no server, or it answered with an error.
    """
    fields = dict(line.split(": ", 1) for line in headers.splitlines())
    request = urllib.request.Request(
        f"http://{HOST}:{port}{path}", body, {"Content-Type": "application/json", **fields}
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        return json.load(response)


class Server:
    """A process and its descendants."""

    def __init__(
        self, command: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path, port: int
    ) -> None:
        self.port, self.log = port, log
        with log.open("wb") as stream:
            self._process = psutil.Popen(
                list(command), stdout=stream, stderr=subprocess.STDOUT, cwd=cwd, start_new_session=True,
                env={**os.environ, **environment},
            )  # fmt: skip

    def wait(self, path: str, body: bytes, headers: str) -> None:
        """Until it answers.

        Raises:
            RuntimeError: it ended, or does not answer in time; the message ends with its log.
        """
        deadline = time.monotonic() + START_SECONDS
        reason: object = "it ended"
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                post(self.port, path, body, headers)
                return
            except (OSError, ValueError) as error:
                reason = error
                time.sleep(0.3)
        raise RuntimeError(f"does not answer ({reason}):\n{self.log.read_text(errors='replace')[-3000:]}")

    def _tree(self) -> list[psutil.Process]:
        with contextlib.suppress(psutil.NoSuchProcess):
            return [self._process, *self._process.children(recursive=True)]
        return []

    def cpu(self) -> float:
        """Seconds of processor time of all its processes so far."""
        total = 0.0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                times = process.cpu_times()
                total += times.user + times.system
        return total

    def memory_mb(self) -> float:
        """Proportional set size of all its processes."""
        total = 0
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                total += process.memory_full_info().pss
        return total / 2**20

    def signal(self, number: int) -> None:
        """Send to every process."""
        for process in self._tree():
            with contextlib.suppress(psutil.NoSuchProcess):
                process.send_signal(number)

    def freeze(self) -> None:
        """Take no processor time while another is timed."""
        self.signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Go on."""
        self.signal(signal.SIGCONT)

    def stop(self) -> None:
        """End all of it."""
        self.thaw()
        processes = self._tree()
        with contextlib.suppress(psutil.NoSuchProcess):
            self._process.terminate()
        _, alive = psutil.wait_procs(processes, STOP_SECONDS)
        for process in alive:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs(alive, STOP_SECONDS)

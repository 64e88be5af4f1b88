"""A real `bentoml serve` process for tests."""

import contextlib
import os
import random
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import httpx
import yaml

from tests.support.params import params_file
from ticket_sentiment.cache.answer import Answer

REPOSITORY = Path(__file__).parents[2]
SERVICE = "ticket_sentiment.serving.service:TicketSentiment"


def free_port() -> int:
    """A port that nothing listens on, below those that the system gives to clients: one of theirs may be
    taken by any connection before the server that it was meant for binds it."""
    while True:
        port = random.SystemRandom().randrange(10_000, 32_000)
        with contextlib.suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port


def write_params(folder: Path, serve: dict | None = None, **sections: dict) -> int:
    """params.yaml of the repository with other values, in `folder`. Returns the metrics' port, a free one.

    Args:
        folder: where a development server will run.
        serve: of the section `serve`; the sections in it are merged too.
        **sections: of other sections.
    """
    raw = yaml.safe_load(params_file().read_text())
    port = free_port()
    changes = {"serve": {"metrics": {"port": port}, **(serve or {})}, **sections}
    for section, values in changes.items():
        for key, value in values.items():
            raw[section][key] = raw[section][key] | value if isinstance(value, dict) else value
    (folder / "params.yaml").write_text(yaml.safe_dump(raw))
    return port


class Server:
    """`bentoml serve` of a target, e.g. a Bento's tag or folder; use it as a context manager."""

    def __init__(
        self, target: str, log: Path, cwd: Path, workers: int = 1, port: int | None = None, **environment: str
    ) -> None:
        self.log, self.port = log, port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        with log.open("ab") as stream:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    "bentoml",
                    "serve",
                    target,
                    "--host",
                    "127.0.0.1",
                    "--port",
                    str(self.port),
                    *(["--arg", f"workers={workers}"] if workers > 1 else []),
                ],
                stdout=stream,
                stderr=subprocess.STDOUT,
                cwd=cwd,
                env={**os.environ, "BENTOML_DO_NOT_TRACK": "true", **environment},
            )

    def wait_until_ready(self, seconds: float = 60) -> None:
        """Raises AssertionError with the log when the process ends or does not get ready."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and self.process.poll() is None:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"not ready:\n{self.log.read_text()}")

    def __enter__(self) -> "Server":
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class FakeClassifier:
    """Stands for serving.classifier.Classifier. Fails on `poison`, and of `nothing` nothing is left."""

    version, backend, requested_backend, folds_case = "1", "fake", "fake", True

    def __init__(self, digest: str = "f" * 64, max_batch: int = 1, seconds: float = 0.0) -> None:
        self.digest, self.max_batch, self.seconds = digest, max_batch, seconds
        self.release = digest
        self.seen: list[str] = []
        self.poison = "poison"
        self.batches: list[int] = []

    def answers(self, texts: Sequence[str]) -> list[Answer | None]:
        time.sleep(self.seconds)
        self.batches.append(len(texts))
        for text in texts:
            if self.poison in text:
                raise ValueError(f"cannot read {text}")
        self.seen += texts
        return [
            None if "nothing" in text else Answer("positive", (0.1, 0.2, 0.7), self.backend) for text in texts
        ]

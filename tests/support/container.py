"""A container of the service's image, as docs/containers.md says to run it."""

import json
import os
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.given import BENTO, Given
from tests.support.serving import free_port
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.registry.images import find_engine


def engine_or_skip() -> str:
    """The engine that builds and runs images here, of `make image-test` that of ENGINE."""
    refuse = pytest.fail if "TICKET_SENTIMENT_IMAGE" in os.environ else pytest.skip
    try:
        engine = find_engine(os.environ.get("ENGINE") or None)
    except TicketSentimentError as error:
        refuse(f"images are not tested: {error}")
    if engine == "buildah":
        refuse("images are not tested: buildah alone runs none, install podman")
    return engine


def base_image_or_skip(engine: str, name: str) -> str:
    """The base image, here or pulled."""
    known = subprocess.run([engine, "image", "inspect", name], capture_output=True).returncode == 0
    if not known and subprocess.run([engine, "pull", name], capture_output=True).returncode != 0:
        pytest.skip(f"images are not tested: no {name} here, nor by pull; scripts/base-image makes one")
    return name


class Container:
    """A running container with a read-only root file system; use it as a context manager.

    Args:
        engine: docker or podman.
        image: its name.
        given: what its settings want.
        network: bridge, with both ports published on localhost, or none.
    """

    def __init__(self, engine: str, image: str, given: Given, network: str = "bridge") -> None:
        self.engine, self.image, self.given = engine, image, given
        self.port, self.metrics_port = free_port(), free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        ports = (f"127.0.0.1:{self.port}:3000", f"127.0.0.1:{self.metrics_port}:{given.metrics_port}")
        self.begun = time.monotonic()
        self.id = self._run(
            "run", "--detach", "--network", network, "--read-only", "--tmpfs", "/tmp", "--cap-drop", "all",
            "--security-opt", "no-new-privileges", *(f"--env={name}" for name in given.environment),
            "--volume", f"{BENTO}/var",
            *(f"--volume={file}:{path}:ro" for path, file in given.mounts.items()),
            *(f"--publish={port}" for port in ports if network == "bridge"), image,
        ).strip()  # fmt: skip

    def _run(self, *arguments: str) -> str:
        environment = {**os.environ, **self.given.environment}  # in a command line all could read the keys
        result = subprocess.run([self.engine, *arguments], capture_output=True, text=True, env=environment)
        assert result.returncode == 0, f"{self.engine} {' '.join(arguments)}\n{result.stderr}"
        return result.stdout

    def exec(self, *command: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([self.engine, "exec", self.id, *command], capture_output=True, text=True)

    def copy(self, path: str, target: Path) -> None:
        """Out of the container."""
        self._run("cp", f"{self.id}:{path}", str(target))

    def inspect(self) -> dict[str, Any]:
        return json.loads(self._run("inspect", self.id))[0]

    def logs(self) -> str:
        result = subprocess.run([self.engine, "logs", self.id], capture_output=True, text=True)
        return result.stdout + result.stderr

    def client(self) -> httpx.Client:
        """As whom the service answers."""
        return httpx.Client(base_url=self.url, headers=self.given.headers, timeout=30)

    def workers(self) -> set[int]:
        """Process ids inside of the processes that answer."""
        script = (
            "import pathlib\n"
            "for path in pathlib.Path('/proc').glob('[0-9]*/cmdline'):\n"
            "    try: words = path.read_text().split('\\0')\n"
            "    except OSError: continue\n"
            "    if '_bentoml_impl.worker.service' in words: print(path.parent.name)\n"
        )
        return {int(line) for line in self.exec("python", "-c", script).stdout.split()}

    def wait_until_ready(self, seconds: float = 120) -> float:
        """Returns seconds since the start; raises AssertionError with the log when it does not get ready."""
        while time.monotonic() < self.begun + seconds and self.inspect()["State"]["Running"]:
            try:
                if httpx.get(f"{self.url}/readyz", timeout=2).status_code == 200:
                    return time.monotonic() - self.begun
            except httpx.TransportError:
                time.sleep(0.1)
        raise AssertionError(f"not ready:\n{self.logs()}")

    def stop(self) -> float:
        """By SIGTERM, and by SIGKILL after 60 s; seconds it took."""
        begun = time.monotonic()
        self._run("stop", "--time", "60", self.id)
        return time.monotonic() - begun

    def run_on_its_volume(self, program: str, *arguments: str) -> str:
        """What a second container prints, which has the first one's volume; that one may have stopped."""
        options = ("--rm", "--network", "none", "--volumes-from", self.id, "--entrypoint", program)
        return self._run("run", *options, self.image, *arguments).strip()

    def __enter__(self) -> "Container":
        return self

    def __exit__(self, *_: object) -> None:
        subprocess.run([self.engine, "rm", "--force", "--volumes", self.id], capture_output=True)


def export(engine: str, image: str, folder: Path) -> Path:
    """The image's whole file system, as a tar file."""
    path = folder / "image.tar"
    created = subprocess.run(
        [engine, "create", image], capture_output=True, text=True, check=True
    ).stdout.strip()
    try:
        subprocess.run([engine, "export", "--output", str(path), created], check=True, capture_output=True)
    finally:
        subprocess.run([engine, "rm", "--force", created], capture_output=True)
    return path

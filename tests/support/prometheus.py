"""A real Prometheus for tests, with this repository's rules, which reads what a test serves."""

import re
import socket
import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.support.serving import REPOSITORY, free_port

PROMETHEUS = REPOSITORY / "deploy/prometheus"


class Prometheus:
    """Scrapes and evaluates every half second; use it as a context manager."""

    def __init__(self, folder: Path, metrics_port: int) -> None:
        configuration = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
        configuration["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        del configuration["alerting"]
        (job,) = configuration["scrape_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{metrics_port}"]}]
        (folder / "rules").mkdir()
        for path in (PROMETHEUS / "rules").glob("*.yaml"):
            (folder / "rules" / path.name).write_text(
                re.sub("interval: 1m", "interval: 500ms", path.read_text())
            )
        (folder / "prometheus.yml").write_text(yaml.safe_dump(configuration))
        self._folder, self._port = folder, free_port()
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{self._port}/api/v1", timeout=10)

    def __enter__(self) -> "Prometheus":
        with (self._folder / "log").open("wb") as log:
            self._process = subprocess.Popen(
                [
                    "prometheus", "--config.file=prometheus.yml", "--storage.tsdb.path=data",
                    f"--web.listen-address=127.0.0.1:{self._port}",
                ],
                stdout=log, stderr=log, cwd=self._folder,
            )  # fmt: skip
        deadline = time.monotonic() + 30
        while True:
            try:
                socket.create_connection(("127.0.0.1", self._port), 1).close()
                return self
            except OSError:
                assert time.monotonic() < deadline, (self._folder / "log").read_text()
                time.sleep(0.1)

    def __exit__(self, *_: object) -> None:
        self._client.close()
        self._process.kill()
        self._process.wait()

    def get(self, path: str, **parameters: str) -> Any:
        """What its HTTP API answers."""
        answer = self._client.get(path, params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expr: str) -> list[dict[str, Any]]:
        """The series that an expression gives now."""
        return self.get("query", query=expr)["result"]

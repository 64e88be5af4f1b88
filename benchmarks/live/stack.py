"""The real parts on one machine: MLflow's and Prefect's servers, our service, traffic; all on 127.0.0.1."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx
import yaml

from benchmarks.live.traffic import Line, Plan, read_log
from tests.support.serving import free_port
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.files import write_text
from ticket_sentiment.params import load_params
from ticket_sentiment.processes import die_with_parent

REPOSITORY = Path(__file__).parents[2]
START_S = 180.0  # that a server may take on a busy machine
STOP_S = 20.0


class Stack:
    """A project, and the processes that serve it."""

    def __init__(self, root: Path, changes: dict[str, dict[str, Any]]) -> None:
        """Change the project's params.yaml.

        Args:
            root: its folder.
            changes: of params.yaml, by section; the ports, folders and addresses are set here.
        """
        self.root = root
        self._processes: list[subprocess.Popen[bytes]] = []
        self.mlflow, self.prefect = (f"http://127.0.0.1:{free_port()}" for _ in range(2))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._write_params(changes)
        self.params = load_params(root / "params.yaml")
        self.logs = root / "var/logs"
        self.logs.mkdir(parents=True, exist_ok=True)

    def _write_params(self, changes: dict[str, dict[str, Any]]) -> None:
        path = self.root / "params.yaml"
        raw = yaml.safe_load(path.read_text(encoding="utf-8"))
        own = {
            "serve": {
                "port": self.port,
                "metrics": {"host": "127.0.0.1", "port": free_port()},
                "releases": str(self.root / "var/releases"),
            },
            "events": {"url": f"sqlite:///{self.root}/var/events.db"},
            "registry": {"tracking_uri": self.mlflow},
        }
        for changed in (changes, own):
            for section, values in changed.items():
                raw[section] |= values
        write_text(path, yaml.safe_dump(raw))

    @property
    def environment(self) -> dict[str, str]:
        """Of this process, for the flows that it runs, and of all that it starts."""
        paths = [str(REPOSITORY / "src"), str(REPOSITORY)]
        return {
            "PYTHONPATH": os.pathsep.join(paths),
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
            "MLFLOW_TRACKING_URI": self.mlflow,
            "MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT": "true",
            "PREFECT_API_URL": f"{self.prefect}/api",
            "PREFECT_HOME": str(self.root / "var/prefect"),
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "BENTOML_HOME": str(self.root / "var/bentoml"),
            "TICKET_SENTIMENT_PSEUDONYM_KEY": "only for the traffic of this benchmark",
            "TICKET_SENTIMENT_EVENTS_URL": f"sqlite:///{self.root}/var/events.db",
        }

    def start(self, name: str, command: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start a process in the project's folder, its output in a log of its name."""
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.root,
                env={**os.environ, **self.environment},
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that it can be ended with all its children
                preexec_fn=die_with_parent,  # and does not go on when this process is killed
            )
        self._processes.append(process)
        return process

    def start_servers(self) -> None:
        """MLflow and Prefect, at the same time."""
        mlflow, prefect = ((url.rpartition(":")[2]) for url in (self.mlflow, self.prefect))
        python = [sys.executable, "-m"]
        var = self.root / "var"
        self.start(
            "mlflow",
            [
                *python, "mlflow", "server", "--host", "127.0.0.1", "--port", mlflow, "--workers", "1",
                "--backend-store-uri", f"sqlite:///{var}/mlflow.db",
                "--artifacts-destination", f"{var}/mlartifacts",
            ],
        )  # fmt: skip
        self.start(
            "prefect",
            [*python, "prefect", "server", "start", "--host", "127.0.0.1", "--port", prefect, "--no-ui"],
        )
        self.wait_for(f"{self.mlflow}/health", "mlflow")
        self.wait_for(f"{self.prefect}/api/health", "prefect")

    def start_service(self) -> None:
        """As a person does: `ticket-sentiment serve` builds the champion's Bento and serves it."""
        self.start("serve", self.command("serve"))
        self.wait_for(f"{self.url}/readyz", "serve")

    def command(self, *arguments: str) -> list[str]:
        """Of `ticket-sentiment`."""
        return [sys.executable, "-m", "ticket_sentiment.cli", *arguments]

    def run(self, *arguments: str) -> str:
        """Run `ticket-sentiment` to its end; what it printed. RuntimeError when it fails."""
        done = subprocess.run(
            self.command(*arguments),
            cwd=self.root,
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            timeout=START_S,
        )
        if done.returncode:
            raise RuntimeError(f"ticket-sentiment {arguments[0]}: {done.stderr.strip()}")
        return done.stdout

    def entry(self) -> Entry | None:
        """Of the ledger, in force; None while nobody has decided anything."""
        with contextlib.closing(Ledger.open(self.params.events)) as ledger:
            found = ledger.current()
        return found if found and found.change else None

    def history(self, first: int) -> list[Entry]:
        """Of the ledger, from an epoch on, in order."""
        with contextlib.closing(Ledger.open(self.params.events)) as ledger:
            return [entry for entry in ledger.history(1000)[::-1] if entry.state.epoch >= first]

    def wait_for(self, url: str, name: str) -> None:
        """Until it answers 200. RuntimeError with the end of its log when it does not in START_S."""
        until = time.monotonic() + START_S
        while time.monotonic() < until and not any(item.poll() for item in self._processes):
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(url, timeout=5).status_code == 200:
                    return
            time.sleep(0.2)
        log = (self.logs / f"{name}.log").read_text(errors="replace")
        raise RuntimeError(f"{name} is not ready at {url}:\n{log[-3000:]}")

    @contextlib.contextmanager
    def traffic(self, **plan: Any) -> Iterator["Traffic"]:
        """Tickets and labels until the block ends; the plan's fields are those of `traffic.Plan`."""
        log, stop = self.logs / "traffic.jsonl", self.root / "var/stop"
        stop.unlink(missing_ok=True)
        whole = Plan(url=self.url, log=str(log), stop=str(stop), **plan)
        path = self.root / "var/plan.json"
        path.write_text(json.dumps(asdict(whole)), encoding="utf-8")
        process = self.start("traffic", [sys.executable, "-m", "benchmarks.live.traffic", str(path)])
        try:
            yield Traffic(log, process)
        finally:
            stop.touch()
            process.wait(60)
        if process.returncode:
            raise RuntimeError(f"the traffic broke: {(self.logs / 'traffic.log').read_text()[-2000:]}")

    def close(self) -> None:
        """End all that was started, the last one first."""
        for process in reversed(self._processes):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(STOP_S)
            with contextlib.suppress(ProcessLookupError):  # whatever is left of its children
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


class Traffic:
    """What the traffic has seen."""

    def __init__(self, log: Path, process: subprocess.Popen[bytes]) -> None:
        self.log, self._process = log, process

    def ended(self) -> bool:
        """Whether all of it was sent and answered."""
        return self._process.poll() is not None

    def lines(self) -> list[Line]:
        """All requests that have ended."""
        return read_log(self.log)

    def answers(self, since: float = 0.0) -> list[Line]:
        """Answers to tickets that left after a time, in the order in which they left."""
        found = [line for line in self.lines() if line.what == "classify" and line.left >= since]
        return sorted(found, key=lambda line: line.left)

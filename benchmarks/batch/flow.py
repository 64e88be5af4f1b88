"""What the Prefect flow adds to the command: both with a project's champion, from start to end."""

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from benchmarks.batch.runs import ENVIRONMENT, Bench
from benchmarks.robustness.service import Report
from tests.support.serving import free_port

MAX_OVERHEAD = 0.05


def flow(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """Bar: 5 %. A server runs already, as it does for a schedule."""
    here = bench.work / "project"
    (here / "var").mkdir(parents=True)
    shutil.copyfile(bench.work / "params.yaml", here / "params.yaml")
    shutil.copyfile(
        bench.project / "var/mlflow.db", here / "var/mlflow.db"
    )  # its artifacts stay where they are
    port = free_port()
    environment = {
        **ENVIRONMENT, "PREFECT_HOME": str(here / "prefect"), "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false", "MLFLOW_DISABLE_TELEMETRY": "true",
    }  # fmt: skip
    server = subprocess.Popen(
        [sys.executable, "-m", "prefect", "server", "start", "--port", str(port)],
        env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    commands = {"command": ["ticket_sentiment.cli", "score"], "flow": ["flows.score_batch"]}
    found: dict[str, list[float]] = {name: [] for name in commands}
    try:
        _wait(f"http://127.0.0.1:{port}/api/health", server)
        for _ in range(options.rounds):
            for name in random.sample(list(commands), len(commands)):
                found[name].append(_seconds(commands[name], bench.tickets, here, environment))
                print(f"- {name}: {found[name][-1]:,.1f} s", flush=True)
    finally:
        server.terminate()
        server.wait()
    added = [flow / command - 1 for flow, command in zip(found["flow"], found["command"], strict=True)]
    seen = f"{100 * statistics.median(added):.1f} % ({100 * min(added):.1f} to {100 * max(added):.1f})"
    holds = statistics.median(added) <= MAX_OVERHEAD
    report.claim("time that the flow adds", seen, f"{100 * MAX_OVERHEAD:g} %", holds)


def _wait(url: str, server: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 180
    while time.monotonic() < until and server.poll() is None:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.5)
    sys.exit("error: Prefect's server did not start")


def _seconds(module: list[str], tickets: Path, folder: Path, environment: dict[str, str]) -> float:
    out = folder / "scores"
    shutil.rmtree(out, ignore_errors=True)
    command = [sys.executable, "-m", *module, str(tickets), str(out)]
    start = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    if done.returncode or not (out / "_manifest.json").is_file():
        sys.exit(f"error: {' '.join(command[2:])}: {done.stderr[-1000:]}")
    return time.perf_counter() - start

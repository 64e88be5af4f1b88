"""Where the microseconds of one request go, part by part.

    python -m benchmarks.serving.profile          # after `make retrain`; a minute

The service's own application on uvicorn, as a BentoML worker runs it, in a process of its own under load from
another. First its processor time a request, untouched; then the same with a clock around each part, which
counts a part's own time and not that of the parts it calls. The clocks cost something too: what they add to
the whole is printed. Slow outliers (other processes) are cut at the 98th percentile of a part.
"""

import argparse
import asyncio
import functools
import inspect
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any

import numpy as np
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from benchmarks.serving.assets import Assets, prepare
from benchmarks.serving.load import Plan, Window, drive
from benchmarks.serving.ours import Ours, OursWithConstantGraph

RUNS = {
    "constant graph, 1 connection": ("constant", 1),
    "constant graph, 32 connections": ("constant", 32),
    "released bundle, 32 connections": ("bundle", 32),
}
CUT = 98  # percentile


class Clocks:
    """Own time of each part, in nanoseconds a step. For one thread."""

    def __init__(self) -> None:
        self.steps: dict[str, list[int]] = defaultdict(list)
        self._running: list[list[int]] = []  # when it began, and what those it called took

    def enter(self) -> None:
        """A part begins."""
        self._running.append([time.perf_counter_ns(), 0])

    def leave(self, part: str) -> None:
        """It ends, or waits."""
        began, others = self._running.pop()
        took = time.perf_counter_ns() - began
        self.steps[part].append(took - others)
        if self._running:
            self._running[-1][1] += took

    def wrap(self, owner: Any, name: str, part: str) -> None:
        """Put a clock around a function or a coroutine function."""
        original: Callable[..., Any] = getattr(owner, name)

        @functools.wraps(original)
        def timed(*args: Any, **kwargs: Any) -> Any:
            self.enter()
            try:
                return original(*args, **kwargs)
            finally:
                self.leave(part)

        @functools.wraps(original)
        async def timed_steps(*args: Any, **kwargs: Any) -> Any:
            return await _Steps(original(*args, **kwargs), self, part)

        setattr(owner, name, timed_steps if inspect.iscoroutinefunction(original) else timed)

    def microseconds(self, requests: int) -> dict[str, float]:
        """A request's share of each part."""
        result = {}
        for part, steps in self.steps.items():
            values = np.array(steps)
            result[part] = float(np.minimum(values, np.percentile(values, CUT)).sum() / 1000 / requests)
        return result


class _Steps:
    """A coroutine whose every step is timed; while it waits, its clock stands still."""

    def __init__(self, coroutine: Any, clocks: Clocks, part: str) -> None:
        self._coroutine, self._clocks, self._part = coroutine, clocks, part

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value]

    def __iter__(self) -> "_Steps":
        return self

    def __next__(self) -> Any:
        return self.send(None)

    def send(self, value: Any) -> Any:
        self._clocks.enter()
        try:
            return self._coroutine.send(value)
        finally:
            self._clocks.leave(self._part)

    def throw(self, *error: Any) -> Any:
        self._clocks.enter()
        try:
            return self._coroutine.throw(*error)
        finally:
            self._clocks.leave(self._part)


def instrument(clocks: Clocks) -> None:
    """Clocks around the parts, in the order of a request. Here and not in the service: it has no hook."""
    from ticket_sentiment.cache.cache import PredictionCache
    from ticket_sentiment.model.runtime import Runtime
    from ticket_sentiment.serving import routes, scoring
    from ticket_sentiment.serving.arms import Split
    from ticket_sentiment.serving.classifier import Classifier
    from ticket_sentiment.serving.engine import Engine
    from ticket_sentiment.serving.front import Front
    from ticket_sentiment.serving.keys import ApiKeys
    from ticket_sentiment.serving.limiter import RateLimiter
    from ticket_sentiment.serving.metrics import Metrics
    from ticket_sentiment.serving.request import Request
    from ticket_sentiment.serving.scoring import Scorer

    for owner, name, part in (
        (HttpToolsProtocol, "data_received", "uvicorn: read"),
        (RequestResponseCycle, "run_asgi", "uvicorn: call the application"),
        (Front, "__call__", "front: head, in flight, log"),
        (Request, "__init__", "front: head, in flight, log"),
        (ApiKeys, "index", "guard: key"),
        (RateLimiter, "take", "guard: rate"),
        (Request, "body", "body, with its time limit"),
        (routes, "parse_ticket", "parse and check"),
        (Request, "while_waiting", "watch for a caller that leaves"),
        (scoring, "clean", "mask personal data"),
        (scoring, "canonical", "greeting and signature off"),
        (Split, "choose", "assignment"),
        (Scorer, "_expose", "exposure"),
        (Scorer, "classify", "scorer"),
        (scoring, "cache_key", "cache"),
        (PredictionCache, "get_or_compute", "cache"),
        (Engine, "submit", "queue"),
        (Engine, "_turn", "queue"),
        (Runtime, "token_ids", "model: tokens"),
        (Runtime, "_run", "model: ONNX Runtime"),
        (Classifier, "answers", "model: probabilities, answer"),
        (Scorer, "_record", "record the prediction"),
        (Metrics, "answered", "metrics"),
        (Metrics, "request", "metrics"),
        (routes, "to_json", "answer to JSON"),
        (Front, "_send", "respond"),
        (RequestResponseCycle, "send", "uvicorn: write"),
    ):
        clocks.wrap(owner, name, part)


async def _serve(port: int, load: Callable[[], Window]) -> dict[str, float]:
    """Processor time a request, in µs: `loop` of the thread that answers, `others` of all others."""
    from ticket_sentiment.serving.application import Application
    from ticket_sentiment.serving.settings import load_deployed

    with tempfile.TemporaryDirectory() as shared:
        application = Application(load_deployed(), "cpu", Path(shared))
        await application.start()

        async def front(scope: Any, receive: Any, send: Any) -> None:
            await application.front(scope, receive, send)  # uvicorn would take a clock for a factory

        options = {"lifespan": "off", "access_log": False, "log_level": "warning"}
        server = uvicorn.Server(uvicorn.Config(front, port=port, **options))
        serving = asyncio.create_task(server.serve())
        while not server.started:
            await asyncio.sleep(0.01)
        loop, process = time.thread_time(), time.process_time()
        window = await asyncio.to_thread(load)
        loop, process = time.thread_time() - loop, time.process_time() - process
        server.should_exit = True
        await serving
        await application.stop()
    if window.errors:
        raise RuntimeError(f"not every request was answered: {window.errors}")
    return {
        "requests": window.sent,
        "loop": 1e6 * loop / window.sent,
        "others": 1e6 * (process - loop) / window.sent,
    }


def measure(assets: Assets, work: Path, run: str, seconds: float, clocked: bool) -> dict[str, float]:
    """Of one run, in this process, which is of no use after: parts, `loop` and `others` in microseconds."""
    import uvloop

    model, connections = RUNS[run]
    if model == "constant":
        service: Ours = OursWithConstantGraph(assets, assets.constants[0], work, 1, 50_000)
    else:
        service = Ours(assets, assets.bundle, work, 1)
    os.chdir(service.cwd())
    os.environ.update(service.environment())
    plan = Plan(
        service.port, service.path, service.template, str(assets.texts), service.headers, connections, seconds
    )
    clocks = Clocks()
    if clocked:
        instrument(clocks)
    about = uvloop.run(_serve(service.port, lambda: drive(plan)))
    return {**about, **clocks.microseconds(int(about["requests"]))}


def _in_process(arguments: argparse.Namespace, run: str, clocked: bool) -> dict[str, float]:
    command = [sys.executable, "-m", "benchmarks.serving.profile", "--run", run]
    command += ["--project", str(arguments.project.resolve()), "--work", str(arguments.work.resolve())]
    command += ["--seconds", str(arguments.seconds), *(["--clocked"] if clocked else [])]
    result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def table(plain: dict[str, dict[str, float]], clocked: dict[str, dict[str, float]]) -> str:
    """Parts in the order in which a request meets them, µs a request."""
    meta = ("requests", "loop", "others")
    parts = list(dict.fromkeys(part for run in clocked.values() for part in run if part not in meta))
    rows = [(part, [run.get(part, 0.0) for run in clocked.values()]) for part in ORDER if part in parts]
    sums = [sum(run.get(part, 0.0) for part in parts) for run in clocked.values()]
    rest = [run["loop"] - own for run, own in zip(clocked.values(), sums, strict=True)]
    rows.append(("event loop, sockets, kernel, clocks", rest))
    rows.append(
        ("**all of the thread that answers**, with clocks", [run["loop"] for run in clocked.values()])
    )
    rows.append(("**without clocks**", [run["loop"] for run in plain.values()]))
    rows.append(("other threads (events, metrics)", [run["others"] for run in plain.values()]))
    lines = [f"| µs a request | {' | '.join(plain)} |", f"| --- |{' ---: |' * len(plain)}"]
    lines += [f"| {name} | {' | '.join(f'{value:.1f}' for value in row)} |" for name, row in rows]
    return "\n".join(lines)


ORDER = (
    "uvicorn: read", "uvicorn: call the application", "front: head, in flight, log", "guard: key",
    "guard: rate", "body, with its time limit", "parse and check", "watch for a caller that leaves",
    "mask personal data", "greeting and signature off", "assignment", "exposure", "cache", "queue",
    "model: tokens", "model: ONNX Runtime", "model: probabilities, answer", "metrics",
    "record the prediction", "scorer", "answer to JSON", "respond", "uvicorn: write",
)  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--project", type=Path, default=Path(), help="where `make retrain` has run")
    parser.add_argument("--work", type=Path, default=Path("var/bench"))
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--run", choices=RUNS, help=argparse.SUPPRESS)
    parser.add_argument("--clocked", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.run:
        assets = prepare(arguments.project, arguments.work)
        found = measure(assets, arguments.work, arguments.run, arguments.seconds, arguments.clocked)
        print(json.dumps(found))
        return
    plain = {run: _in_process(arguments, run, False) for run in RUNS}
    print(table(plain, {run: _in_process(arguments, run, True) for run in RUNS}))


if __name__ == "__main__":
    main()

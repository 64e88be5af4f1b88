"""What the benchmarks of robustness share: a service to start, tickets to send, a report to print."""

import argparse
import datetime
import math
import random
import re
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from tests.support.serving import SERVICE, Server, write_params
from ticket_sentiment.gates.benchmark import machine
from ticket_sentiment.model.bundle import Bundle, load_bundle, write_bundle

BUNDLE = Path("models/release/cpu")
_SUBJECTS = (
    "the invoice of last month",
    "my new router",
    "the update of your app",
    "an order for two chairs",
)
_PROBLEMS = (
    "arrived late and nobody told us why",
    "works again since this morning, many thanks",
    "still shows the old address after three calls",
    "stops every few minutes, a nuisance",
)
_ENDS = ("please have a look", "I would like my money back", "your colleague was very helpful", "what now?")


def texts(count: int, seed: int = 7) -> list[str]:
    """Distinct tickets of some 25 tokens each."""
    draw = random.Random(seed)
    return [
        f"{draw.choice(_SUBJECTS)} {draw.choice(_PROBLEMS)}, {draw.choice(_ENDS)} ({n})" for n in range(count)
    ]


def arguments(description: str | None, seconds: float, help_seconds: str) -> argparse.ArgumentParser:
    """The options that every script has."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help=f"what is served (default: {BUNDLE})")
    parser.add_argument("--workers", type=int, default=2, help="processes of the service (default: 2)")
    parser.add_argument(
        "--seconds", type=float, default=seconds, help=f"{help_seconds} (default: {seconds:g})"
    )
    return parser


def second_bundle(bundle: Bundle, path: Path) -> Bundle:
    """The same model under another digest, its temperature moved a little: as large as the first."""
    fields = bundle.manifest.model_dump(exclude={"files", "labels"})
    fields["temperature"] *= 1.01
    return write_bundle(path, bundle.model_path, bundle.tokenizer_path, **fields)


@dataclass
class Service:
    """A service in a folder of its own. It can be started again on the same port.

    Attributes:
        folder: of its settings, log and, unless `events` says otherwise, its event database.
        bundle: the champion's folder.
        workers: its processes.
        challenger: the challenger's folder.
        events: URL of the event database.
        serve: of params.yaml's section, where another value is wanted.
        cache: whether equal texts are answered from memory.
    """

    folder: Path
    bundle: Path
    workers: int = 1
    challenger: Path | None = None
    events: str | None = None
    serve: dict[str, object] = field(default_factory=dict)
    cache: bool = False
    port: int | None = None

    def start(self) -> Server:
        """Start it, without waiting until it is ready."""
        self.folder.mkdir(parents=True, exist_ok=True)
        write_params(self.folder, self.serve, cache={} if self.cache else {"entries": 0})
        environment = {"TICKET_SENTIMENT_BUNDLE": str(self.bundle.resolve())}
        if self.challenger:
            environment["TICKET_SENTIMENT_CHALLENGER"] = str(self.challenger.resolve())
        environment["TICKET_SENTIMENT_EVENTS_URL"] = (
            self.events or f"sqlite:///{self.folder.resolve()}/events.db"
        )
        server = Server(
            SERVICE, self.folder / "serve.log", self.folder, self.workers, port=self.port, **environment
        )
        self.port = server.port
        return server


def verified(path: Path) -> Bundle:
    """The bundle to serve; ends the script with a sentence where there is none."""
    if not (path / "bundle.json").is_file():
        sys.exit(f"error: {path} holds no bundle: run `make retrain` or name another with --bundle")
    return load_bundle(path)


def processes(server: Server) -> list[psutil.Process]:
    """The service's supervisor and all below it."""
    supervisor = psutil.Process(server.process.pid)
    return [supervisor, *supervisor.children(recursive=True)]


def workers(server: Server) -> list[psutil.Process]:
    """The processes that answer: those that have said in the log that they have started."""
    started = re.findall(r'"message":"metrics on http[^"]*","process":(\d+)', server.log.read_text())
    found = []
    for process in processes(server):
        try:
            if str(process.pid) in started and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.Error:  # it has just ended
            continue
    return found


def memory_mb(server: Server) -> tuple[float, float]:
    """PSS (what several processes share counted once) and RSS of the whole service, in 2**20 bytes."""
    pss = rss = 0
    for process in processes(server):
        try:
            memory = process.memory_full_info()
        except psutil.Error:
            continue
        pss, rss = pss + memory.pss, rss + memory.rss
    return pss / 2**20, rss / 2**20


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest of the values that at least this share is not above; NaN of none."""
    ordered = sorted(values)
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else math.nan


def median(values: Sequence[float]) -> float:
    return statistics.median(values) if values else math.nan


class Report:
    """A table of claims, each with what was seen, the bound and whether it holds."""

    def __init__(self, title: str, bundle: Bundle) -> None:
        about = machine()
        self._rows: list[tuple[str, str, str, bool]] = []
        print(f"## {title}\n", flush=True)
        print(
            f"{datetime.date.today().isoformat()}, {about['cpu']}, {about['cores']} cores, client on the "
            f"same machine, bundle {bundle.digest[:12]} ({bundle.manifest.precision}).\n",
            flush=True,
        )

    def claim(self, what: str, seen: str, bound: str, holds: bool) -> None:
        """Add a row."""
        self._rows.append((what, seen, bound, holds))

    def close(self) -> int:
        """Print the table; the script's exit status."""
        print("\n| | seen | bound | |\n|---|---|---|---|")
        for what, seen, bound, holds in self._rows:
            print(f"| {what} | {seen} | {bound} | {'holds' if holds else '**missed**'} |")
        missed = sum(not holds for *_, holds in self._rows)
        print(f"\nVerdict: {'all bounds hold' if not missed else f'{missed} missed'}")
        return 1 if missed else 0

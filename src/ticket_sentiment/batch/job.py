"""A batch job from files to a folder of answers: `ticket-sentiment score`.

The reader is a chunk ahead of the workers; each worker has one chunk, whose answers are written before it
gets the next. So a kill at any moment costs at most one chunk a worker, and a rerun makes what is not there.
"""

import contextlib
import queue
import re
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa

from ticket_sentiment.batch.code import code_digest
from ticket_sentiment.batch.output import LOCK, Output
from ticket_sentiment.batch.progress import Progress, duration
from ticket_sentiment.batch.runners import LocalRunner, Runner
from ticket_sentiment.batch.scorer import FIELDS, ScoreSettings, pack, unpack
from ticket_sentiment.batch.source import Chunk, SourceFile, describe, read_chunks
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import exclusive
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.params import Params

Tell = Callable[[str], None]
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:/")


@dataclass(frozen=True)
class Model:
    """What answers.

    Attributes:
        bundle: verified.
        version: of the registry; None where it is none of it.
    """

    bundle: Bundle
    version: str | None

    def describe(self) -> dict[str, str | None]:
        return {"version": self.version, "bundle_digest": self.bundle.digest}


@dataclass(frozen=True)
class Summary:
    """A job that is done.

    Attributes:
        folder: of the output.
        manifest: its content.
        scored: tickets that this run has scored.
        rate: of them a second.
    """

    folder: Path
    manifest: dict[str, Any]
    scored: int
    rate: float

    def lines(self) -> list[str]:
        """For a person."""
        rows, rejects = self.manifest["rows"], self.manifest["rejects"]
        model = self.manifest["model"]
        name = f"version {model['version']}" if model["version"] else "bundle"
        lines = [f"{rows:,} tickets scored by {name} {model['bundle_digest'][:12]} in {self.folder}"]
        if rows:
            counts = {**self.manifest["labels"], "of all abstained": self.manifest["abstained"]}
            lines.append(", ".join(f"{label} {100 * count / rows:.1f} %" for label, count in counts.items()))
        if rejects:
            lines.append(f"{rejects:,} rows could not be scored: {self.folder / '_rejects.csv'} says why")
        if self.scored:
            lines.append(f"{self.rate:,.0f} tickets/s, {duration(self.scored / self.rate)}")
        elif rows:
            lines.append("all of it was there already")
        return lines


def score_files(
    params: Params,
    source: str,
    out: Path,
    model: Model,
    *,
    columns: dict[str, str] | None = None,
    replace: bool = False,
    tell: Tell = lambda line: print(line, file=sys.stderr, flush=True),
) -> Summary:
    """Score every ticket of the input exactly once. Killed at any moment, the same call goes on.

    Args:
        params: `batch`, `serve` (longest text, abstaining) and `tickets.columns` are read.
        source: a Parquet, CSV or JSON Lines file, a folder of them, or a glob.
        out: a folder, new or of the same job.
        model: what answers.
        columns: our field: the input's column, before `tickets.columns`.
        replace: throw away what another job has left in `out`.
        tell: takes a line about the progress.

    Raises:
        TicketSentimentError: the input or `out` is not as it should be, a worker died, or SIGTERM or
            SIGINT came; the message says what is done.
    """
    named = {**params.tickets.columns, **(columns or {})}
    _require_apart(source, out)
    files = describe(source, named, params.batch, out)
    settings = _settings(params, named)
    out.mkdir(parents=True, exist_ok=True)
    with exclusive(out / LOCK, "a job with this output"):
        output = Output(out, _job(params, files, settings, model))
        output.open(replace)
        if output.finished:
            return Summary(out, output.manifest(), 0, 0.0)
        progress = Progress(sum(file.rows for file in files), tell)
        with _runner(params, model.bundle, settings, out) as runner, _stopping() as stop:
            chunks = _Lanes(runner, output, progress, stop).run(read_chunks(files, params.batch))
        if stop.is_set():
            raise TicketSentimentError(
                f"stopped: {progress.share()} are done and kept in {out}; run the same again to go on"
            )
        _require_unchanged(files)
        return Summary(out, output.finish(chunks), progress.scored, progress.rate)


def _settings(params: Params, named: dict[str, str]) -> ScoreSettings:
    return ScoreSettings(
        columns={field: named[field] for field in FIELDS if field in named},
        max_text_chars=params.serve.max_text_chars,
        abstain_below=params.serve.abstain_below,
        texts_at_once=params.batch.texts_at_once,
        gpu=params.serve.gpu,
    )


def _require_apart(source: str, out: Path) -> None:
    if ADDRESS.match(str(out)):  # of s3://bucket/folder a path keeps one slash
        raise TicketSentimentError(f"{out} is an address: the output is a folder of this machine")
    if out.is_file():
        raise TicketSentimentError(f"{out} is a file: the output is a folder of Parquet files")
    if Path(source).is_dir() and out.resolve().is_relative_to(Path(source).resolve()):
        raise TicketSentimentError(f"{out} lies in the input {source}: name a folder outside of it")


def _require_unchanged(files: list[SourceFile]) -> None:
    for file in files:
        state = file.path.stat()
        if (state.st_size, state.st_mtime_ns) != (file.size, file.changed_ns):
            raise TicketSentimentError(
                f"{file.name} has changed while it was scored: run the same again with --replace"
            )


def _job(params: Params, files: list[SourceFile], settings: ScoreSettings, model: Model) -> dict[str, Any]:
    """All that the output depends on."""
    batch = params.batch
    return {
        "format": 1,
        "model": model.describe(),
        "input": [{"name": file.name, "bytes": file.size, "sha256": file.sha256} for file in files],
        "settings": {
            **settings.model_dump(mode="json", exclude={"gpu"}),
            "chunk_rows": batch.chunk_rows, "encoding": batch.encoding, "delimiter": batch.delimiter,
        },
        "code": code_digest(),
        "pyarrow": pa.__version__,
    }  # fmt: skip


@contextlib.contextmanager
def _runner(params: Params, bundle: Bundle, settings: ScoreSettings, out: Path) -> Iterator[Runner]:
    if params.batch.scheduler is None:
        runner: Runner = LocalRunner(bundle, settings, params.batch.workers)
    else:
        try:
            from ticket_sentiment.batch.cluster import DaskRunner
        except ModuleNotFoundError:
            raise TicketSentimentError(
                "batch.scheduler needs the package distributed: `pip install 'ticket-sentiment[dask]'`"
            ) from None
        runner = DaskRunner(params.batch.scheduler, bundle, settings, out)
    try:
        yield runner
    finally:
        runner.close()


@contextlib.contextmanager
def _stopping() -> Iterator[threading.Event]:
    """An event that SIGTERM and SIGINT set; a second one ends the process as ever. Elsewhere than in the main
    thread, which alone gets signals, nothing sets it."""
    stop = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(_number: int, _frame: object) -> None:
        stop.set()
        restore()

    for number in before:
        signal.signal(number, ask)
    try:
        yield stop
    finally:
        restore()


class _Lanes:
    """Brings each chunk to a worker that is free, and its answers to the output."""

    def __init__(self, runner: Runner, output: Output, progress: Progress, stop: threading.Event) -> None:
        self._runner, self._output, self._progress, self._stop = runner, output, progress, stop
        self._free: queue.SimpleQueue[int] = queue.SimpleQueue()
        self._failed = threading.Event()
        self._counting = threading.Lock()
        for lane in range(runner.lanes):
            self._free.put(lane)

    def run(self, chunks: Iterator[Chunk]) -> int:
        """Until all are done, or it is to stop. Returns their number."""
        count = 0
        waiting: set[Future[None]] = set()
        with ThreadPoolExecutor(self._runner.lanes) as threads:
            for chunk in chunks:
                count += 1
                if chunk.index in self._output.done:
                    self._progress.found(chunk.table.num_rows)
                    continue
                waiting.add(threads.submit(self._score, chunk))
                while len(waiting) > self._runner.lanes:  # the one more is read ahead
                    waiting = self._settle(waiting)
                if self._stop.is_set():
                    break
            while waiting:
                waiting = self._settle(waiting)
        return count

    def _settle(self, waiting: set[Future[None]]) -> set[Future[None]]:
        done, rest = wait(waiting, return_when=FIRST_COMPLETED)
        for future in done:
            future.result()
        return rest

    def _score(self, chunk: Chunk) -> None:
        if self._stop.is_set() or self._failed.is_set():
            return
        lane = self._free.get()
        try:
            scored = unpack(self._runner.score(lane, pack(chunk.table)))
            self._output.write(chunk, scored)
        except BaseException:
            self._failed.set()  # the others end what they have begun
            raise
        finally:
            self._free.put(lane)
        with self._counting:
            self._progress.done(chunk.table.num_rows)

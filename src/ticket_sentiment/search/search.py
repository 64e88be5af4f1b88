"""`ticket-sentiment search`: measure what every shape costs and gives, and write the frontier.

Each point is made once for each seed, from the dense model of that seed, and kept in a folder of its own as
soon as it is finished, and what it gave in models/frontier/points.json: after a kill the search goes on at
the point where it was, on another machine too. Speeds are measured when the first seed's points are made, all
in turn in one process. The holdout is only scored; what a budget allows is decided on the tuning tickets
(model/frontier.py).
"""

import hashlib
import json
import multiprocessing
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from datetime import date
from pathlib import Path

import numpy as np
import torch
from scipy import stats

import ticket_sentiment
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import (
    exclusive,
    read_json,
    replacing_folder,
    require_space,
    sha256_file,
    write_json,
)
from ticket_sentiment.gates.benchmark import machine
from ticket_sentiment.model.classifier import base_model_path, load_base, load_tokenizer
from ticket_sentiment.model.compact import from_dense
from ticket_sentiment.model.frontier import FRONTIER, FrontierPoint, allowed, write_frontier
from ticket_sentiment.model.runtime import usable_cores
from ticket_sentiment.model.vocabulary import can_be_cut
from ticket_sentiment.params import Budget, Params, Shape
from ticket_sentiment.processes import die_with_parent
from ticket_sentiment.search.points import (
    Job,
    Result,
    bytes_of,
    make_compressed,
    make_dense,
    make_dropped,
    make_scratch,
)
from ticket_sentiment.search.record import RECORD, Record, Speeds, read_record, write_record
from ticket_sentiment.search.speed import measure_speeds
from ticket_sentiment.search.tables import Tables, prepared_tables, table_of

WORK = Path("models/frontier/work")
OF_NO_POINT = ("edge.py", "hotfix.py", "providers.py", "prune.py", "quantize.py")  # of model/
LEARNT_ALONE = ("dense", "upper_layers_dropped", "trained_from_scratch")  # without a dense model before
CONFIDENCE = 0.95


def key(params: Params, tables: Tables) -> str:
    """What a result depends on beside its seed and shape, the code too; another key is another folder."""
    package = Path(ticket_sentiment.__file__).parent
    code = [*package.glob("model/*.py"), *package.glob("model/*.yaml")]
    code += [package / name for name in ("gates/metrics.py", "labels.py", "search/points.py")]
    parts = {
        "code": [sha256_file(path) for path in sorted(code) if path.name not in OF_NO_POINT],
        "data": tables.sha256,
        **{
            name: getattr(params, name).model_dump(exclude={"seed", "base_licence"})
            for name in ("train", "prune", "quantize")
        },
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:12]


def plan(params: Params) -> list[Job]:
    """All jobs, seed by seed, each seed's dense model first; plain alternatives with the first seed only.

    Those lie so far off that one seed shows it.
    """
    search = params.search
    whole = Shape(layers=99, heads=99, ffn=99999, embedding_bytes=0)
    depths = sorted({shape.layers for shape in search.shapes}, reverse=True)
    more = sorted({seed for seeds in search.more_seeds.values() for seed in seeds})
    jobs = []
    for seed in (*search.seeds, *more):
        jobs.append(Job(seed, "dense", "dense", whole))
        if seed in search.seeds:
            jobs.append(Job(seed, "dense_int8", "dense_int8", whole))
        jobs += [
            Job(seed, "compressed", shape.name, shape)
            for shape in search.shapes
            if seed in (*search.seeds, *search.more_seeds.get(shape.name, []))
        ]
    first = search.seeds[0]
    jobs += [
        Job(first, "upper_layers_dropped", f"lower_{layers}", whole.model_copy(update={"layers": layers}))
        for layers in depths
    ]
    jobs.append(Job(first, "trained_from_scratch", "from_scratch", whole))
    return jobs


def require_possible(params: Params) -> None:
    """Refuse, before anything is learnt, what the base model does not allow.

    That is a shape whose embeddings cannot be cut into that many parts, and one that is another one over
    again as its vocabulary cannot be cut.
    """
    base_model = params.train.base_model
    hidden = from_dense(load_base(base_model)).config.hidden
    cuttable = can_be_cut(load_tokenizer(base_model_path(base_model)))
    alike: dict[Shape, Shape] = {}  # by what is left of them with all tokens
    for shape in params.search.shapes:
        if shape.embedding_bytes and hidden % shape.embedding_bytes:
            raise TicketSentimentError(
                f"search.shapes: {shape.name}: embedding_bytes must divide the hidden size, {hidden}"
            )
        other = alike.setdefault(shape.model_copy(update={"min_token_count": 0}), shape)
        if other != shape and not cuttable:
            raise TicketSentimentError(
                f"search.shapes: {shape.name} is the same as {other.name}, as the vocabulary of {base_model} "
                "cannot be cut (it is no WordPiece): take one of them out"
            )


class Clock:
    """Time left, from what jobs of the same name took."""

    def __init__(self, jobs: Sequence[Job], done: Mapping[Job, Result], workers: int) -> None:
        self.jobs, self.workers, self.begun = jobs, workers, len(done)
        self.seconds = {job: result.seconds for job, result in done.items()}

    def left(self) -> float | None:
        """Seconds, or None before the first job has ended."""
        if not self.seconds:
            return None
        by_name: dict[str, list[float]] = {}
        for job, seconds in self.seconds.items():
            by_name.setdefault(job.name, []).append(seconds)
        usual = float(np.mean(list(self.seconds.values())))
        work = sum(
            float(np.mean(by_name.get(job.name, [usual]))) for job in self.jobs if job not in self.seconds
        )
        return work / self.workers

    def line(self, job: Job) -> str:
        """What is begun now, and for how long all the rest will take."""
        left = self.left()
        self.begun += 1
        about = "" if left is None else f"; about {left / 60:.0f} min left"
        return f"search: point {self.begun} of {len(self.jobs)}: {job.name}, seed {job.seed}{about}"


def _stored(folder: Path, jobs: Sequence[Job]) -> dict[Job, Result]:
    return {
        job: Result(**read_json(path))
        for job in jobs
        if (path := folder / job.folder / "result.json").is_file()
    }


def make(job: Job, tables: Tables, params: Params, folder: Path) -> Result:
    """Make one point; its folder appears whole or not at all."""
    require_space(folder, bytes_of(job, tables, params))
    start = time.monotonic()
    seed = folder / f"seed-{job.seed}"
    with replacing_folder(folder / job.folder) as temporary:
        if job.kind == "dense":
            result = make_dense(job, tables, params, temporary)
        elif job.kind == "upper_layers_dropped":
            result = make_dropped(job, tables, params, temporary)
        elif job.kind == "trained_from_scratch":
            result = make_scratch(job, tables, params, temporary)
        else:
            result = make_compressed(job, tables, params, seed / "dense", temporary)
        result = result.timed(time.monotonic() - start)
        write_json(temporary / "result.json", result.as_json())
    return result


def _prepare_worker(threads: int, parent: int) -> None:
    die_with_parent(parent)
    torch.set_num_threads(threads)


def run(
    jobs: Sequence[Job], tables: Tables, params: Params, folder: Path, record: Record, target: Path = RECORD
) -> dict[Job, Result]:
    """Make every point that is not known yet, `search.workers` at a time, after its seed's dense model.

    One process with one thread a core makes nearly twice as many points an hour as one with all cores:
    the matrices are small.

    Args:
        jobs: the points wanted.
        tables: what is learnt from and scored.
        params: knobs.
        folder: where points lie on this machine.
        record: what is known from any machine; each point that is finished is added.
        target: where the record is kept.
    """
    here = _stored(folder, jobs)
    trained = {job.seed for job in here if job.kind == "dense"}
    for job, result in here.items():
        if job.kind == "dense":
            _forget_of_another(job, result, record, [other for other in jobs if other not in here])
    for job, result in here.items():
        record.add(job, result)
    waiting = [job for job in jobs if job not in record.of(jobs)]
    taught = {job.seed for job in waiting if job.kind not in LEARNT_ALONE} - trained
    waiting += [job for job in record.of(jobs) if job.kind == "dense" and job.seed in taught]
    done = {job: result for job, result in record.of(jobs).items() if job not in waiting}
    clock = Clock(jobs, done, params.search.workers)
    running: dict[Future[Result], Job] = {}
    threads = max(1, usable_cores() // params.search.workers)
    os.environ["TQDM_DISABLE"] = "1"  # bars of several workers would overwrite each other
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(params.search.workers, spawn, _prepare_worker, (threads, os.getpid())) as pool:
        try:
            while waiting or running:
                for job in list(waiting):
                    if len(running) == params.search.workers:
                        break
                    if job.kind in LEARNT_ALONE or job.seed in trained:
                        print(clock.line(job), flush=True)
                        running[pool.submit(make, job, tables, params, folder)] = job
                        waiting.remove(job)
                finished, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    result = future.result()
                    job = running.pop(future)
                    if job.kind == "dense":
                        trained.add(job.seed)
                        waiting += _forget_of_another(job, result, record, jobs)
                    record.add(job, result)
                    write_record(record, target)
                    clock.seconds[job] = result.seconds
        except BrokenProcessPool:
            unfinished = ", ".join(f"{job.name} of seed {job.seed}" for job in running.values())
            raise TicketSentimentError(
                f"search: a process was killed, one of those that made {unfinished} (out of memory?): lower "
                "search.workers in params.yaml and run again; finished points are kept"
            ) from None
    write_record(record, target)
    return record.of(jobs)


def _forget_of_another(dense: Job, result: Result, record: Record, jobs: Iterable[Job]) -> list[Job]:
    """Forget what was learnt from another dense model of this seed than is here, and say what that is.

    The same seed gives the same model to the last bit, but not on every processor, nor with another number of
    threads, which is the cores over search.workers. Points of shapes that are not wanted now are forgotten,
    too: they may be wanted again.

    Args:
        dense: the dense model that is here.
        result: what it gave.
        record: forgets all points of its seed.
        jobs: that have to be made anew then.

    Returns:
        Those of the jobs that were known.
    """
    before = record.of([dense]).get(dense, result)
    if before.timed(0) == result.timed(0):
        return []
    others = list(record.of(job for job in jobs if job.seed == dense.seed and job != dense))
    record.forget(dense.seed)
    if others:
        print(
            f"search: this machine's dense model of seed {dense.seed} is another one than was recorded, by "
            f"its processor, number of cores or search.workers: {len(others)} of its points are made anew",
            flush=True,
        )
    return others


def first_seed(
    jobs: Sequence[Job], tables: Tables, params: Params, folder: Path, record: Record, target: Path
) -> Speeds:
    """Make the first seed's points and measure their speeds, unless both are recorded."""
    settings = params.benchmark.model_dump()
    if (speeds := record.speeds_of(jobs, settings)) is None:
        record.forget(jobs[0].seed)  # a speed wants the bundle; what has one here, `run` finds
        run(jobs, tables, params, folder, record, target)
        measured = measure_speeds(folder / f"seed-{jobs[0].seed}", jobs, tables, params)
        speeds = record.speeds = Speeds(machine()["cpu"], date.today().isoformat(), settings, measured)
        write_record(record, target)
    return speeds


def interval(values: Sequence[float]) -> tuple[float, float]:
    """95 % interval of the mean over seeds (Student's t); one value alone has none: infinite."""
    if len(values) < 2:
        return float("-inf"), float("inf")
    mean, error = float(np.mean(values)), float(stats.sem(values))
    half = float(stats.t.ppf((1 + CONFIDENCE) / 2, len(values) - 1)) * error
    return mean - half, mean + half


def levelled(losses: Mapping[Job, float]) -> dict[str, float]:
    """What each shape loses on average, as if all of them had been made with every seed.

    A dense model that is good by luck is followed by no student, so that a seed moves all shapes alike: one
    that was made with a kind seed alone would be chosen before better ones. Least squares of the loss as a
    sum of the shape's and the seed's part (Yates 1934, "The analysis of multiple classifications with unequal
    numbers in the different classes").

    Args:
        losses: of each point, macro-F1.

    Returns:
        By the name of the shape; where all have the same seeds, plain means.
    """
    names = list(dict.fromkeys(job.name for job in losses))
    seeds = list(dict.fromkeys(job.seed for job in losses))
    shape_parts = [[job.name == name for name in names] for job in losses]
    seed_parts = [[job.seed == seed for seed in seeds] for job in losses]
    design = np.hstack([shape_parts, seed_parts]).astype(float)
    found = np.linalg.lstsq(design, np.array(list(losses.values())), rcond=None)[0]
    return dict(zip(names, (found[: len(names)] + found[len(names) :].mean()).tolist(), strict=True))


def summarise(
    done: Mapping[Job, Result], speeds: Speeds, tables: Tables, params: Params
) -> Iterator[FrontierPoint]:
    """One row a point: losses paired with the dense model of the same seed, over all seeds.

    The loss on the tuning tickets, by which a shape is chosen, is levelled.
    """
    dense = {job.seed: result for job, result in done.items() if job.kind == "dense"}
    tune = {job: dense[job.seed].tune_macro_f1 - done[job].tune_macro_f1 for job in done}
    level = levelled({job: loss for job, loss in tune.items() if job.kind == "compressed"})
    names = dict.fromkeys(job.name for job in done)
    for name in names:
        jobs = [job for job in done if job.name == name]
        results = [done[job] for job in jobs]
        losses = [dense[job.seed].macro_f1 - done[job].macro_f1 for job in jobs]
        low, high = (0.0, 0.0) if jobs[0].kind == "dense" else interval(losses)
        yield FrontierPoint(
            name=name,
            kind=jobs[0].kind,
            base_model=params.train.base_model,
            seeds=len(jobs),
            tune_loss=level.get(name, float(np.mean([tune[job] for job in jobs]))),
            loss=float(np.mean(losses)),
            loss_low=low,
            loss_high=high,
            macro_f1=float(np.mean([result.macro_f1 for result in results])),
            calibration_error=float(np.mean([result.calibration_error for result in results])),
            mb=max(result.bytes for result in results) / 1e6,
            data=tables.sha256[:12],
            settings=key(params, tables),
            cpu=speeds.cpu,
            measured_on=speeds.measured_on,
            **results[0].shape,
            **speeds.points[name].as_json(),
        ).rounded()


def table(points: Sequence[FrontierPoint], budget: Budget) -> str:
    """The frontier for a terminal, the fastest first; * marks what the budget allows."""
    marked = {point.name for point in allowed(points, budget, points[0].base_model)}
    lines = [
        f"{'':2}{'point':<22}{'points lost (95 %)':>24}{'tune':>7}{'MB':>7}{'ms':>7}"
        f"{'x torch':>9}{'x ONNX':>8}"
    ]
    for point in sorted(points, key=lambda point: point.ms):
        mark = "*" if point.name in marked else ""
        lost = f"{100 * point.loss:.1f} ({100 * point.loss_low:.1f} to {100 * point.loss_high:.1f})"
        lines.append(
            f"{mark:2}{point.name:<22}{lost:>24}{100 * point.tune_loss:>7.1f}{point.mb:>7.1f}{point.ms:>7.2f}"
            f"{point.speedup_torch:>9.1f}{point.speedup_onnx:>8.1f}"
        )
    return "\n".join(lines)


def main(params: Params, path: Path | None = None) -> None:
    """Measure the frontier on the prepared tickets, or on the table at `path`, beside its points.

    Raises:
        TicketSentimentError: another search runs here, the disk is full, or the table cannot be used.
    """
    tables = prepared_tables() if path is None else table_of(path, params.tickets)
    folder = WORK / key(params, tables)
    require_possible(params)
    with exclusive(Path("var/search.lock"), "a search"):
        for other in WORK.glob("*/*/.*"):  # half a point, from a search that was killed
            shutil.rmtree(other, ignore_errors=True)
        jobs, first = plan(params), params.search.seeds[0]
        target = FRONTIER if path is None else folder / FRONTIER.name
        known = target.with_name(RECORD.name)
        record = read_record(known, folder.name)
        alone = [job for job in jobs if job.seed == first]
        speeds = first_seed(alone, tables, params, folder, record, known)
        done = run(jobs, tables, params, folder, record, known)
        points = list(summarise(done, speeds, tables, params))
        write_frontier(points, target)
    print(f"{table(points, params.budget)}\n{target} written")

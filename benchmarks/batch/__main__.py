"""Batch scoring against its bars, after `make retrain`.

    python -m benchmarks.batch speed      # against the runtime alone and a transformers pipeline; 15 minutes
    python -m benchmarks.batch memory     # a million tickets; a quarter of an hour on two cores
    python -m benchmarks.batch kills      # killed 20 times, against an undisturbed run; some minutes
    python -m benchmarks.batch cluster    # two Dask workers against one process
    python -m benchmarks.batch flow       # what Prefect adds
    python -m benchmarks.batch speed --tickets 4000 --rounds 1 --pipeline-tickets 50     # only to try it

What is compared takes turns in a new random order in each round; ratios are taken within a round, then
their median. Prints Markdown; exit status 1 when a bar is missed.
"""

import argparse
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.batch.flow import flow
from benchmarks.batch.inputs import write_tickets
from benchmarks.batch.runs import Bench, pss_mb
from benchmarks.robustness.service import Report, verified
from tests.batch.jobs import content
from tests.support.serving import write_params
from ticket_sentiment.batch.job import Model, score_files
from ticket_sentiment.model.runtime import usable_cores
from ticket_sentiment.params import load_params

DEFAULTS = {"speed": 50_000, "memory": 1_000_000, "kills": 20_000, "cluster": 20_000, "flow": 100_000}
CHUNKS = 100  # of the job that is killed
MIN_OF_RAW, MIN_OF_PIPELINE, MAX_MB = 0.90, 25.0, 1500.0


def spread(values: list[float], digits: int = 2) -> str:
    return f"{statistics.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def speed(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """Bars: 90 % of the runtime alone, 25 times the pipeline."""
    measured = {
        "job": lambda: bench.count / bench.job(bench.work / "speed"),
        "raw": bench.raw,
        "pipeline": lambda: bench.pipeline(options.pipeline_tickets, None),
        "pipeline, one thread": lambda: bench.pipeline(options.pipeline_tickets, 1),
    }
    found: dict[str, list[float]] = {name: [] for name in measured}
    for _ in range(options.rounds):
        for name in random.sample(list(measured), len(measured)):
            shutil.rmtree(bench.work / "speed", ignore_errors=True)
            found[name].append(measured[name]())
            print(f"- {name}: {found[name][-1]:,.1f} tickets/s", flush=True)
    of_raw = [job / raw for job, raw in zip(found["job"], found["raw"], strict=True)]
    fastest = map(max, found["pipeline"], found["pipeline, one thread"])
    times = [job / pipeline for job, pipeline in zip(found["job"], fastest, strict=True)]
    seen = statistics.median(of_raw)
    report.claim("of the runtime alone", spread(of_raw), f"{MIN_OF_RAW:g}", seen >= MIN_OF_RAW)
    seen = statistics.median(times)
    report.claim(
        "times the pipeline, the faster", spread(times, 1), f"{MIN_OF_PIPELINE:g}", seen >= MIN_OF_PIPELINE
    )


def memory(bench: Bench, report: Report, _: argparse.Namespace) -> None:
    """Bar: 1.5 GB over all processes."""
    peak, start = 0.0, time.perf_counter()
    process = bench.start(bench.work / "memory")
    while process.poll() is None:
        peak = max(peak, pss_mb(process.pid))
        time.sleep(0.5)
    if process.returncode:
        sys.exit(f"error: the job ended with status {process.returncode}")
    print(f"- {bench.count:,} tickets in {time.perf_counter() - start:,.0f} s")
    report.claim("highest memory (PSS of all)", f"{peak:.0f} MB", f"{MAX_MB:.0f} MB", peak <= MAX_MB)


def kills(bench: Bench, report: Report, options: argparse.Namespace) -> None:
    """Bar: killed at random and run again, the output is the undisturbed one, byte by byte."""
    seconds = bench.job(bench.work / "undisturbed")
    expected = content(bench.work / "undisturbed")
    out, draw, done, whole = bench.work / "killed", random.Random(options.seed), 0, []
    while done < options.kills:
        process = bench.start(out)
        time.sleep(draw.uniform(0, 4 + 4 * seconds / options.kills))
        family = [process.pid, *_children(process.pid)]
        if process.poll() is None:
            os.kill(draw.choice(family), 9)  # the job, or one of its workers
            done += 1
            print(f"- kill {done}: {len(list(out.glob('part-*')))} parts are there", flush=True)
        process.wait()
        if (out / "_manifest.json").exists():
            whole.append(content(out) == expected)
            shutil.rmtree(out)
    bench.job(out)
    whole.append(content(out) == expected)
    seen = f"{sum(whole)} of {len(whole)} outputs equal after {done} kills"
    report.claim("equal bytes of every file", seen, "all", all(whole))


def _children(pid: int) -> list[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    try:
        return [int(child) for child in path.read_text().split()]
    except FileNotFoundError:
        return []


def cluster(bench: Bench, report: Report, _: argparse.Namespace) -> None:
    """Bar: two Dask workers give what one gives, and what processes give."""
    from distributed import LocalCluster

    params = load_params(bench.work / "params.yaml")
    outputs = {}
    bench.job(bench.work / "processes")
    outputs["processes"] = content(bench.work / "processes")
    for workers in (1, 2):
        out = bench.work / f"dask-{workers}"
        with LocalCluster(n_workers=workers, threads_per_worker=1, dashboard_address=None) as running:
            batch = params.batch.model_copy(update={"scheduler": running.scheduler_address})
            told = params.model_copy(update={"batch": batch})
            summary = score_files(told, str(bench.tickets), out, Model(verified(bench.bundle), None))
        print(f"- {workers} Dask workers: {summary.rate:,.0f} tickets/s")
        outputs[out.name] = content(out)
    equal = all(found == outputs["processes"] for found in outputs.values())
    report.claim("one and two Dask workers, and processes", "equal" if equal else "differ", "equal", equal)


def main() -> int:
    """Run one of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    kinds = {"speed": speed, "memory": memory, "kills": kills, "cluster": cluster, "flow": flow}
    parser.add_argument("kind", choices=kinds)
    parser.add_argument("--tickets", type=int, help="by default as many as the bar says")
    parser.add_argument("--rounds", type=int, default=3, help="of speed and flow")
    parser.add_argument(
        "--pipeline-tickets", type=int, default=500, help="that the pipeline classifies a round"
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=7, help="of the kills")
    parser.add_argument("--workers", type=int, default=usable_cores())
    parser.add_argument("--project", type=Path, default=Path(), help="where `make retrain` has run")
    parser.add_argument("--bundle", type=Path, help="another than the project's released one")
    options = parser.parse_args()
    project = options.project.resolve()
    bundle = (options.bundle or project / "models/release/cpu").resolve()
    count = options.tickets or DEFAULTS[options.kind]
    report = Report(f"Batch scoring: {options.kind}, {count:,} distinct tickets", verified(bundle))
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        batch = {"workers": options.workers}
        if options.kind == "kills":  # or most would come before the first chunk is done
            batch["chunk_rows"] = max(1, count // CHUNKS)
        write_params(work, batch=batch)
        tickets = write_tickets(work / "tickets.parquet", project, count)
        kinds[options.kind](Bench(tickets, count, work, project, bundle, options.workers), report, options)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

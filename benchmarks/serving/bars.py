"""The bars: which servers are compared, and what must hold."""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.serving.assets import Assets
from benchmarks.serving.ours import Ours, OursWithConstant, OursWithConstantGraph
from benchmarks.serving.peers import HEAVY, PEERS, BareBento, Peer, Pipeline, TunedPipeline
from benchmarks.serving.rounds import Settings, Table, measure, ratios, running
from benchmarks.serving.stampede import CALLERS, stampede

CONNECTIONS = 32
CACHE_ENTRIES = 50_000
REPEAT = 0.6
HITS_AT_MOST = 0.61  # more would be another bar than the one that is claimed


@dataclass(frozen=True)
class Verdict:
    """One claim, what was seen, and whether it holds."""

    bar: int
    claim: str
    seen: str
    holds: bool


@dataclass(frozen=True)
class Result:
    """Tables by title, and verdicts."""

    tables: dict[str, Table]
    verdicts: list[Verdict]


@dataclass(frozen=True)
class Bench:
    """What every comparison needs. `heavy`: also the peers that are large to install."""

    assets: Assets
    work: Path
    workers: int
    settings: Settings
    heavy: bool

    def peers(self, model: Path) -> list[Peer]:
        """All that serve an ONNX model."""
        return [
            peer(self.assets, model, self.work, self.workers)
            for peer in (*PEERS, *(HEAVY if self.heavy else ()))
        ]


def _times(values: Sequence[float]) -> str:
    return f"{statistics.median(values):.1f} times ({min(values):.1f} to {max(values):.1f})"


def _at_least(bar: int, claim: str, values: Sequence[float], least: float) -> Verdict:
    return Verdict(
        bar, f"{claim}: at least {least:g} times", _times(values), statistics.median(values) >= least
    )


def _best(table: Table, ours: str, others: Sequence[str]) -> list[float]:
    """Ours by the best of the others, within each round."""
    best = zip(*(ratios(table, ours, other) for other in others), strict=True)
    return [min(values) for values in best]


def _p99_below(bar: int, table: Table, ours: str, others: Sequence[str]) -> Verdict:
    own, best = table[ours].median("p99"), min(others, key=lambda name: table[name].median("p99"))
    theirs = table[best].median("p99")
    return Verdict(bar, "p99 below all of theirs", f"{own:.1f} ms; {best} {theirs:.1f} ms", own < theirs)


def _no_errors(bar: int, table: Table, ours: str) -> Verdict:
    errors = table[ours].errors
    return Verdict(bar, "every request of ours answered", str(errors or "no errors"), not errors)


def bars_1_and_4(bench: Bench) -> Result:
    """Our service with its bundle, the others with the dense model."""
    assets, work, workers = bench.assets, bench.work, bench.workers
    ours = Ours(assets, assets.bundle, work, workers)
    pipeline = Pipeline(assets, assets.dense, work, workers)
    tuned = TunedPipeline(assets, assets.dense, work, workers)
    others = bench.peers(assets.dense_int8)
    with running([ours, pipeline, tuned, *others]):
        many = measure([ours, pipeline, tuned, *others], CONNECTIONS, bench.settings)
        one = measure([ours, pipeline, *others], 1, bench.settings)
    names = [peer.name for peer in others]
    own, theirs = one[ours.name].median("p50"), one[pipeline.name].median("p50")
    shares = ratios(one, ours.name, pipeline.name, "p50")
    return Result(
        {
            f"Bar 1: our bundle, the others on the dense model; {CONNECTIONS} connections": many,
            "Bar 4: the same, one connection": one,
        },
        [
            _at_least(1, f"requests/s of {pipeline.name}", ratios(many, ours.name, pipeline.name), 30),
            _at_least(1, "requests/s of the best of the others", _best(many, ours.name, names), 4),
            _p99_below(1, many, ours.name, [pipeline.name, *names]),
            _no_errors(1, many, ours.name),
            Verdict(4, "p50 at most 5 ms", f"{own:.2f} ms", own <= 5),
            Verdict(
                4, f"p50 at most a quarter of {pipeline.name}'s",
                f"{statistics.median(shares):.2f} ({own:.2f} ms of {theirs:.1f} ms)",
                statistics.median(shares) <= 0.25,
            ),
        ],
    )  # fmt: skip


def bar_2(bench: Bench) -> Result:
    """Everybody with our bundle."""
    ours = Ours(bench.assets, bench.assets.bundle, bench.work, bench.workers)
    others = bench.peers(bench.assets.bundle)
    with running([ours, *others]):
        table = measure([ours, *others], CONNECTIONS, bench.settings)
    names = [peer.name for peer in others]
    ahead = _best(table, ours.name, names)
    return Result(
        {f"Bar 2: everybody on our bundle; {CONNECTIONS} connections": table},
        [
            Verdict(2, "more requests/s than the best of them", _times(ahead), statistics.median(ahead) > 1),
            _p99_below(2, table, ours.name, names),
            _no_errors(2, table, ours.name),
        ],
    )


def bar_3(bench: Bench) -> Result:
    """Our whole work without a model against BentoML's without any; one process each, its default."""
    assets = bench.assets
    ours = OursWithConstant(assets, assets.constants[0], bench.work, 1, CACHE_ENTRIES)
    graph = OursWithConstantGraph(assets, assets.constants[0], bench.work, 1, CACHE_ENTRIES)
    bare = BareBento(assets, assets.constants[0], bench.work, 1)
    with running([ours, graph, bare]):
        table = measure([ours, graph, bare], CONNECTIONS, bench.settings)
    return Result(
        {f"Bar 3: without a model, one worker each; {CONNECTIONS} connections": table},
        [
            _at_least(3, f"requests/s of {bare.name}", ratios(table, ours.name, bare.name), 5),
            _no_errors(3, table, ours.name),
        ],
    )


class _Cached(Ours):
    name = "ticket-sentiment, cache on"


def bar_5(bench: Bench) -> Result:
    """Cache on against cache off, under the same traffic with repeats; then a stampede."""
    assets, work, workers = bench.assets, bench.work, bench.workers
    plain = Ours(assets, assets.bundle, work, workers)
    cached = _Cached(assets, assets.bundle, work, workers, CACHE_ENTRIES)
    with running([plain, cached]):
        # Each process first meets what is popular: a cache that has just started is not what is claimed.
        measure([cached], CONNECTIONS, replace(bench.settings, rounds=1), repeat=1.0)
        before = cached.cache_counts()
        table = measure([plain, cached], CONNECTIONS, bench.settings, repeat=REPEAT)
        hits, misses = (now - then for now, then in zip(cached.cache_counts(), before, strict=True))
        cached.server.thaw()  # type: ignore[union-attr]
        answered, runs = stampede(cached)
    share = hits / max(hits + misses, 1)
    alone = _Cached(assets, assets.bundle, work, 1, CACHE_ENTRIES)
    with alone:
        answered_alone, runs_alone = stampede(alone)
    faster = ratios(table, cached.name, plain.name)
    claim = f"{CALLERS} equal misses at once run the model once"
    return Result(
        {f"Bar 5: {REPEAT:.0%} of the requests repeated by Zipf's law; {CONNECTIONS} connections": table},
        [
            _at_least(5, f"requests/s of cache off, at {share:.0%} hits", faster, 2),
            Verdict(5, f"hits at most {HITS_AT_MOST:.0%}", f"{share:.1%}", share <= HITS_AT_MOST),
            Verdict(
                5, f"{claim} (one process)", f"{answered_alone} answered, {runs_alone} runs",
                answered_alone == CALLERS and runs_alone == 1,
            ),
            Verdict(
                5, f"{claim} in each process (cache in process, {workers} workers)",
                f"{answered} answered, {runs} runs", answered == CALLERS and runs <= workers,
            ),
            _no_errors(5, table, cached.name),
        ],
    )  # fmt: skip


COMPARISONS = {"1": bars_1_and_4, "2": bar_2, "3": bar_3, "4": bars_1_and_4, "5": bar_5}


def run(bench: Bench, wanted: Sequence[str]) -> list[Result]:
    """The comparisons that judge the wanted bars, each once."""
    results = []
    for comparison in dict.fromkeys(COMPARISONS[bar] for bar in wanted):
        print(f"{comparison.__name__} ...", file=sys.stderr)
        results.append(comparison(bench))
    return results

"""How often the rollout is wrong, how fast it is right, and what the paired comparison saves.

    python -m benchmarks.rollout                   # 2,000 rollouts of each kind: half an hour on two cores
    python -m benchmarks.rollout --runs 200        # three minutes

Prints Markdown. Exit status 1 when a bar is missed. With the knobs of params.yaml:

1. No mistake more often than its alpha, within three standard errors: of the whole policy, and of each test
   that watches a model exactly as bad as it may be, for all the days, with every look.
2. Bad models are rolled back in at least 95 % of rollouts; one 2 points better is promoted in at least 80 %
   within a budget of 5,000 labels.
3. The paired comparison needs at most a third of the labels that the split needs.

And what a wrong split of the customers, or lost labels, must be like to be seen; and bar 1 again, for
every test, in worlds that are less kind to statistics.
"""

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from functools import partial
from math import log, sqrt
from pathlib import Path
from typing import TypeVar

import numpy as np

from benchmarks.rollout.watch import straight_to_half, watch
from ticket_sentiment.model.runtime import usable_cores
from ticket_sentiment.params import Params, Rollout, load_params
from ticket_sentiment.rollout.evidence import ByArm
from ticket_sentiment.rollout.guardrails import GUARDRAILS, TITLES
from ticket_sentiment.rollout.scenario import Scenario, Traffic
from ticket_sentiment.rollout.simulation import Summary, scenarios, simulate, summarise, table
from ticket_sentiment.rollout.split_check import log_bayes_factor, split_p

T = TypeVar("T")
DAYS_OF_SPLIT = 30.0
EVERYDAY = Traffic()
BUDGET = 5_000  # labels
MANY_CUSTOMERS = Traffic(customers=20_000, looks_per_day=8)  # few tickets of each: what suits the split best
POWER = 0.95
SAVING = 3.0


class Bench:
    """Runs, and what became of the bars."""

    def __init__(self, params: Params, runs: int, workers: int) -> None:
        self.params, self.runs = params, runs
        self.pool = ProcessPoolExecutor(workers)
        self.missed = False

    def outcomes(
        self,
        function: Callable[..., T],
        scenario: Scenario,
        settings: Rollout,
        traffic: Traffic = EVERYDAY,
    ) -> list[T]:
        """Of `simulate` or `watch`, one for each run."""
        call = partial(function, scenario, traffic, settings, self.params.serve.objective_ms)
        return list(self.pool.map(call, range(self.runs), chunksize=20))

    def summary(self, scenario: Scenario, settings: Rollout) -> Summary:
        """Of rollouts that decide."""
        return summarise(scenario, self.outcomes(simulate, scenario, settings))

    def bar(self, claim: str, seen: float, limit: float, at_most: bool) -> None:
        """One row of the table of bars; a limit from above leaves three standard errors."""
        room = 3 * sqrt(limit * (1 - limit) / self.runs) if at_most else 0.0
        holds = seen <= limit + room if at_most else seen >= limit
        self.missed |= not holds
        wanted = f"at most {limit:.2%} + {room:.2%}" if at_most else f"at least {limit:.0%}"
        print(f"| {claim} | {seen:.2%} | {wanted} | {'holds' if holds else '**missed**'} |", flush=True)


def policy(bench: Bench) -> None:
    """Bars 1 and 2, of the whole policy."""
    settings = bench.params.rollout
    must_improve = settings.model_copy(update={"require_improvement": True})
    rows = [bench.summary(scenario, settings) for scenario in scenarios(settings)]
    extra = bench.summary(Scenario("equal, where it must be better"), must_improve)
    print("\n".join([*table([*rows, extra]), ""]))
    print("| whole policy | seen | bar | |\n| --- | ---: | --- | --- |")
    for row in rows:
        name = row.scenario.name
        if row.false_rollback is not None:
            bench.bar(f"false rollback: {name}", row.rolled_back, settings.alpha, at_most=True)
        elif row.false_promotion is not None:
            bench.bar(f"false promotion: {name}", row.promoted, settings.alpha, at_most=True)
        if row.false_promotion is not None and "margin" not in name:
            bench.bar(f"rolled back: {name}", row.rolled_back, POWER, at_most=False)
    bench.bar(f"false promotion: {extra.scenario.name}", extra.promoted, settings.alpha, at_most=True)
    outcomes = bench.outcomes(simulate, rows[1].scenario, settings)
    good = sum(item.ending == "promoted" and item.labels <= BUDGET for item in outcomes) / bench.runs
    bench.bar(f"promoted: 2 points better, within {BUDGET:,} labels", good, 0.8, at_most=False)
    print()


def each_test(bench: Bench) -> None:
    """Bar 1, of each test: ever crossed by an equal model, ever clear of one exactly as bad as may be."""
    settings = bench.params.rollout
    shared = settings.alpha / len(GUARDRAILS)
    equal = bench.outcomes(watch, Scenario("equal"), settings)
    print("| each test, watched for all the days | seen | bar | |\n| --- | ---: | --- | --- |")
    for name in GUARDRAILS:
        bench.bar(f"{name}: crossed, equal", _share(equal, f"{name} crossed"), shared, at_most=True)
        improved = _share(equal, f"{name} improved")
        bench.bar(f"{name}: better, equal", improved, settings.alpha, at_most=True)
    for check in CHECKS:
        bench.bar(f"{check}: wrong, equal", _share(equal, f"{check} wrong"), settings.split_alpha, True)
    answers, errors, slow = (item for item in scenarios(settings) if "margin" in item.name)
    for scenario, names in ((answers, GUARDRAILS[:3]), (errors, ("errors",)), (slow, ("slow",))):
        seen = bench.outcomes(watch, scenario, settings)
        for name in names:
            clear = _share(seen, f"{name} clear")
            bench.bar(f"{name}: no worse, {scenario.name}", clear, settings.alpha, at_most=True)
    print()


def _share(seen: Sequence[dict[str, int]], note: str) -> float:
    return sum(note in run for run in seen) / len(seen)


def saving(bench: Bench) -> None:
    """Bar 3: the same labelled tickets, read as pairs and as a split in half from the first hour on."""
    settings = straight_to_half(bench.params.rollout, DAYS_OF_SPLIT)
    questions = (
        (Scenario("5 points worse", gain=-0.05), "crossed"),
        (Scenario("2 points better", gain=0.02), "clear"),
    )
    print(f"| labels until {POWER:.0%} of rollouts know (half of them) | pairs | split | saving |")
    print("| --- | ---: | ---: | ---: |")
    for scenario, state in questions:
        notes = [f"{name} {state}" for name in GUARDRAILS[:2]]
        seen = bench.outcomes(partial(watch, until=frozenset(notes)), scenario, settings, MANY_CUSTOMERS)
        pairs, split = (_labels(seen, note) for note in notes)
        ratio = split[0] / pairs[0]
        holds = ratio >= SAVING  # infinite where the split does not get there at all
        bench.missed |= not holds
        cells = " | ".join(f"{many:,.0f} ({half:,.0f})" for many, half in (pairs, split))
        print(f"| {scenario.name}: {state} | {cells} | {ratio:.1f} times{'' if holds else ' **missed**'} |")
    names = ", ".join(f"{name}: {TITLES[name]}" for name in GUARDRAILS[:2])
    print(f"\n({names}.)\n")


def _labels(seen: Sequence[dict[str, int]], note: str) -> tuple[float, float]:
    """By which POWER of the runs, and half of them, had seen it; infinite where fewer ever did."""
    counts = np.array([run.get(note, np.inf) for run in seen])
    many, half = np.quantile(counts, [POWER, 0.5], method="higher")
    return float(many), float(half)


def split(bench: Bench) -> None:
    """What is seen of customers and labels that get lost, and why the prior is not the paper's."""
    print("| lost | seen, within all the days |\n| --- | ---: |")
    lost = (
        Scenario("a fifth of the challenger's exposures", lost_exposures=0.2),
        Scenario("two fifths of the challenger's exposures", lost_exposures=0.4),
        Scenario("a tenth of the labels of the challenger's tickets", lost_labels=0.1),
        Scenario("a fifth of the labels of the challenger's tickets", lost_labels=0.2),
    )
    for scenario in lost:
        seen = bench.outcomes(watch, scenario, bench.params.rollout)
        caught = sum(any(f"{check} wrong" in run for check in CHECKS) for run in seen) / len(seen)
        print(f"| {scenario.name} | {caught:.1%} |", flush=True)
    print("\n| a fifth lost of a quarter, of so many customers | ours | the paper's prior, 10,000 |")
    print("| ---: | ---: | ---: |")
    random, share, alpha = np.random.default_rng(7), 0.25, bench.params.rollout.split_alpha
    for customers in (1_000, 3_000, 10_000, 100_000):
        kept = random.binomial(customers, share * 0.8 / (1 - share * 0.2), bench.runs).tolist()
        ours = np.mean([split_p([(share, ByArm(customers - k, k))]) <= alpha for k in kept])
        papers = np.mean([log_bayes_factor(customers - k, k, share, 10_000.0) >= -log(alpha) for k in kept])
        print(f"| {customers:,} | {ours:.0%} | {papers:.0%} |", flush=True)
    print()


def unkind(bench: Bench) -> None:
    """Bar 1 of each test, where a few customers send most, or differ more, or are looked at more often."""
    settings = bench.params.rollout
    margins = settings.margins
    worlds = (
        ("150 customers, 500 tickets a day", {}, replace(EVERYDAY, customers=150, tickets_per_day=500.0)),
        ("100 tickets a day", {}, replace(EVERYDAY, customers=300, tickets_per_day=100.0)),
        ("a tenth of the customers sends three quarters", {}, replace(EVERYDAY, customer_spread=2.0)),
        ("a few customers have most failures", {"hardship": 5.0, "errors": 0.002}, EVERYDAY),
        ("a customer's wording suits one model", {"taste": 0.3}, EVERYDAY),
        ("no failures, hardly a slow answer", {"errors": 0.0, "median_ms": 5.0}, EVERYDAY),
        ("a look every two hours", {}, replace(EVERYDAY, looks_per_day=12)),
    )
    print("| the highest of the five tests | seen | bar | |\n| --- | ---: | --- | --- |")
    for name, changes, traffic in worlds:
        equal = Scenario(name, **changes)
        bad = replace(equal, gain=-margins.quality, more_errors=margins.errors, more_slow=margins.slow)
        for scenario, state, limit in (
            (equal, "crossed", settings.alpha / len(GUARDRAILS)),
            (bad, "clear", settings.alpha),
        ):
            seen = bench.outcomes(watch, scenario, settings, traffic)
            highest = max(_share(seen, f"{rail} {state}") for rail in GUARDRAILS)
            bench.bar(f"{name}: {MISTAKES[state]}", highest, limit, at_most=True)
    print()


MISTAKES = {"crossed": "crossed by an equal model", "clear": "clear of one worse by every margin"}
PARTS = {"policy": policy, "tests": each_test, "saving": saving, "split": split, "unkind": unkind}
CHECKS = ("exposures", "labelled", "coverage")


def main() -> int:
    """Run, print, judge."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--runs", type=int, default=2000)
    parser.add_argument("--workers", type=int, default=usable_cores(), help="processes")
    parser.add_argument("--parts", default=",".join(PARTS), help="which, for example policy,saving")
    parser.add_argument("--params", type=Path, default=Path("params.yaml"))
    arguments = parser.parse_args()
    bench = Bench(load_params(arguments.params), arguments.runs, arguments.workers)
    print(f"{bench.runs:,} rollouts of each kind; traffic: {EVERYDAY}\n")
    for part in arguments.parts.split(","):
        PARTS[part](bench)
    bench.pool.shutdown()
    return 1 if bench.missed else 0


if __name__ == "__main__":
    sys.exit(main())

"""The whole rollout live on one machine: real service, Prefect and MLflow servers, traffic with late labels.

    python -m benchmarks.live [--short]

In a temporary folder, on random ports of 127.0.0.1. It registers three versions that are right about a known
share of the tickets and shows that the good one is promoted, the bad one rolled back, a person's alias in
MLflow obeyed, and `ticket-sentiment rollback` fast, while no request fails. A params.yaml of its own shortens
steps and maturity and, with --short, widens margins. Ends with status 1 where something does not hold.
"""

import argparse
import datetime
import logging
import os
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.live.stack import Stack
from benchmarks.live.story import Cast, Story
from tests.support.project import make_project
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.gates.benchmark import machine

HOUR_S = 3600.0
MATURITY_S = 3.0
TRAFFIC = {"customers": 1500, "label_share": 0.9, "label_s": 0.8}


def short_cast() -> tuple[Cast, dict[str, dict[str, Any]], float]:
    """Models far apart, wide margins; (cast, changes of params.yaml, tickets a second)."""
    margins = {"quality": 0.05, "errors": 0.02, "slow": 0.1}
    rollout = _rollout(step_s=3.0, labels=60) | {"margins": margins}
    return Cast(champion=6, good=2, bad=12, look_s=1.0, rollout_s=240.0), {"rollout": rollout}, 60.0


def long_cast() -> tuple[Cast, dict[str, dict[str, Any]], float]:
    """Models close to each other, the margins of params.yaml."""
    rollout = _rollout(step_s=20.0, labels=200)
    return Cast(champion=6, good=5, bad=8, look_s=3.0, rollout_s=900.0), {"rollout": rollout}, 120.0


def _rollout(step_s: float, labels: int) -> dict[str, Any]:
    steps = [
        {"share": share, "min_hours": step_s / HOUR_S, "min_labels": labels, "min_units": 5 if share else 0}
        for share in (0.0, 0.05, 0.25, 0.5)
    ]
    return {
        "steps": steps, "audit_share": 1.0, "missing_looks": 20,
        "maturity_hours": MATURITY_S / HOUR_S, "pair_hours": MATURITY_S / HOUR_S,
    }  # fmt: skip


def run(root: Path, short: bool) -> bool:
    """Play it all and print the table; whether all holds."""
    cast, changes, rate = short_cast() if short else long_cast()
    began = time.monotonic()

    def say(text: str) -> None:
        print(f"{time.monotonic() - began:6.1f} s  {text}", flush=True)

    project = make_project(root, None)
    stack = Stack(root, changes)
    project.params = stack.params
    os.environ.update(stack.environment)
    os.chdir(root)  # flows read params.yaml where they run
    try:
        stack.start_servers()
        say("MLflow's and Prefect's servers are up")
        story = Story(stack, project, cast, say)
        story.adopt_first()
        stack.start_service()
        say(f"the service is up, {stack.params.serve.workers} workers")
        with stack.traffic(rate=rate, seconds=3 * cast.rollout_s, **TRAFFIC) as traffic:
            story.good_is_promoted(traffic)
            story.bad_is_rolled_back(traffic)
            story.person_is_obeyed(traffic, "1")
            story.person_is_obeyed(traffic, "2")
            story.command_brings_back(traffic, "1")
        story.nothing_failed(traffic)
        story.flows_completed()
    finally:
        stack.close()
    _print_table(story, short)
    return all(claim.holds for claim in story.claims)


def _print_table(story: Story, short: bool) -> None:
    about, form = machine(), "short form" if short else "long form"
    print(f"\n{datetime.date.today().isoformat()}, {about['cpu']}, {about['cores']} cores, {form}")
    print("\n| | seen | bound | |\n|---|---|---|---|")
    for claim in story.claims:
        print(f"| {claim.what} | {claim.seen} | {claim.bound} | {'holds' if claim.holds else '**missed**'} |")
    missed = sum(not claim.holds for claim in story.claims)
    print(f"\nVerdict: {'all holds' if not missed else f'{missed} missed'}")


def main() -> int:
    """Exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--short", action="store_true", help="some minutes, as CI runs it")
    arguments = parser.parse_args()
    quiet_environment()
    logging.getLogger("mlflow").setLevel(logging.WARNING)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    with tempfile.TemporaryDirectory() as folder:
        try:
            return 0 if run(Path(folder).resolve() / "project", arguments.short) else 1
        finally:
            os.chdir("/")  # out of the folder that is about to go


if __name__ == "__main__":
    sys.exit(main())

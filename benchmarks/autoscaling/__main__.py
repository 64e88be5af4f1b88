"""The shipped policy with real service processes behind HAProxy, in time-lapse: about three minutes on two
cores.

    python -m benchmarks.autoscaling                    # 1 to 4 pods, with the released bundle
    python -m benchmarks.autoscaling --bundle FOLDER

Prints a line a second, then what was sent, what failed, and whether the policy held. Needs haproxy (Debian:
apt install haproxy).
"""

import argparse
import asyncio
import sys
import tempfile
from pathlib import Path

from benchmarks.autoscaling.balancer import program
from benchmarks.autoscaling.story import Plan, Told, run
from benchmarks.robustness.service import BUNDLE, Report, quantile, verified
from ticket_sentiment.autoscaling.policy import read_policy
from ticket_sentiment.autoscaling.surroundings import read_surroundings
from ticket_sentiment.params import load_params

PLAN = Plan(lapse=15.0, low=1, high=4, calm_s=8.0, lost_s=30.0, back_s=45.0)


def judge(report: Report, told: Told, plan: Plan) -> None:
    """Claims about what was seen."""
    sent, failed = told.outcome.sent, told.outcome.failed
    print(
        f"\n- p99 from the end of a body to its answer: {1000 * quantile(told.outcome.seconds, 0.99):.0f} ms"
    )
    print(f"- {told.replaced_s:.0f} s after the interruption as many pods served again")
    for why, count in told.outcome.failures.items():
        print(f"- failed: {count} x {why}")
    report.claim("failed requests", f"{failed} of {sent:,}", "0", failed == 0)
    report.claim("pods when the load had grown", str(told.most), str(plan.high), told.most == plan.high)
    report.claim(
        "pods that got SIGTERM under load", str(told.interrupted), "half", told.interrupted == plan.high // 2
    )
    report.claim(
        "replicas before and after the metrics were lost",
        f"{told.lost_from}, {told.lost_to}",
        "none taken away",
        told.lost_to >= told.lost_from,
    )
    report.claim("replicas once they were back", str(told.last), "fewer", told.last < told.lost_to)


def main() -> int:
    """Run the trial; 1 when something did not hold."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--bundle", type=Path, default=BUNDLE, help=f"what is served (default: {BUNDLE})")
    options = parser.parse_args()
    if program() is None:
        sys.exit("error: haproxy is not installed")
    params = load_params()
    policy, around = read_policy(Path(params.autoscale.policies[0])), read_surroundings(params)
    times = (around.scrape_s, around.stop_s - params.serve.drain_seconds)
    bundle = verified(options.bundle)
    report = Report(f"{policy.name}, {PLAN.lapse:g} times faster, {PLAN.low} to {PLAN.high} pods", bundle)
    with tempfile.TemporaryDirectory() as folder:
        told = asyncio.run(
            run(PLAN, policy, bundle.path, Path(folder), times, lambda line: print(line, flush=True))
        )
    judge(report, told, PLAN)
    return report.close()


if __name__ == "__main__":
    sys.exit(main())

"""The shipped policy with real service processes behind HAProxy: benchmarks/autoscaling in short."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.autoscaling.balancer import program
from benchmarks.autoscaling.story import Plan, run
from tests.support.costs import ROOT
from tests.support.params import params_of_tests
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.autoscaling.policy import read_policy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        program() is None, reason="haproxy is not installed: no policy is tried with real pods"
    ),
]
# So fast that five minutes of the policy are three seconds; the service writes its metrics twice a second.
PLAN = Plan(lapse=100.0, low=1, high=2, calm_s=0.5, lost_s=4.5, back_s=0.0)


def test_pods_come_with_the_load_go_on_notice_and_stay_without_metrics_and_no_request_fails(tmp_path: Path):
    policy = read_policy(ROOT / params_of_tests().autoscale.policies[0])
    bundle = make_tiny_bundle(tmp_path / "bundle")
    lines: list[str] = []
    told = asyncio.run(run(PLAN, policy, bundle.path, tmp_path, (15.0, 10.0), lines.append))
    story = "\n".join(lines)
    assert told.outcome.failed == 0, f"{told.outcome.failures}\n{story}"
    assert told.outcome.answered == told.outcome.sent > 50, story
    assert (told.most, told.interrupted) == (2, 1), story
    assert (told.lost_from, told.lost_to) == (2, 2), story

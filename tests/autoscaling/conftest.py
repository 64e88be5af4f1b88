"""A trial on a made-up benchmark: 500 tickets a second and worker, and nothing beside the model."""

import os
from pathlib import Path

import pytest

from tests.support.costs import PLAIN, TODAY, params_here, write_benchmark
from ticket_sentiment.autoscaling.trial import Setting, build_setting
from ticket_sentiment.costs.case import build_case

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def setting(tmp_path_factory) -> Setting:
    """The shipped ScaledObject alone, with an office day whose busiest moment is planned for ten pods."""
    benchmark = write_benchmark(tmp_path_factory.mktemp("trial") / "benchmark.json")
    params = params_here()
    case = build_case(params, PLAIN | {"profile": "office", "utilisation": 0.6}, benchmark, TODAY)
    here = Path.cwd()
    os.chdir(ROOT)  # manifests are named from the repository's root
    try:
        return build_setting(params, case, [Path(params.autoscale.policies[0])], 10.0)
    finally:
        os.chdir(here)

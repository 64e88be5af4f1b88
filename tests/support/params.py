"""The settings of tests: tests/params.yaml, so that no edit of params.yaml is a reason for a test to fail.

Only what asks whether params.yaml is valid, or whether what is made from it is up to date, reads that one.
tests/test_params.py holds the keys of both against each other.
"""

import os
from functools import cache
from pathlib import Path

from ticket_sentiment.params import Params, load_params

LIVE = Path(__file__).parents[2] / "params.yaml"
FROZEN = Path(__file__).parents[1] / "params.yaml"


def params_file() -> Path:
    """tests/params.yaml; but params.yaml where a benchmark borrows from tests/support: it measures that one.

    pytest sets its variable for whatever tests start, too.
    """
    return FROZEN if "PYTEST_VERSION" in os.environ else LIVE


@cache
def params_of_tests() -> Params:
    """What is in that file."""
    return load_params(params_file())

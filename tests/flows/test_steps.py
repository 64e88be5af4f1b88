"""What the flows share: one retraining or hotfix at a time."""

import pytest

from tests.support.repository import clone, start_until
from ticket_sentiment.files import exclusive

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """Without tickets and corrections, so that a flow ends soon after it has begun."""
    return clone(tmp_path_factory.mktemp("alone") / "repository")


@pytest.mark.parametrize(
    ("flow", "error"),
    [
        ("flows.monthly_retrain", "error: no file matches 'exports/*.csv'"),
        ("flows.hotfix", "error: name a file of corrected tickets"),
    ],
)
def test_a_flow_waits_for_the_end_of_another_one(repository, flow, error):
    with exclusive(
        repository.root / "var/retrain.lock", "a retraining, a collection, a hotfix or an erasure"
    ):
        process, _ = start_until(repository, "waiting for its end, 4 hours at most", flow)
    rest, _ = process.communicate()
    assert process.returncode == 2
    assert rest.strip().splitlines()[-1].startswith(error), "it began when the other one had ended"
    assert "waiting" not in rest

from pathlib import Path

import pytest

from tests.batch.jobs import Jobs
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.model.bundle import Bundle


@pytest.fixture(scope="session")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    return make_tiny_bundle(tmp_path_factory.mktemp("batch") / "bundle", temperature=2.0)


@pytest.fixture
def jobs(tmp_path: Path, bundle: Bundle) -> Jobs:
    return Jobs(tmp_path, bundle)

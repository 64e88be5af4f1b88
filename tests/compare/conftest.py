import pytest

from tests.registry.conftest import empty_database, project
from tests.support.project import REPOSITORY
from ticket_sentiment.params import Params, load_params

__all__ = ["empty_database", "project"]


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml."""
    return load_params(REPOSITORY / "params.yaml")

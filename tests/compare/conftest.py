import pytest

from tests.registry.conftest import project
from tests.support.project import REPOSITORY
from ticket_sentiment.params import Params, load_params

__all__ = ["project"]


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml."""
    return load_params(REPOSITORY / "params.yaml")

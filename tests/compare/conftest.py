import pytest

from tests.registry.conftest import project
from tests.support.params import params_of_tests
from ticket_sentiment.params import Params

__all__ = ["project"]


@pytest.fixture(scope="session")
def params() -> Params:
    """The repository's own params.yaml."""
    return params_of_tests()

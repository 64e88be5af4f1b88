"""A small project with its ledger, and a Prefect server."""

from collections.abc import Iterator

import pytest
from prefect.settings import PREFECT_API_URL
from prefect.testing.utilities import prefect_test_harness

from tests.promotion.conftest import loop
from tests.registry.conftest import project

__all__ = ["loop", "project"]


@pytest.fixture(scope="package", autouse=True)
def prefect() -> Iterator[str]:
    """A server with a database of its own, for flows of this process and of others; its URL.

    A flow without one starts a server of its own, whose new database alone takes longer than many a flow.
    """
    with prefect_test_harness(server_startup_timeout=120), pytest.MonkeyPatch.context() as patch:
        url = PREFECT_API_URL.value()
        patch.setenv("PREFECT_API_URL", url)
        yield url

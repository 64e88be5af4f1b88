from collections.abc import Iterator

import pytest

from tests.events.conftest import url
from tests.promotion.loop import Loop
from tests.registry.conftest import project
from tests.support.project import Project

__all__ = ["project", "url"]


@pytest.fixture
def loop(project: Project) -> Iterator[Loop]:
    """A project with a ledger of its own, where nothing is registered yet."""
    made = Loop(project)
    yield made
    made.close()

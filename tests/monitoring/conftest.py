"""A small project in service, with a reference and traffic like it."""

from tests.promotion.conftest import loop
from tests.registry.conftest import project

__all__ = ["loop", "project"]

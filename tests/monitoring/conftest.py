"""A small project in service, with a reference and traffic like it."""

from tests.promotion.conftest import loop
from tests.registry.conftest import empty_database, project

__all__ = ["empty_database", "loop", "project"]

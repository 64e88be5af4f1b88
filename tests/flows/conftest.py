"""A small project with its ledger."""

from tests.promotion.conftest import loop
from tests.registry.conftest import empty_database, project

__all__ = ["empty_database", "loop", "project"]

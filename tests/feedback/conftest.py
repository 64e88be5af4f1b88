"""An event database of each kind, and a DVC repository."""

from tests.events.conftest import open_store, rows, url
from tests.tickets.conftest import _dvc_template, dvc, params, repository

__all__ = ["_dvc_template", "dvc", "open_store", "params", "repository", "rows", "url"]

"""What many folders of tests share, made once a process, and in which order files of tests are handed out."""

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.servers import PostgresServer
from ticket_sentiment.params import load_params

ROOT = Path(__file__).parents[1]
# Files of minutes, the longest first: begun last, they would keep one process busy while the other has ended.
LONGEST = (
    "tests/flows/test_hotfix.py",
    "tests/flows/test_monthly_retrain.py",
    "tests/registry/test_images.py",
    "tests/test_live.py",
    "tests/mutations/test_mutations.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The longest files first, the others as they were found."""
    first = {name: number for number, name in enumerate(LONGEST)}
    items.sort(key=lambda item: first.get(item.nodeid.partition("::")[0], len(LONGEST)))


def pytest_collection_finish() -> None:
    """All libraries are imported now: their objects stay, and need not be looked through again and again."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.close()


@pytest.fixture(scope="session")
def empty_database(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow database with its tables, which take seconds to make."""
    from ticket_sentiment.registry import store

    os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
    root = tmp_path_factory.mktemp("mlflow")
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        store.connect(load_params(ROOT / "params.yaml"), root).client.search_experiments()
    return root / "var/mlflow.db"

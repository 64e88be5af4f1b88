"""What many folders of tests share, made once a process, and in which order files of tests are handed out."""

import gc
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.params import params_file, params_of_tests
from tests.support.servers import PostgresServer

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


@pytest.fixture
def in_repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The repository as the current folder, as far as commands read it, with the settings of tests."""
    root = tmp_path / "repository"
    root.mkdir()
    for name in ("deploy", "src"):
        (root / name).symlink_to(ROOT / name)
    shutil.copyfile(params_file(), root / "params.yaml")
    monkeypatch.chdir(root)
    return root


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
        store.connect(params_of_tests(), root).client.search_experiments()
    return root / "var/mlflow.db"

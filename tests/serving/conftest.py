from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the development server runs: params.yaml and a bundle."""
    path = tmp_path_factory.mktemp("serving")
    make_tiny_bundle(path / "bundle", temperature=2.0)
    (path / "metrics-port").write_text(str(write_params(path)))
    return path


@pytest.fixture(scope="session")
def server(folder: Path) -> Iterator[Server]:
    with Server(
        SERVICE, folder / "serve.log", folder, TICKET_SENTIMENT_BUNDLE=str(folder / "bundle")
    ) as running:
        running.wait_until_ready()
        yield running


@pytest.fixture(scope="session")
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=30) as opened:
        yield opened

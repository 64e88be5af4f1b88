"""`make ui`, with stand-ins of both servers."""

import os
import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).parents[2] / "scripts/ui"


def ui(folder: Path, uri: str) -> tuple[list[str], list[str]]:
    """Run it with servers that end at once: how each was called, and what was printed."""
    tools, log = folder / "tools", folder / "log"
    tools.mkdir()
    log.write_text("")
    for name in ("mlflow", "prefect"):
        (tools / name).write_text(f'#!/bin/sh\necho "{name} $*" >> {log}\n')
        (tools / name).chmod(0o755)
    environment = os.environ | {"PATH": f"{tools}:{os.environ['PATH']}", "MLFLOW_TRACKING_URI": uri}
    done = subprocess.run([SCRIPT], cwd=folder, env=environment, capture_output=True, text=True, timeout=60)
    return sorted(log.read_text().splitlines()), done.stdout.splitlines()


def test_a_database_gets_a_server(tmp_path: Path) -> None:
    called, printed = ui(tmp_path, "sqlite:///var/mlflow.db")
    assert called == [
        "mlflow server --backend-store-uri sqlite:///var/mlflow.db --port 5000",
        "prefect server start --port 4200",
    ]
    assert printed[0].startswith("MLflow   http://localhost:5000 ")


@pytest.mark.parametrize("uri", ["http://mlflow.internal:5000", "https://reader:pw@mlflow.internal/a@b"])
def test_a_server_is_named_and_not_started_once_more(tmp_path: Path, uri: str) -> None:
    """`mlflow server` opens databases and folders, and no other server."""
    called, printed = ui(tmp_path, uri)
    assert called == ["prefect server start --port 4200"]
    shown = uri.replace("reader:pw@", "")
    assert printed[0] == f"MLflow   {shown}   (a server already: none is started here)"

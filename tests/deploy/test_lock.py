"""What `make lock` writes, and what `make extras` may change of it."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
LISTED = """numpy==2.4.0
nvidia-cublas-cu12==12.8.4
pip==26.1
setuptools==84.2
ticket-sentiment==0.1.0
torch==2.13.0+cpu
triton==3.5.0
"""


def lock(folder: Path, listing: str, status: int = 0) -> int:
    """Run it, with a stand-in for pip's list."""
    (folder / "listing").write_text(listing)
    (folder / "python").write_text(f"#!/bin/sh\ncat {folder}/listing\nexit {status}\n")
    (folder / "python").chmod(0o755)
    environment = os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}
    return subprocess.run(
        [ROOT / "scripts/lock"], cwd=folder, env=environment, capture_output=True
    ).returncode


def test_it_holds_what_every_machine_needs_and_never_this_package_itself(tmp_path: Path) -> None:
    assert lock(tmp_path, LISTED) == 0
    lines = (tmp_path / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not line.startswith("#")] == ["numpy==2.4.0", "torch==2.13.0"]


def test_a_list_that_cannot_be_made_leaves_the_lock_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "requirements.lock").write_text("numpy==2.3.0\n")
    assert lock(tmp_path, "", status=1) != 0
    assert (tmp_path / "requirements.lock").read_text() == "numpy==2.3.0\n"


def test_the_extras_of_stores_and_clouds_fit_the_lock() -> None:
    """Of S3 everything is locked, as its client wants one botocore alone."""
    locked = dict(
        line.split("==")
        for line in (ROOT / "requirements.lock").read_text().splitlines()
        if not line.startswith("#")
    )
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    for wanted in map(Requirement, [*extras["s3"], *extras["aws"]]):
        assert wanted.specifier.contains(locked[wanted.name]), f"{wanted}: {locked[wanted.name]} in the lock"
    assert "aiobotocore" in locked


def test_extras_are_held_to_the_lock(tmp_path: Path) -> None:
    """make asks pip with the lock as a constraint, once."""
    binaries = tmp_path / ".venv/bin"
    binaries.mkdir(parents=True)
    (binaries / "python").write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/asked\n')
    (binaries / "python").chmod(0o755)
    for name in ("Makefile", "requirements.lock", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / ".venv/ready").touch()
    for name in ("Makefile", "requirements.lock", "pyproject.toml", ".venv/ready"):
        os.utime(tmp_path / name, (1e9, 1e9))  # a shell may compare times by whole seconds
    for _ in range(2):
        done = subprocess.run(
            ["make", "extras", "EXTRAS=s3,hub", f"PYTHON={sys.executable}"], cwd=tmp_path, capture_output=True
        )
        assert done.returncode == 0, done.stderr
    (asked,) = (tmp_path / "asked").read_text().splitlines()
    assert "--constraint requirements.lock" in asked and asked.endswith("--editable .[s3,hub]")

import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.evidence import write_evidence
from tests.support.params import params_of_tests
from ticket_sentiment.gates.fail_closed import Limits


@pytest.fixture(scope="session")
def evidence_folders(tmp_path_factory) -> dict[bool, Path]:
    """With and without a champion; made once, copied for each test."""
    folders = {}
    for champion in (True, False):
        folders[champion] = tmp_path_factory.mktemp("evidence")
        write_evidence(folders[champion], champion=champion)
    return folders


@pytest.fixture
def good_evidence(evidence_folders, tmp_path, monkeypatch) -> Callable[..., Path]:
    """Lay a complete set of passing evidence below a fresh folder and make it the current one."""

    def lay(champion: bool = True) -> Path:
        root = tmp_path / "root"
        shutil.copytree(evidence_folders[champion], root)
        monkeypatch.chdir(root)
        return root

    return lay


@pytest.fixture(scope="session")
def hotfix_folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("evidence")
    write_evidence(folder, of_hotfix=True)
    return folder


@pytest.fixture
def good_hotfix(hotfix_folder, tmp_path, monkeypatch) -> Path:
    """A complete set of passing evidence about a hotfix, as the current folder."""
    root = tmp_path / "root"
    shutil.copytree(hotfix_folder, root)
    monkeypatch.chdir(root)
    return root


@pytest.fixture
def now() -> datetime:
    """A day after the benchmark of the evidence."""
    return datetime(2026, 11, 3, tzinfo=UTC)


@pytest.fixture(scope="session")
def params():
    """The repository's own params.yaml."""
    return params_of_tests()


@pytest.fixture(scope="session")
def limits(params) -> Limits:
    return Limits.of(params)


@pytest.fixture
def changed_limits(limits) -> Callable[..., Limits]:
    """The limits with keys of either section set."""

    def of(**changed) -> Limits:
        sections = []
        for section in (limits.gate, limits.budget):
            own = {key: value for key, value in changed.items() if key in type(section).model_fields}
            sections.append(section.model_copy(update=own))
        return Limits(*sections)

    return of

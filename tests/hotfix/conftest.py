"""A champion with its snapshot in git and its data in DVC's cache, and an event database."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.events.conftest import open_store, rows, url
from tests.labelling.conftest import answered, store
from tests.support.evidence import tickets
from tests.support.params import params_of_tests
from tests.support.project import REPOSITORY, Project, git, make_project, write_card
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.files import read_json, sha256_tree, write_json, write_text
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.params import load_params
from ticket_sentiment.tickets.schema import write_tickets

__all__ = ["answered", "open_store", "rows", "store", "url"]


@pytest.fixture
def params():
    return params_of_tests()


def dvc(root: Path, *arguments: str) -> None:
    subprocess.run([sys.executable, "-m", "dvc", *arguments], cwd=root, check=True, stdout=subprocess.DEVNULL)


def _out(root: Path, path: str) -> dict:
    """DVC's entry of a folder that is put into its cache."""
    copy = root / "added" / Path(path).name  # git ignores models/, and DVC's pointers in it
    shutil.copytree(root / path, copy)
    dvc(root, "add", "--quiet", str(copy.relative_to(root)))
    (entry,) = yaml.safe_load(copy.with_suffix(".dvc").read_text())["outs"]
    shutil.rmtree(copy.parent)
    return entry | {"path": path}


@pytest.fixture(scope="session")
def _champion_template(tmp_path_factory: pytest.TempPathFactory, empty_database: Path) -> Path:
    """The root of `champion`, made once by half a dozen of DVC's processes; copies share its artifacts."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        project = make_project(tmp_path_factory.mktemp("champion") / "project", empty_database)
        _make_champion(project)
    return project.root


@pytest.fixture
def champion(_champion_template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """Version 1 with the alias `champion`, made of files that DVC's cache of the repository holds."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    root = tmp_path / "project"
    shutil.copytree(_champion_template, root)
    return Project(root, load_params(root / "params.yaml"))


def _make_champion(project: Project) -> None:
    root = project.root
    dvc(root, "init", "--quiet")
    for name in ("data/behaviour.yaml", "dvc.yaml", "dvc.hotfix.yaml"):
        write_text(root / name, (REPOSITORY / name).read_text())
    write_text(
        root / "models/frontier/frontier.csv", (REPOSITORY / "models/frontier/frontier.csv").read_text()
    )
    for name in ("data/tickets.dvc", "dvc.lock"):  # stand-ins that DVC does not read
        (root / name).unlink()
    git(
        root,
        "add",
        "--force",
        "data/behaviour.yaml",
        "dvc.hotfix.yaml",
        "dvc.yaml",
        "models/frontier",
        ".dvc/config",
    )
    git(root, "commit", "--quiet", "-m", "stages")
    for seed, (name, month) in enumerate({"train": 1, "tune": 2, "holdout": 3, "unlabelled": 1}.items()):
        write_tickets(root / f"data/prepared/{name}.parquet", tickets(90, f"2026-0{month}", seed))
    for name in ("dense", "pruned"):
        write_json(root / f"models/{name}/training.json", {"name": name})
    write_tickets(root / "data/tickets/2026-01.parquet", tickets(90, "2026-01", 0))
    dvc(root, "add", "--quiet", "data/tickets")
    project.result()
    made_from = sha256_tree(root / "data/prepared")
    for device, precision in (("cpu", "int8"), ("gpu", "fp16"), ("edge", "int8")):
        make_tiny_bundle(
            root / "models/release" / device, seed=1, precision=precision, training_data=made_from
        )
    judged(root)
    write_json(root / "reports/validation/result.json", {"success": True})
    stages = {
        "prepare": {"outs": [_out(root, "data/prepared")]},
        "train": {"outs": [_out(root, "models/dense")]},
        "prune": {"outs": [_out(root, "models/pruned")]},
        "quantize": {"outs": []},
    }
    stages = {name: {"cmd": name} | stage for name, stage in stages.items()}
    write_text(root / "dvc.lock", yaml.safe_dump({"schema": "2.0", "stages": stages}))
    assert project.register().alias == "champion"


def judged(root: Path, decision: str = "pass") -> None:
    """Let reports/gate.json and the model card be about the bundles that lie there."""
    digests = {name: load_bundle(root / f"models/release/{name}").digest for name in ("cpu", "gpu")}
    about = {"bundle_digest": digests["cpu"], "gpu_bundle_digest": digests["gpu"], "decision": decision}
    write_json(root / "reports/gate.json", read_json(root / "reports/gate.json") | about)
    write_card(root, digests, decision)

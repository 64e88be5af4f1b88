"""A clone of this repository with a small slice of tickets, in which the real flow runs."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
import pytest
import yaml

from tests.support.frontier import frontier_point
from tests.support.params import params_file
from tests.support.tiny_model import make_tiny_base, tiny_texts
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.frontier import write_frontier
from ticket_sentiment.params import DemoSource, load_params
from ticket_sentiment.registry import store
from ticket_sentiment.tickets.demo import read_demo

# A model that has seen 200 tickets is no good; what is tested here is the way, not the quality.
LENIENT = {
    "min_macro_f1": 0.0,
    "min_class_recall": 0.0,
    "min_gain_over_tfidf": -1.0,
    "max_loss_to_champion": 1.0,
    "max_behaviour_rise": 1.0,
    "max_calibration_error": 1.0,
    "min_holdout_rows": 10,
    "min_label_agreement": 0.8,
    "min_speedup": 0.1,
    "max_cost_over_champion": 100.0,  # two rounds beside other tests tell nothing of a speed
    "max_label_noise": 1.0,
    "min_coverage": 0.0,
    "max_slice_loss": 1.0,
}
CALM_DRIFT = {
    "numeric_floor": 1000.0,  # in standard deviations, and a tiny model is equally sure of everything
    "categorical_floor": 0.9,
    "embedding_floor": 1.0,
    "max_changed_answers": 1.0,
}
# Small tables say less: what is demanded of a month and of a model is lowered, nothing is switched off.
SMALL_TABLES: dict[str, dict[str, Any]] = {
    "validate": {"min_rows": 50, "min_signal": 0.3, "max_label_shift": 0.4, "language_sample": 100},
    "evaluate": {"bootstrap_samples": 200, "min_slice_rows": 30},
    "behaviour": {"cases_per_test": 10},
    "drift": {"max_rows": 200, "embedding_rows": 200, "resamples": 20},
    "benchmark": {"texts": 20, "rounds": 2},
}
TINY_BASE = "./base"
# For `learnable_month` and the model of `make_tiny_base` in the folder TINY_BASE.
TINY_MONTH: dict[str, dict[str, Any]] = {
    "validate": {"min_language_share": 0.0, "max_duplicate_share": 1.0},
    "train": {
        "base_model": TINY_BASE,
        "base_licence": "MIT",
        "epochs": 8,
        "batch_size": 8,
        "learning_rate": 5.0e-3,
        "embedding_learning_rate": 5.0e-3,
        "max_length": 24,
        "patience": 9,
    },
    "prune": {"batch_size": 8, "learning_rate": 5.0e-3},
    "budget": {"max_loss": 1.0},
    "gate": {**LENIENT, "min_label_agreement": 0.0, "max_signal": 1.0},
    "drift": CALM_DRIFT,
}
TINY_SHAPE = {"base_model": TINY_BASE, "layers": 2, "heads": 2, "ffn": 32, "embedding_bytes": 8}

ORIGINAL = Path(__file__).parents[2]
IDENTITY = ["-c", "user.name=Person", "-c", "user.email=person@example.com"]


def slice_of_demo(path: Path, rows: int) -> None:
    """The first `rows` real sentences of each of three months, as a person's export would hold them."""
    demo = read_demo(DemoSource(kind="demo", first_month="2026-01", months=3, seed=7))
    month = pd.to_datetime(demo["created_at"], utc=True).dt.strftime("%Y-%m")
    chosen = demo.groupby(month).head(rows)
    path.parent.mkdir(parents=True, exist_ok=True)
    chosen.to_csv(path, index=False)


def learnable_month(month: str, rows: int, seed: int) -> pd.DataFrame:
    """A month of made-up tickets whose words give the label away, which even a tiny model learns."""
    made = tiny_texts(rows, seed)
    frame = pd.DataFrame({"text": made.texts, "label": [LABELS[label] for label in made.labels]})
    frame["ticket_id"] = [f"{month}-{row}" for row in range(rows)]
    frame["created_at"] = pd.date_range(f"{month}-01", periods=rows, freq="h", tz="UTC").astype(str)
    return frame


def learnable_tickets(path: Path, rows: int) -> None:
    """Three such months in one file."""
    months = ("2026-01", "2026-02", "2026-03")
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat([learnable_month(m, rows, seed) for seed, m in enumerate(months)]).to_csv(path, index=False)


@dataclass
class Repository:
    """The clone, and how its flow is run: in a process of its own, as people do."""

    root: Path

    @property
    def environment(self) -> dict[str, str]:
        scripts = str(Path(sys.executable).parent)
        return {
            **os.environ,
            "PATH": f"{scripts}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": str(self.root / "src"),
            "PREFECT_HOME": os.environ.get("TEST_PREFECT_HOME", str(self.root / "var/prefect")),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
            "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL",
            "BENTOML_HOME": str(self.root / "var/bentoml"),
            "HF_HUB_OFFLINE": "1",
        }

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a Python module in the clone; its output is both streams together."""
        (self.root / "var/prefect").mkdir(parents=True, exist_ok=True)
        return subprocess.Popen(
            [sys.executable, "-m", *arguments],
            cwd=self.root,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,  # so that a test can end it with all its children
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        """Run a Python module in the clone to its end: exit status and output."""
        process = self.start(*arguments)
        output, _ = process.communicate()
        return process.returncode, output

    def retrain(self) -> str:
        """`make retrain`, without the installation; what it printed."""
        status, output = self.run("flows.monthly_retrain")
        assert status == 0, output[-4000:]
        return output

    def edit_params(self, **sections: dict[str, Any]) -> None:
        """Set keys of params.yaml, section by section."""
        path = self.root / "params.yaml"
        raw = yaml.safe_load(path.read_text())
        for name, values in sections.items():
            raw[name] |= values
        path.write_text(yaml.safe_dump(raw))

    def write_frontier(self, **shape: Any) -> None:
        """Put one measured shape into frontier.csv, instead of what was measured on the whole demo."""
        base_model = load_params(self.root / "params.yaml").train.base_model
        write_frontier(
            [frontier_point(**{"base_model": base_model} | shape)],
            self.root / "models/frontier/frontier.csv",
        )

    def versions(self) -> list[Any]:
        """All registered versions, oldest first."""
        params = load_params(self.root / "params.yaml")
        return store.all_versions(store.connect(params, self.root))

    def runs(self) -> list[Any]:
        """All MLflow runs of the experiment."""
        params = load_params(self.root / "params.yaml")
        client = store.connect(params, self.root).client
        experiments = [item.experiment_id for item in client.search_experiments()]
        return list(client.search_runs(experiments))


def _is_source(name: str) -> bool:
    """Whether a file is the product's own, and no test, no ticket, and nothing that stages or flows made."""
    made = name == "dvc.lock" or name.startswith(("exports/", "tests/"))
    made |= name.startswith("data/") and name.endswith(".dvc")
    return not made and not (name.startswith("reports/") and not name.endswith(("README.md", ".gitignore")))


def copy_of_tree(root: Path) -> Repository:
    """A committed copy of the product in the working tree, as if cloned, with the settings of tests."""
    names = subprocess.run(
        ["git", "-C", str(ORIGINAL), "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        check=True, capture_output=True, text=True,
    ).stdout.split("\0")  # fmt: skip
    for name in filter(None, names):
        if (ORIGINAL / name).is_file() and _is_source(name):
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ORIGINAL / name, root / name)
    shutil.copyfile(params_file(), root / "params.yaml")
    subprocess.run(["git", "init", "-q", "-b", "main"], cwd=root, check=True)
    subprocess.run(["git", "add", "-A"], cwd=root, check=True)
    subprocess.run(["git", *IDENTITY, "commit", "-qm", "start"], cwd=root, check=True)
    return Repository(root)


def clone(root: Path) -> Repository:
    """Such a copy for small tables; the tickets come from a CSV in `exports/`."""
    repository = copy_of_tree(root)
    repository.edit_params(tickets={"source": {"kind": "files", "path": "exports/*.csv"}}, **SMALL_TABLES)
    return repository


def tiny(root: Path) -> Repository:
    """The whole way with a tiny base model, so that it can be gone many times."""
    made = clone(root)
    learnable_tickets(made.root / "exports/tickets.csv", rows=150)
    make_tiny_base(made.root / TINY_BASE)
    made.edit_params(**TINY_MONTH)
    made.write_frontier(**TINY_SHAPE)
    return made


@contextlib.contextmanager
def no_server() -> Iterator[None]:
    """As for a person who says no more than `make retrain`: the flow starts a Prefect server of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("PREFECT_API_URL", raising=False)
        yield


def start_until(repository: Repository, mark: str, *arguments: str) -> tuple[subprocess.Popen[str], str]:
    """Start a Python module and come back when it prints `mark`, or a path of this name appears.

    Returns:
        The process, and what it has printed so far.
    """
    process = repository.start(*arguments)
    seen = ""
    for line in process.stdout:
        seen += line
        if mark in line or (repository.root / mark).exists():
            return process, seen
    pytest.fail(f"the flow ended before {mark}: {seen[-2000:]}")


def kill_at(repository: Repository, mark: str, everything: bool, *arguments: str) -> None:
    """`kill -9` of a Python module's process, or of all its children too, as when the machine goes down.

    Args:
        repository: where it runs.
        mark: what it prints, or a path that appears, when it is killed.
        everything: whether the children are killed, too.
        *arguments: the module, and what follows.
    """
    process, _ = start_until(repository, mark, *arguments)
    time.sleep(0.5)
    children = psutil.Process(process.pid).children(recursive=True)
    if everything:
        os.killpg(process.pid, signal.SIGKILL)
    else:
        process.kill()
    process.stdout.close()
    process.wait()
    for child in children:  # Prefect's temporary server never ends by itself, whatever became of its flow
        with contextlib.suppress(psutil.Error):
            if "prefect.server.api.server:create_app" in child.cmdline():
                child.kill()

"""A small project whose stages have all run, in a git repository, with its own MLflow store."""

import json
import os
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from tests.support.params import params_file
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.files import write_json, write_text
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.registry import registry, store

REPOSITORY = Path(__file__).parents[2]
TICKET = "my card is broken and nobody answers"
DVC_LOCK = """schema: '2.0'
stages:
  train: {cmd: train, deps: [{path: data/prepared, md5: aa.dir}], outs: [{path: models/dense, md5: bb.dir}]}
  prune: {cmd: prune, outs: [{path: models/pruned, md5: cc.dir}]}
  quantize: {cmd: quantize, outs: [{path: models/release, md5: dd.dir}]}
  gate: {cmd: gate, outs: [{path: reports/gate.json, md5: ee}]}
"""
INTERVAL = {"value": 0.7, "low": 0.68, "high": 0.72}
GIT_IDENTITY = {
    f"GIT_{role}_{key}": value
    for role in ("AUTHOR", "COMMITTER")
    for key, value in {"NAME": "Person", "EMAIL": "person@example.com", "DATE": "1700000000 +0000"}.items()
}


def git(root: Path, *arguments: str) -> str:
    environment = {**os.environ, **GIT_IDENTITY}
    command = ["git", "-C", str(root), *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout.strip()


def begin_repository(root: Path) -> None:
    """A new git repository at `root`: branch main, one commit with a dvc.lock."""
    root.mkdir()
    git(root, "init", "--quiet", "--initial-branch=main")
    (root / "dvc.lock").write_text("one\n")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "start")


def write_card(root: Path, digests: Mapping[str, str], decision: str) -> None:
    """A small model card about these bundles and this decision."""
    front = yaml.safe_dump({"decision": decision, "bundles": dict(digests)})
    write_text(
        root / "reports/card.md",
        f"---\n{front}---\n\n# A model\n\n## Intended use\n\nTo sort tickets.\n\n## Limits\n\nNone.\n",
    )


@dataclass
class Project:
    """The repository's root, its params, and the two things that tests do with them."""

    root: Path
    params: Params

    def result(
        self,
        seed: int = 0,
        decision: str = "pass",
        macro_f1: float = 0.7,
        mistakes: Mapping[str, str] | None = None,
    ) -> None:
        """Write a candidate and the reports about it; `mistakes` as of `make_tiny_bundle`."""
        digests = {
            device: make_tiny_bundle(
                self.root / "models/release" / device, seed=seed, precision=precision, mistakes=mistakes
            ).digest
            for device, precision in (("cpu", "int8"), ("gpu", "fp16"), ("edge", "int8"))
        }
        compressed = {
            "macro_f1": {**INTERVAL, "value": macro_f1},
            "confusion": [[8, 1, 1], [2, 5, 3], [0, 1, 9]],
        }
        slices = [{"slice": "channel", "value": "tweets (EN)", "rows": 60, "right": {"value": 0.65}}]
        reports = {
            "evaluation/metrics.json": {
                "models": {"compressed": compressed, "champion": None},
                "slices": slices,
            },
            "compression.json": {
                "attempts": [{"shape": "2x2x32-e8", "tune_loss": 0.004, "mb": 8.0, "inside_budget": True}],
                **{device: {"bytes": 1000, "digest": digest} for device, digest in digests.items()},
            },
            "benchmark.json": {"size_ratio": 12.5, "machine": {"cores": 2}},
            "drift.json": {"incoming": {"label": {"value": 0.01, "status": "SUCCESS", "drifted": False}}},
            "gate.json": {
                "decision": decision,
                "bundle_digest": digests["cpu"],
                "gpu_bundle_digest": digests["gpu"],
                "holdout_sha256": "c" * 64,
                "reasons": ["recall of `neutral` fell from 0.52 to 0.47"],
            },
        }
        for name, content in reports.items():
            write_json(self.root / "reports" / name, content)
        write_text(self.root / "reports/release.html", f"<p>{TICKET}</p>")
        write_card(self.root, digests, decision)
        write_text(
            self.root / "reports/training/learning_curve.csv",
            "step,train_loss,loss,macro_f1\n5,0.8,0.9,0.5\n9,0.6,0.7,0.6\n",
        )
        write_text(
            self.root / "reports/evaluation/reliability.csv",
            "model,confidence,accuracy,rows\ndense,0.5,0.55,9\n",
        )

    def register(self) -> registry.Registration:
        return registry.register(self.params, self.root)

    @property
    def store(self) -> store.Store:
        return store.connect(self.params, self.root)

    def aliases(self) -> dict[str, int]:
        """Version by alias."""
        return {alias: int(v.version) for v in store.all_versions(self.store) for alias in v.aliases}


def make_project(root: Path, empty_database: Path | None) -> Project:
    """A committed project; its dvc.lock and data pointer have changed since. None: MLflow is elsewhere."""
    (root / "var").mkdir(parents=True)
    if empty_database:
        shutil.copyfile(empty_database, root / "var/mlflow.db")
    shutil.copyfile(params_file(), root / "params.yaml")
    shutil.copyfile(REPOSITORY / "bentofile.yaml", root / "bentofile.yaml")
    write_text(root / ".gitignore", "/var/\n/models/\n/data/prepared/\n")
    write_text(root / "dvc.yaml", "stages: {}\n")
    write_text(root / "code.py", "1\n")
    for name in ("models/champion", "reports"):
        write_text(root / name / "README.md", "what lies here\n")
    git(root, "init", "--quiet", "--initial-branch=main")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "start")
    write_text(root / "dvc.lock", DVC_LOCK)
    write_text(root / "data/tickets.dvc", "outs:\n- md5: 0123abcd.dir\n  path: tickets\n")
    months = {"train": ["2026-01", "2026-02"], "tune": ["2026-03"], "holdout": ["2026-04"]}
    split = {"months": months, "sha256": {"train": "1" * 64, "tune": "2" * 64, "holdout": "c" * 64}}
    write_text(root / "data/prepared/split.json", json.dumps(split))
    return Project(root, load_params(root / "params.yaml"))

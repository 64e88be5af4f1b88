"""Every configuration file of the repository is loaded here, and agrees with the code."""

import ast
import importlib
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
import yaml

from ticket_sentiment.cli import HOTFIX_STAGES, STAGES
from ticket_sentiment.hotfix.folder import graph
from ticket_sentiment.params import Params

ROOT = Path(__file__).parents[1]
DVC = yaml.safe_load((ROOT / "dvc.yaml").read_text())
HOTFIX = yaml.safe_load((ROOT / "dvc.hotfix.yaml").read_text())
GROUND = {
    f"ticket_sentiment.{name}"
    for name in ("errors", "files", "labels", "params", "processes", "cli", "yaml_files")
}


COLLECTED = {"data/feedback", "data/tickets"}  # by `ticket-sentiment collect`, which is no stage


def names(entries) -> set[str]:
    """Paths of deps, outs or metrics, with or without options."""
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in entries}


def outputs() -> set[str]:
    return {
        name
        for stage in DVC["stages"].values()
        for kind in ("outs", "metrics")
        for name in names(stage.get(kind, []))
    }


def file_of(module: str) -> Path | None:
    base = ROOT / "src" / Path(*module.split("."))
    for path in (base.with_suffix(".py"), base / "__init__.py"):
        if path.is_file():
            return path
    return None


@cache
def imported(module: str) -> frozenset[str]:
    """Modules of this package that a module imports, itself."""
    found = set()
    for node in ast.walk(ast.parse(file_of(module).read_text())):
        candidates = []
        if isinstance(node, ast.ImportFrom) and node.module:
            candidates = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            candidates = [alias.name for alias in node.names]
        found |= {name for name in candidates if name.startswith("ticket_sentiment.") and file_of(name)}
    return frozenset(found)


def reached(module: str) -> set[str]:
    seen, todo = set(), [module]
    while todo:
        current = todo.pop()
        if current not in seen and current not in GROUND:
            seen.add(current)
            todo += imported(current)
    return {name for name in seen if file_of(name).name != "__init__.py"}


@pytest.mark.parametrize("stage", DVC["stages"])
def test_a_stage_names_every_module_it_runs(stage):
    """What is not among the deps goes stale silently."""
    deps = {dep for dep in names(DVC["stages"][stage]["deps"]) if dep.startswith("src/")}
    for module in reached(STAGES[stage]):
        path = file_of(module).relative_to(ROOT).as_posix()
        assert any(path == dep or path.startswith(dep + "/") for dep in deps), f"{stage} runs {path}"


@pytest.mark.parametrize("stage", DVC["stages"])
def test_a_stage_names_every_file_that_its_module_does(stage):
    """A champion, a report or a table that a module has a path of is among what the stage reads or makes."""
    entries = DVC["stages"][stage]
    listed = set().union(*(names(entries.get(kind, [])) for kind in ("deps", "outs", "metrics")))
    values = vars(importlib.import_module(STAGES[stage])).values()
    paths = [item for value in values for item in (value.values() if isinstance(value, dict) else [value])]
    for path in (item for item in paths if isinstance(item, Path)):
        name = path.as_posix()
        if path.parts[:1] in (("data",), ("models",), ("reports",)):
            near = (name == one or name.startswith(one + "/") or one.startswith(name + "/") for one in listed)
            assert any(near), f"{stage} knows {name}, which is neither read nor made"


@pytest.mark.parametrize("stage", DVC["stages"])
def test_a_stage_reads_what_exists_or_another_makes(stage):
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    for dep in names(DVC["stages"][stage]["deps"]):
        made = any(dep == out or dep.startswith(out + "/") for out in outputs()) or dep in COLLECTED
        there = any(path == dep or path.startswith(dep + "/") for path in tracked)
        assert made or there, f"{stage} reads {dep}, which nothing makes"


def test_git_ignores_what_dvc_versions_before_dvc_says_so():
    """Else `dvc add` writes a .gitignore of its own, which `make update` takes for a person's change."""
    kept = ["data/tickets", "data/feedback", "data/hotfix/2026-11-01.parquet"]
    ignored = subprocess.run(["git", "check-ignore", *kept], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == kept


def test_git_ignores_what_the_documentation_has_people_put_here():
    """Customers' words are not masked there, and the next step is `git add -A`."""
    named = ["exports/2026-11.csv", "exports/2026/11.parquet", "tickets.csv", "corrections.csv", "queue.csv"]
    named += ["queue.json", "traffic.csv", "export.csv", "corrections.jsonl", "out/_rejects.csv"]
    ignored = subprocess.run(["git", "check-ignore", *named], cwd=ROOT, capture_output=True, text=True)
    assert ignored.stdout.split() == named
    tracked = subprocess.run(
        ["git", "ls-files", "--cached", "--ignored", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert not tracked.stdout, "a file of the repository would be ignored"


def test_what_a_kill_leaves_half_written_is_no_data():
    left = ["data/live/.live.parquet.a1b2c3d4", "models/champion/.bundle.a1b2c3d4/model.onnx"]
    kept = ["data/live/live.parquet", "models/champion/bundle/model.onnx"]
    found = subprocess.run(
        [sys.executable, "-m", "dvc", "check-ignore", *left, *kept], cwd=ROOT, capture_output=True, text=True
    )
    assert found.stdout.splitlines() == left, found.stderr


def test_stages_and_commands_are_the_same():
    assert set(DVC["stages"]) == set(STAGES)
    for name, stage in DVC["stages"].items():
        assert stage["cmd"] == f"ticket-sentiment {name}"


def test_the_stages_of_a_hotfix_are_commands_and_name_what_they_run():
    stages = {name: stage for name, stage in HOTFIX["stages"].items() if stage and "cmd" in stage}
    assert [stage["cmd"] for stage in stages.values()] == [
        f"ticket-sentiment {name}" for name in HOTFIX_STAGES
    ]
    for stage in stages.values():
        command = stage["cmd"].removeprefix("ticket-sentiment ")
        for module in reached(HOTFIX_STAGES[command].partition(":")[0]):
            path = file_of(module).relative_to(ROOT).as_posix()
            named = (path == dep or path.startswith(dep + "/") for dep in names(stage["deps"]))
            assert any(named), f"{command} runs {path}"


def test_the_params_of_stages_exist():
    raw = yaml.safe_load((ROOT / "params.yaml").read_text())
    for name, stage in {**DVC["stages"], **graph(DVC, HOTFIX)["stages"]}.items():
        for key in stage.get("params", []):
            value = raw
            for part in key.split("."):
                assert part in value, f"{name} follows {key}, which params.yaml does not have"
                value = value[part]


def test_the_deployment_names_a_flow_and_its_parameters():
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    for deployment in deployments:
        path, name = deployment["entrypoint"].split(":")
        module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
        flow = getattr(module, name)
        assert set(deployment.get("parameters", {})) <= set(flow.parameters.properties)
    (monthly,) = [item for item in deployments if item["name"] == "monthly"]
    assert monthly["schedules"][0]["cron"] == "0 3 1 * *"
    assert monthly["concurrency_limit"] == 1


def test_everything_required_is_in_the_lock_and_nothing_of_cuda():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    from packaging.requirements import Requirement

    locked = {}
    for line in (ROOT / "requirements.lock").read_text().splitlines():
        if line and not line.startswith("#"):
            requirement = Requirement(line)
            (pin,) = requirement.specifier
            assert pin.operator == "=="
            locked[requirement.name.lower().replace("_", "-")] = pin.version
    wanted = [*project["dependencies"], *(item for name in ("cpu", "train", "dev") for item in extras[name])]
    for line in wanted:
        requirement = Requirement(line)
        assert requirement.specifier, f"{line} has no floor"
        assert requirement.specifier.contains(locked[requirement.name.lower()]), line
    assert not [name for name in locked if name.startswith(("nvidia-cu", "triton"))]


def test_the_library_does_not_know_prefect_and_flows_stay_short():
    for path in (ROOT / "src").rglob("*.py"):
        assert "prefect" not in {name.split(".")[0] for name in _top_imports(path)}, path
    for path in (ROOT / "flows").glob("*.py"):
        assert len(path.read_text().splitlines()) < 100, path


def _top_imports(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_no_pickle_is_ever_loaded():
    for path in (ROOT / "src").rglob("*.py"):
        assert not {"pickle", "joblib", "cloudpickle", "dill"} & _top_imports(path), path
        assert "torch.load" not in path.read_text(), path


def test_the_sections_of_params_are_named_for_what_reads_them():
    others = {
        "tickets",
        "budget",
        "search",
        "costs",
        "autoscale",
        "registry",
        "build",
        "serve",
        "batch",
        "events",
        "labelling",
        "monitor",
        "rollout",
        "cache",
        "hotfix",
        "alerts",
        "objectives",
    }
    fields = {field.alias or name for name, field in Params.model_fields.items()}
    assert fields - others <= set(STAGES)


def test_what_a_kill_leaves_of_a_file_is_nobody_s_change(tmp_path: Path) -> None:
    """`make update` refuses a working copy that a person has changed."""
    left = [
        "models/champion/.bundle.0di0lvx4/model.onnx",
        "reports/.gate.json.k3_x9a2b",
        "reports/training/.learning_curve.csv.abcd1234",
        "data/.tickets.dvc.a1b2c3d4",
    ]
    (tmp_path / ".gitignore").write_bytes((ROOT / ".gitignore").read_bytes())
    subprocess.run(["git", "init", "--quiet", tmp_path], check=True)
    found = subprocess.run(
        ["git", "-C", tmp_path, "check-ignore", *left], capture_output=True, text=True, check=False
    )
    assert found.stdout.split() == left

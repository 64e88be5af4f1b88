"""`make workflows`: .github/workflows and all shell scripts, held against their schema and our rules.

check-jsonschema carries the schema of workflows (unknown keys), zizmor knows their attacks (script injection,
loose permissions, moving references), shellcheck the shell. None of them asks a network here. The rules are
what this repository wants besides: what a workflow runs is a make target, so anybody can run it, and nothing
hangs for ever.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = ROOT / ".github/workflows"
SCRIPTS = (ROOT / "scripts", ROOT / ".ci")
LONGEST_MINUTES = 360  # a job of GitHub's own machines is ended after that
TARGET = re.compile(r"make ([a-z][a-z-]*)")
USES = re.compile(r"[\w.-]+/[\w./-]+@[0-9a-f]{40}")
SECRET = re.compile(r"\bsecrets\.(?!GITHUB_TOKEN\b)\w")
CREDENTIALS = "actions/checkout@"  # leaves the token in .git/config unless told otherwise

Workflow = dict[str, Any]


def make_targets(makefile: Path = ROOT / "Makefile") -> set[str]:
    """Names of all targets that people may call."""
    return set(re.findall(r"^([a-z][a-z-]*):.*##", makefile.read_text(encoding="utf-8"), re.MULTILINE))


def _steps(workflow: Workflow) -> Iterator[tuple[str, Workflow]]:
    for name, job in (workflow.get("jobs") or {}).items():
        for number, step in enumerate(job.get("steps") or [], 1):
            yield f"{name}, step {number}", step


def _of_workflow(workflow: Workflow) -> Iterator[str]:
    if workflow.get("permissions") != {}:
        yield "permissions: expected {}, and each job's own"
    if "group" not in (workflow.get("concurrency") or {}):
        yield "concurrency: expected a group"


def _of_jobs(workflow: Workflow) -> Iterator[str]:
    for name, job in (workflow.get("jobs") or {}).items():
        if not isinstance(job.get("permissions"), dict):
            yield f"{name}: expected permissions, each named"
        minutes = job.get("timeout-minutes")
        if not isinstance(minutes, int) or not 0 < minutes <= LONGEST_MINUTES:
            yield f"{name}: expected timeout-minutes up to {LONGEST_MINUTES}"
        if "environment" not in job and SECRET.search(json.dumps(job)):
            yield f"{name}: expected an environment, which the secrets that it reads belong to"


def _of_steps(workflow: Workflow, targets: set[str]) -> Iterator[str]:
    for where, step in _steps(workflow):
        if "run" in step:
            match = TARGET.fullmatch(str(step["run"]).strip())
            if match is None:
                yield f"{where}: run: expected `make TARGET` and nothing else, values by env"
            elif match[1] not in targets:
                yield f"{where}: run: the Makefile has no target {match[1]}"
        uses = step.get("uses")
        if uses and not USES.fullmatch(uses):
            yield f"{where}: uses: expected owner/action@ and the 40 digits of a commit"
        if (
            uses
            and uses.startswith(CREDENTIALS)
            and (step.get("with") or {}).get("persist-credentials") is not False
        ):
            yield f"{where}: expected persist-credentials: false"


def rules(workflow: Workflow, targets: set[str]) -> list[str]:
    """What this repository wants of a workflow, and does not find."""
    return [*_of_workflow(workflow), *_of_jobs(workflow), *_of_steps(workflow, targets)]


def _asked(*command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", *command], capture_output=True, text=True)


def _program(name: str) -> str:
    """Of this environment, whatever PATH says."""
    return str(Path(sys.executable).with_name(name))


def schema_errors(paths: list[Path]) -> list[str]:
    """Of the official schema."""
    done = _asked(
        "check_jsonschema", "--builtin-schema", "vendor.github-workflows", "--output-format", "json",
        *map(str, paths),
    )  # fmt: skip
    found = json.loads(done.stdout)
    lines = []
    for item in found["errors"]:
        deepest = item.get("best_deep_match") or item  # of alternatives, the one that was meant
        lines.append(f"{Path(item['filename']).name}: {deepest['path']}: {deepest['message']}")
    return lines + [f"{Path(item['filename']).name}: is no YAML" for item in found.get("parse_errors", [])]


def audit(folder: Path) -> list[str]:
    """zizmor's findings in all workflows of a folder."""
    done = subprocess.run(
        [_program("zizmor"), "--offline", "--no-progress", "--quiet", "--format", "json", str(folder)],
        capture_output=True, text=True,
    )  # fmt: skip
    if done.returncode not in (0, 10, 11, 12, 13, 14):  # above 10: the highest severity found
        return [f"zizmor: {(done.stderr.strip() or 'no output').splitlines()[-1]}"]
    lines = []
    for item in json.loads(done.stdout):
        place = next(place for place in item["locations"] if place["symbolic"]["kind"] == "Primary")
        file = Path(next(iter(place["symbolic"]["key"].values()))["verbatim_path"]).name
        row = place["concrete"]["location"]["start_point"]["row"] + 1
        lines.append(f"{file}: line {row}: {item['ident']}: {item['desc']}")
    return lines


def shell_errors(paths: list[Path]) -> list[str]:
    """shellcheck's warnings and errors."""
    done = subprocess.run(
        [_program("shellcheck"), "--severity", "warning", "--format", "gcc", *map(str, paths)],
        capture_output=True, text=True,
    )  # fmt: skip
    return [line.removeprefix(f"{ROOT}/") for line in (done.stdout + done.stderr).splitlines()]


def shell_scripts(folders: tuple[Path, ...] = SCRIPTS) -> list[Path]:
    """Files that begin as shell scripts do."""
    found = []
    for path in sorted(path for folder in folders for path in folder.iterdir() if path.is_file()):
        first = path.read_bytes().partition(b"\n")[0]
        if re.fullmatch(rb"#!.*\b(ba|da)?sh", first):
            found.append(path)
    return found


def _run_lines(workflows: dict[str, Workflow]) -> list[str]:
    """shellcheck's findings in what workflows run, by the name of their file."""
    with tempfile.TemporaryDirectory() as folder:
        places = {}
        for name, workflow in workflows.items():
            for where, step in _steps(workflow):
                if "run" in step:
                    script = Path(folder) / str(len(places))
                    script.write_text(f"#!/bin/bash\n{step['run']}\n", encoding="utf-8")
                    places[script] = f"{name}: {where}: run"
        found = shell_errors(list(places)) if places else []
    for script, place in places.items():
        found = [line.replace(f"{script}:", f"{place}: ", 1) for line in found]
    return found


def errors(folder: Path = WORKFLOWS) -> list[str]:
    """All that is wrong with the workflows of a folder, a line each."""
    paths = sorted(folder.glob("*.y*ml"))
    if not paths:
        return [f"{folder} holds no workflow"]
    lines, targets, readable = [*schema_errors(paths), *audit(folder)], make_targets(), {}
    for path in paths:
        try:
            workflow = yaml.safe_load(path.read_text(encoding="utf-8"))
        except yaml.YAMLError:
            continue  # the schema's line says so
        if isinstance(workflow, dict):
            readable[path.name] = workflow
            lines += [f"{path.name}: {line}" for line in rules(workflow, targets)]
    return lines + _run_lines(readable)


def main() -> int:
    """Print what is wrong; 1 where something is."""
    found = [*errors(), *shell_errors(shell_scripts())]
    for line in found:
        print(line)
    workflows, scripts = len(list(WORKFLOWS.glob("*.y*ml"))), len(shell_scripts())
    print(f"{workflows} workflows, {scripts} scripts: {len(found)} errors")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())

"""The workflows pass their check, and the check sees an error of each kind that is planted in them."""

import re
from pathlib import Path

import pytest
import yaml

from deploy.ci import workflows
from deploy.ci.workflows import ROOT, WORKFLOWS, errors, make_targets, shell_errors, shell_scripts
from ticket_sentiment.params import load_params
from ticket_sentiment.tickets.privacy import PSEUDONYM_KEY

CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd"
PLANTED = {
    "script injection": (
        "      - run: make pr-report\n",
        '      - run: echo "${{ github.event.pull_request.title }}"\n',
        "template-injection",
    ),
    "no permissions of a job": (
        "    permissions:\n      contents: read # to check out\n    steps:\n",
        "    steps:\n",
        "test: expected permissions",
    ),
    "all permissions": ("permissions: {}\n", "permissions: write-all\n", "permissions: expected {}"),
    "all permissions of a job": (
        "    permissions:\n      contents: read # to check out\n    steps:\n",
        "    permissions: write-all\n    steps:\n",
        "excessive-permissions",
    ),
    "permissions left to the repository": ("permissions: {}\n", "", "permissions: expected {}"),
    "an action that may move": (CHECKOUT, "actions/checkout@v6", "unpinned-uses"),
    "an action of a short commit": (CHECKOUT, CHECKOUT[:-8], "40 digits of a commit"),
    "an unknown key": ("    timeout-minutes: 60\n", "    timeout: 60\n", "Additional properties"),
    "no timeout": ("    timeout-minutes: 60\n", "", "expected timeout-minutes"),
    "no concurrency": ("concurrency:\n", "x-concurrency:\n", "concurrency: expected a group"),
    "a secret of no environment": (
        "      - run: make ci\n",
        "      - run: make ci\n        env:\n          KEY: ${{ secrets.KEY }}\n",
        "expected an environment",
    ),
    "a token that stays": ("persist-credentials: false", "persist-credentials: true", "persist-credentials"),
    "a trigger that runs foreign code with a token": (
        "  pull_request:\n",
        "  pull_request_target:\n",
        "dangerous-triggers",
    ),
    "a shell error": ("      - run: make ci\n", "      - run: if make ci; fi\n", "error: "),
    "a line that is no make target": (
        "      - run: make ci\n",
        "      - run: pytest tests\n",
        "expected `make TARGET`",
    ),
    "two commands": (
        "      - run: make ci\n",
        "      - run: make ci && make test\n",
        "expected `make TARGET`",
    ),
    "a target that is not there": (
        "      - run: make ci\n",
        "      - run: make everything\n",
        "no target everything",
    ),
}


@pytest.fixture(scope="module")
def clean() -> list[str]:
    return errors()


def test_the_workflows_and_scripts_are_right(clean: list[str]) -> None:
    assert clean == []
    scripts = shell_scripts()
    assert {"open-change", "require-stores", "run"} <= {path.name for path in scripts}
    assert shell_errors(scripts) == []


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the check says to one workflow for each error; asked once, as its programs take a second."""
    folder = tmp_path_factory.mktemp("planted") / ".github/workflows"
    folder.mkdir(parents=True)
    text = (WORKFLOWS / "pull-request.yml").read_text()
    for number, (before, after, _) in enumerate(PLANTED.values()):
        assert before in text
        (folder / f"{number:02}.yml").write_text(text.replace(before, after, 1))
    (folder / "no-yaml.yml").write_text("jobs: [\n")
    return errors(folder)


@pytest.mark.parametrize(("number", "kind"), enumerate(PLANTED))
def test_a_planted_error_is_seen(planted: list[str], number: int, kind: str) -> None:
    found = [line for line in planted if line.startswith(f"{number:02}.yml: ")]
    assert any(PLANTED[kind][2] in line for line in found), found


def test_a_file_that_is_no_workflow_is_seen_among_others(planted: list[str]) -> None:
    assert "no-yaml.yml: is no YAML" in planted


def test_a_planted_error_in_a_script_is_seen(tmp_path: Path) -> None:
    script = tmp_path / "broken"
    script.write_text("#!/bin/sh\nrm -rf $folder/*\nif true; then\n")
    assert shell_scripts((tmp_path,)) == [script]
    assert shell_errors([script])


def test_an_empty_folder_is_no_pass(tmp_path: Path) -> None:
    assert errors(tmp_path) == [f"{tmp_path} holds no workflow"]


def test_a_tool_that_fails_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    broken = tmp_path / "zizmor"
    broken.write_text("#!/bin/sh\necho no such option >&2\nexit 2\n")
    broken.chmod(0o755)
    monkeypatch.setattr(workflows, "_program", lambda name: str(broken))
    assert workflows.audit(WORKFLOWS) == ["zizmor: no such option"]


def test_the_workflow_retrains_when_prefect_would() -> None:
    """One time of the month, whoever keeps it; on GitHub only where a variable says so."""
    workflow = yaml.safe_load((WORKFLOWS / "retrain.yml").read_text())
    deployments = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    (monthly,) = [item for item in deployments if item["name"] == "monthly"]
    triggers = workflow[True]  # YAML 1.1 reads `on` as true
    assert [item["cron"] for item in triggers["schedule"]] == [monthly["schedules"][0]["cron"]]
    assert "vars.RETRAIN_SCHEDULER == 'github'" in workflow["jobs"]["retrain"]["if"]


def test_the_retraining_gets_every_key_that_changes_what_it_writes() -> None:
    """Without the key of the pseudonyms every customer of this month would be a new one."""
    steps = yaml.safe_load((WORKFLOWS / "retrain.yml").read_text())["jobs"]["retrain"]["steps"]
    (retrain,) = [step for step in steps if step.get("run") == "make retrain"]
    signing = load_params(ROOT / "params.yaml").registry.signing_key_env
    for name in (PSEUDONYM_KEY, signing):
        assert retrain["env"][name] == f"${{{{ secrets.{name} }}}}"


def test_the_retraining_gets_every_way_to_tell_people() -> None:
    """Without them a retraining that failed, or waits for a person, is told to nobody."""
    steps = yaml.safe_load((WORKFLOWS / "retrain.yml").read_text())["jobs"]["retrain"]["steps"]
    (retrain,) = [step for step in steps if step.get("run") == "make retrain"]
    alerts = load_params(ROOT / "params.yaml").alerts
    for name in (alerts.webhook.url_env, alerts.email.url_env, alerts.sns.topic_env):
        assert retrain["env"][name] == f"${{{{ secrets.{name} }}}}"


def test_the_snapshot_of_what_was_registered_outlives_the_runner_whatever_failed() -> None:
    job = yaml.safe_load((WORKFLOWS / "retrain.yml").read_text())["jobs"]["retrain"]
    lines = [step.get("run") for step in job["steps"]]
    last, change = job["steps"][-1], job["steps"][lines.index("make retrain-change")]
    assert (last["run"], last["if"], last["env"]) == ("make versions-push", "always()", change["env"])
    assert job["permissions"]["contents"] == "write"


@pytest.mark.parametrize(
    ("workflow", "job", "command"),
    [
        ("release", "images", "make image-test"),
        ("retrain", "retrain", "make retrain"),
        ("rollback", "rollback", "make rollback"),
    ],
)
def test_who_releases_or_starts_a_service_has_the_public_keys(workflow: str, job: str, command: str) -> None:
    """With `serve.require_signature` nothing is brought to the services without them."""
    steps = yaml.safe_load((WORKFLOWS / f"{workflow}.yml").read_text())["jobs"][job]["steps"]
    (step,) = [step for step in steps if step.get("run") == command]
    name = load_params(ROOT / "params.yaml").serve.public_keys_env
    assert step["env"][name] == f"${{{{ vars.{name} }}}}"


@pytest.mark.parametrize("name", ["retrain", "release", "rollback"])
def test_who_asks_mlflow_may_fetch_its_artifacts_from_the_cloud(name: str) -> None:
    asking = [
        job
        for job in yaml.safe_load((WORKFLOWS / f"{name}.yml").read_text())["jobs"].values()
        if "MLFLOW_TRACKING_URI" in str(job)
    ]
    assert asking
    for job in asking:
        assert job["permissions"]["id-token"] == "write"
        assert any("configure-aws-credentials@" in step.get("uses", "") for step in job["steps"])


def test_the_document_names_what_has_to_be_set() -> None:
    text = (ROOT / "docs/ci.md").read_text().partition("## Setting it up")[2]
    held = "".join(path.read_text() for path in WORKFLOWS.glob("*.yml"))
    wanted = {*re.findall(r"\b(?:secrets|vars)\.(\w+)", held), *re.findall(r"\benvironment: (\w+)", held)}
    assert {"CHANGE_TOKEN", "AWS_ROLE", "release"} <= wanted
    assert {name for name in wanted if f"`{name}`" not in text} == set()


def test_ci_of_a_pull_request_is_ci_of_this_repository() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert "\nci: ## all that CI runs\n\t.ci/run\n" in makefile
    assert {"ci", "retrain", "rollback", "pr-report"} <= make_targets()

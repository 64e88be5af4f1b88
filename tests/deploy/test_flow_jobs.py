"""The overlay `flows`: what its jobs run, with what, and that none works while another brings a change."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest
import yaml

from deploy.manifests import render

pytestmark = pytest.mark.skipif(
    render.renderer() is None, reason="manifests are not rendered: install kustomize or kubectl"
)


@cache
def objects() -> list[render.Object]:
    return render.render(render.KUBERNETES / "overlays/flows")


def flow(name: str) -> render.Object:
    """The container of a CronJob of the overlay `flows`."""
    (job,) = [item for item in objects() if render.name_of(item) == f"CronJob {name}"]
    (container,) = render.containers(job["spec"]["jobTemplate"]["spec"]["template"])
    return container


def test_each_flow_that_prefect_would_start_by_itself_is_a_cronjob_of_the_same_time():
    deployments = yaml.safe_load((render.ROOT / "prefect.yaml").read_text())["deployments"]
    wanted = {}
    for item in deployments:
        for schedule in item.get("schedules", []):
            name = Path(item["entrypoint"].partition(":")[0]).stem.replace("_", "-")
            wanted[name] = schedule.get("cron") or {60: "* * * * *"}[schedule["interval"]]
    jobs = render.of_kind(objects(), "CronJob")
    assert {item["metadata"]["name"]: item["spec"]["schedule"] for item in jobs} == wanted


def test_every_flow_can_tell_people_and_only_the_retraining_can_sign():
    held, alerts = render.params(), render.params().alerts
    ways = {alerts.webhook.url_env, alerts.email.url_env, alerts.sns.topic_env}
    for item in render.of_kind(objects(), "CronJob"):
        name = item["metadata"]["name"]
        environment = {v["name"]: v.get("valueFrom", {}).get("secretKeyRef") for v in flow(name)["env"]}
        signs = held.registry.signing_key_env in environment
        assert signs is (name == "monthly-retrain")
        for variable in ways | ({held.registry.signing_key_env} if signs else set()):
            assert environment[variable]["optional"] is True
    (policy,) = [
        item["spec"]
        for item in render.of_kind(objects(), "NetworkPolicy")
        if item["metadata"]["name"] == "ticket-sentiment-flows"
    ]
    anywhere = {port["port"] for rule in policy["egress"] if "to" not in rule for port in rule["ports"]}
    assert {443, 587, 465} <= anywhere


def test_the_retraining_installs_what_the_stores_need_before_it_begins():
    container = flow("monthly-retrain")
    script = container["args"][0]
    assert script.index("make extras") < script.index("make retrain")
    (extras,) = [variable for variable in container["env"] if variable["name"] == "EXTRAS"]
    reference = extras["valueFrom"]["configMapKeyRef"]
    held = {item["metadata"]["name"]: item["data"] for item in objects() if item.get("kind") == "ConfigMap"}
    assert reference["key"] in held[reference["name"]]


def test_the_retraining_reads_a_private_repository_whoever_its_files_belong_to(tmp_path: Path):
    """A shared file system may own all files as a user of its own (EFS's access points)."""
    container = flow("monthly-retrain")
    (token,) = [item for item in container["env"] if item["name"] == "GH_TOKEN"]
    assert token["valueFrom"]["secretKeyRef"]["optional"] is True
    given = {item["name"]: item["value"] for item in container["env"] if item["name"].startswith("GIT_")}
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), **given}

    def run(*command: str, **more: str) -> subprocess.CompletedProcess[str]:
        asked = "protocol=https\nhost=git.example.com\n\n"
        return subprocess.run(
            ["git", *command],
            env=environment | more,
            input=asked,
            capture_output=True,
            text=True,
            cwd=tmp_path,
        )

    assert "password=s3cret\n" in run("credential", "fill", GH_TOKEN="s3cret").stdout
    assert run("credential", "fill").returncode, "and without one nobody is waited for"
    assert run("init", "--quiet", "repository").returncode == 0
    if os.geteuid() == 0:
        for path in (tmp_path / "repository", tmp_path / "repository/.git"):
            os.chown(path, 50_000, 50_000)
    assert run("-C", "repository", "status").returncode == 0


def test_packages_are_not_unpacked_into_the_small_volume_of_the_pod():
    """Those of the lock are several gigabytes, and pip's cache would hold them once more in HOME, /tmp."""
    container = flow("monthly-retrain")
    assert {"name": "HOME", "value": "/tmp"} in container["env"]
    (line,) = [line for line in container["args"][0].splitlines() if "make extras" in line]
    assert {"PIP_NO_CACHE_DIR=1", "TMPDIR=/workspace/tmp"} <= set(line.split())
    assert {"name": "workspace", "mountPath": "/workspace"} in container["volumeMounts"]


def test_what_one_flow_has_built_the_next_one_finds():
    """A pod's own folders are gone with it: reconcile would build both Bentos anew every minute."""
    for _, pod in render.pods(objects()):
        claims = {v["name"] for v in pod["spec"]["volumes"] if "persistentVolumeClaim" in v}
        (container,) = render.containers(pod)
        kept = [m["mountPath"] for m in container["volumeMounts"] if m["name"] in claims]
        held = {variable["name"]: variable.get("value", "") for variable in container["env"]}
        assert any(held["BENTOML_HOME"].startswith(f"{place}/") for place in kept)


@contextmanager
def held(lock: Path, *how: str) -> Iterator[None]:
    """Another job holds the lock, until the block ends."""
    command = ["flock", *how, lock, "bash", "-c", "echo held; read"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
        assert other.stdin and other.stdout and other.stdout.readline()
        yield
        other.stdin.close()


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """With stand-ins of what the jobs call: each says that it ran, and whether another could meanwhile."""
    tools, repository = tmp_path / "tools", tmp_path / "repository"
    log, lock = tmp_path / "log", repository / "var/flows.lock"
    for path in (tools / "make", repository / ".venv/bin/python"):
        path.parent.mkdir(parents=True)
        meanwhile = f"flock --nonblock --shared {lock} true && shared=yes"
        path.write_text(f'#!/bin/sh\n{meanwhile}\necho "$* ${{shared:-alone}} ${{TMPDIR:-}}" >> {log}\n')
        path.chmod(0o755)
    (repository / "var").mkdir()
    log.write_text("")
    return tmp_path


def run(workspace: Path, name: str) -> list[str]:
    """A job's script as bash in the pod runs it; what it called."""
    script = flow(name)["args"][0].replace("/workspace", str(workspace))
    script = script.replace("/releases", str(workspace / "releases"), 1)
    path = f"{workspace / 'tools'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "REPOSITORY": "none"}
    environment.pop("TMPDIR", None)
    subprocess.run(["bash", "-euc", script], cwd=workspace, env=environment, check=True)
    return [line.strip() for line in (workspace / "log").read_text().splitlines()]


@pytest.mark.skipif(shutil.which("flock") is None, reason="flock is not installed: its package is util-linux")
class TestScripts:
    def test_the_retraining_brings_what_was_merged_alone_and_then_runs_beside_the_others(self, workspace):
        assert run(workspace, "monthly-retrain") == [
            "update alone",
            f"extras alone {workspace}/tmp",
            "retrain yes",
        ]

    @pytest.mark.parametrize("name", ["rollout", "reconcile", "monitor"])
    def test_the_others_run_beside_it(self, workspace, name):
        with held(workspace / "repository/var/flows.lock", "--shared"):
            assert run(workspace, name) == [f"-m flows.{name} yes"]

    @pytest.mark.parametrize("name", ["rollout", "reconcile", "monitor"])
    def test_while_a_change_is_brought_they_leave_it_to_their_next_time(self, workspace, name):
        with held(workspace / "repository/var/flows.lock", "--exclusive"):
            assert run(workspace, name) == []

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.params import params_file
from ticket_sentiment.cli import STAGES, main
from ticket_sentiment.files import exclusive
from ticket_sentiment.pipeline import RETRAIN_LOCK, RETRAINING


def test_a_problem_is_one_line_and_status_two(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["error: params.yaml is missing: run from the repository's root"]
    assert captured.out == ""


def test_a_hotfix_elsewhere_than_in_the_repository_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["hotfix", "corrections.csv"]) == 2
    assert capsys.readouterr().err == "error: params.yaml is missing: run from the repository's root\n"
    assert list(tmp_path.iterdir()) == []


def test_a_secret_key_is_not_put_where_git_would_take_it_up(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    subprocess.run(["git", "init", "--quiet"], check=True)
    (tmp_path / ".gitignore").write_text("var/\n")
    assert main(["keygen", "--name", "k", "keys/new"]) == 2
    assert "keys/new is a secret and lies in a git repository" in capsys.readouterr().err
    assert not (tmp_path / "keys").exists()
    assert main(["keygen", "--name", "k", "var/keys/new"]) == 0


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--month", "2026-3"], "--month 2026-3: no month: expected YYYY-MM\n"),
        (["--replace", "march"], "--replace march: no month: expected YYYY-MM, or feedback/YYYY-MM\n"),
        (["--replace", "2026-03", "--replace", "feedback/2026-13"], "--replace feedback/2026-13: no month"),
        (["--drop", "2026-00"], "--drop 2026-00: no month: expected YYYY-MM"),
    ],
)
def test_what_is_no_month_is_refused_before_anything_is_done(tmp_path, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    assert main(["collect", *arguments]) == 2
    assert capsys.readouterr().err.startswith(f"error: {said}")
    assert [path.name for path in tmp_path.iterdir()] == ["params.yaml"]


@pytest.mark.parametrize("arguments", [[], ["--drop", "2026-01"]])
def test_nothing_is_collected_beside_what_changes_the_stored_months(tmp_path, monkeypatch, capsys, arguments):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    with exclusive(tmp_path / RETRAIN_LOCK, RETRAINING):
        assert main(["collect", *arguments]) == 2
    assert f"{RETRAINING} is already running" in capsys.readouterr().err
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("seed", ["-1", "4294967296", "x"])
def test_a_seed_that_no_generator_takes_is_refused(capsys, seed):
    with pytest.raises(SystemExit) as caught:
        main(["simulate", f"--seed={seed}"])
    assert caught.value.code == 2 and "--seed: expected a whole number from 0" in capsys.readouterr().err


def test_a_queue_looks_back_no_further_than_dates_go(capsys):
    with pytest.raises(SystemExit) as caught:
        main(["label-queue", "--out", "queue.csv", "--since", "1000000"])
    assert caught.value.code == 2
    assert "--since: expected at most 36500" in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(capsys):
    assert main(["keygen", "--name", "k", "/proc/nowhere/key.pem"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: /proc/nowhere") and said.count("\n") == 1


def test_an_mlflow_that_is_away_is_one_line_without_its_password(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://me:hidden@127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    for command in (["serve"], ["edge"], ["score", "tickets.csv", "out"]):
        assert main(command) == 2
        (line,) = capsys.readouterr().err.strip().splitlines()
        assert line.startswith("error: MLflow does not do what it was asked") and "hidden" not in line


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_without_its_inputs_says_what_is_missing(stage, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    if stage == "gate":  # judges what there is: missing evidence is its answer, not an error
        assert main([stage]) == 0
        assert '"decision": "fail"' in (tmp_path / "reports/gate.json").read_text()
        return
    assert main([stage]) == 2
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert line.startswith("error: ")


def test_importing_the_package_writes_nothing_and_loads_no_torch(tmp_path):
    code = (
        "import ticket_sentiment.cli, sys; assert 'torch' not in sys.modules and 'mlflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=tmp_path, check=True)
    assert os.listdir(tmp_path) == []


def test_a_stage_dies_with_the_process_that_started_it(tmp_path):
    child = (
        "from ticket_sentiment.cli import die_with_parent; import os, time\n"
        "die_with_parent(); print(os.getpid(), flush=True); time.sleep(60)"
    )
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    process = subprocess.Popen([sys.executable, "-c", parent], stdout=subprocess.PIPE, text=True)
    pid = int(process.stdout.readline())
    process.send_signal(signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 10
    while Path(f"/proc/{pid}/status").exists() and "zombie" not in Path(f"/proc/{pid}/status").read_text():
        assert time.monotonic() < until, "the stage is still running"
        time.sleep(0.05)

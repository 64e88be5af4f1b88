import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.params import params_file
from ticket_sentiment.cli import STAGES, main


def test_a_problem_is_one_line_and_status_two(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["train"]) == 2
    captured = capsys.readouterr()
    assert captured.err.splitlines() == ["error: params.yaml is missing: run from the repository's root"]
    assert captured.out == ""


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

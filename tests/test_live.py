"""The whole rollout with a real service, Prefect and MLflow servers and real traffic (benchmarks/live)."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LIMIT_S = 900  # of some three minutes, on a machine that does other things, too


@pytest.mark.slow
def test_a_good_one_is_promoted_a_bad_one_rolled_back_and_a_person_obeyed_while_nothing_fails():
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.live", "--short"],
        cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    )  # fmt: skip
    try:
        output, _ = process.communicate(timeout=LIMIT_S)
    finally:
        process.terminate()  # not killed: it ends the servers that it started
        process.wait(60)
    assert process.returncode == 0 and "Verdict: all holds" in output, output[-8000:]

"""The files in which workers count: each test in a process of its own, as a process opens them only once."""

import os
import subprocess
import sys
from pathlib import Path

GAUGES = dict.fromkeys(
    ("workers", "in_flight", "queue_length", "queue_wait_seconds", "shadow_queue_length"), 1.0
)
MADE = f"""
import sys
from pathlib import Path
from ticket_sentiment.serving.metrics import Metrics

folder = Path(sys.argv[1])
metrics = Metrics(folder, 100)
workers = lambda: metrics.registry.get_sample_value("ticket_sentiment_workers")
sample = lambda: metrics.sample({GAUGES!r}, {{}}, 1)
"""


def run(script: str, folder: Path, *arguments: str) -> str:
    command = [sys.executable, "-c", MADE + script, str(folder), *arguments]
    environment = {**os.environ, "PROMETHEUS_MULTIPROC_DIR": str(folder)}  # as BentoML sets it for workers
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_a_dead_worker_is_not_counted_although_no_other_one_got_so_far_as_to_have_metrics(
    tmp_path: Path,
) -> None:
    script = """
import shutil
sample()
(own,) = folder.glob("gauge_livesum_*.db")
shutil.copyfile(own, folder / f"gauge_livesum_{sys.argv[2]}.db")
print(workers())
sample()
print(workers())
"""
    dead = subprocess.Popen(["true"])
    dead.wait()
    assert run(script, tmp_path, str(dead.pid)).split() == ["2.0", "1.0"]

"""The files in which workers count: each test in a process of its own, as a process opens them only once."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.serving.limiter import RateLimiter
from ticket_sentiment.serving.metrics import Metrics

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


def test_what_a_dead_worker_counted_stays_in_few_bytes(tmp_path: Path) -> None:
    script = """
metrics.request("classify", "champion", "CPU", 200, 0.01)
sample()
labels = {"route": "classify", "arm": "champion", "backend": "CPU", "code": "200"}
counted = lambda: metrics.registry.get_sample_value("ticket_sentiment_requests_total", labels)
for own in [*folder.glob("counter_*.db"), *folder.glob("histogram_*.db")]:
    shutil.copyfile(own, folder / own.name.replace(str(os.getpid()), sys.argv[2]))
before = counted()
metrics.sample(%r, {}, 1)
print(before, counted(), sum(path.stat().st_size for path in folder.glob(f"*_{sys.argv[2]}.db")) < 40_000)
"""
    dead = subprocess.Popen(["true"])
    dead.wait()
    imports = "import os, shutil\n"
    assert run(imports + script % GAUGES, tmp_path, str(dead.pid)).split() == ["2.0", "2.0", "True"]


def test_the_blocks_of_a_workers_files_are_its_own_before_it_counts(tmp_path: Path) -> None:
    script = """
sample()
stats = [path.stat() for path in folder.glob("*.db")]
print(len(stats), all(stat.st_blocks * 512 >= stat.st_size for stat in stats))
print(len(list(folder.iterdir())), workers())
"""
    assert run(script, tmp_path).split() == ["5", "True", "5", "1.0"]


def test_a_worker_without_room_for_its_files_says_so_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fallocate, reserved = os.posix_fallocate, []

    def full(*arguments: int) -> None:
        reserved.append(arguments)
        if len(reserved) < 3:
            return fallocate(*arguments)
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(TicketSentimentError, match=r"256 KiB .* cannot be had \(No space left") as caught:
        Metrics(tmp_path, 100)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())
    with pytest.raises(TicketSentimentError, match="cannot be had"):
        RateLimiter(tmp_path / "rates", 1, 1.0, 1)

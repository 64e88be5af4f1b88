"""What Prometheus' and Alertmanager's own tools say to the files."""

import shutil
import subprocess
from pathlib import Path

from deploy.manifests.render import ROOT

PROMETHEUS, ALERTMANAGER = ROOT / "deploy/prometheus", ROOT / "deploy/alertmanager/alertmanager.yml"


def commands() -> dict[str, tuple[str, ...]]:
    """Each check by its name."""

    def names(folder: Path) -> list[str]:
        return sorted(str(path) for path in folder.glob("*.yaml"))

    return {
        "configuration": ("promtool", "check", "config", str(PROMETHEUS / "prometheus.yml")),
        "rules": ("promtool", "check", "rules", *names(PROMETHEUS / "rules")),
        "tests of the alerts": ("promtool", "test", "rules", *names(PROMETHEUS / "tests")),
        "routes": ("amtool", "check-config", str(ALERTMANAGER)),
    }


def missing(command: tuple[str, ...]) -> bool:
    """Whether its tool is not installed."""
    return shutil.which(command[0]) is None


def run(command: tuple[str, ...]) -> tuple[bool, str]:
    """Whether it is content, and what it says."""
    done = subprocess.run(command, capture_output=True, text=True)
    return done.returncode == 0, (done.stdout + done.stderr).strip()

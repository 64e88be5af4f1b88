"""What a flow's process finds in its environment, however it was started."""

import os
import subprocess
import sys

from tests.support.serving import REPOSITORY
from ticket_sentiment.environment import QUIET, STARTUP

# A flow as `python -m` imports it: what Prefect, and the server that it starts, read before the flow's body.
PROGRAM = """
import runpy, sys
import flows
assert "prefect" not in sys.modules
runpy.run_module(sys.argv[1], run_name="read")
from prefect.settings import get_current_settings
server = get_current_settings().server
print(server.analytics_enabled, server.ephemeral.startup_timeout_seconds)
"""


def settings_in(module: str, **environment: str) -> list[str]:
    """Whether Prefect's server sends telemetry, and how long it may take to start."""
    bare = {name: value for name, value in os.environ.items() if name not in {**QUIET, **STARTUP}}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, module],
        capture_output=True, text=True, cwd=REPOSITORY, env={**bare, **environment}, check=True,
    )  # fmt: skip
    return done.stdout.split()


def test_a_flow_that_is_started_bare_is_quiet_and_gives_its_server_time():
    assert settings_in("flows.rollback") == ["False", "120"]


def test_what_the_environment_says_goes_first():
    found = settings_in("flows.retries", PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="300")
    assert found == ["False", "300"]


def test_a_server_in_this_folder_remembers_who_holds_a_place_and_forgets_old_runs():
    """With leases in memory a server that was killed in a run refuses every later run of that deployment."""
    program = (
        "from prefect.settings import get_current_settings as settings; server = settings().server; "
        "print(server.concurrency.lease_storage, *sorted(server.services.db_vacuum.enabled))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, cwd=REPOSITORY, check=True
    )
    storage, *vacuumed = done.stdout.split()
    assert storage == "prefect.server.concurrency.lease_storage.filesystem"
    assert vacuumed == ["events", "flow_runs"]

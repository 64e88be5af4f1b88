"""The environment of commands and flows: nothing phones home, and state lies where the Makefile keeps it."""

import os
from pathlib import Path

QUIET = {
    # None of these libraries calls home, and none asks a model hub unless told to.
    "DVC_NO_ANALYTICS": "1",
    "GX_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "BENTOML_DO_NOT_TRACK": "true",
    "ORT_DISABLE_TELEMETRY": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "TOKENIZERS_PARALLELISM": "false",
}

# As in the Makefile, unless the environment says where a server is.
LOCAL_STATE = {"PREFECT_HOME": "var/prefect", "BENTOML_HOME": "var/bentoml"}
# Of the server that a flow without one starts for itself: its new database alone may take longer than 20 s.
STARTUP = {"PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120"}
PREFECT = {**STARTUP, "PREFECT_LOGGING_HANDLERS_CONSOLE_LEVEL": "CRITICAL"}


def flow_environment() -> dict[str, str]:
    """Of a process that runs a flow: state is where the Makefile keeps it, unless ours says otherwise."""
    here = {name: str(Path(folder).resolve()) for name, folder in LOCAL_STATE.items()}
    for folder in here.values():
        Path(folder).mkdir(parents=True, exist_ok=True)
    return {**here, **PREFECT, **os.environ}


def quiet_environment() -> None:
    """Switch off what phones home, unless the environment says otherwise."""
    _set(QUIET)


def before_prefect() -> None:
    """The same, and time for a flow's own server to start; Prefect reads its settings when it is imported."""
    _set({**QUIET, **STARTUP})


def _set(wanted: dict[str, str]) -> None:
    for name, value in wanted.items():
        os.environ.setdefault(name, value)

"""What an image of the service wants from whoever runs it, by the settings that are in it."""

import hashlib
import os
import secrets
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from ticket_sentiment.params import Serve
from ticket_sentiment.serving.settings import METRICS_HOST, SETTINGS, Settings

BENTO = "/home/bentoml/bento"
CALLER = "image-test"  # whose key it is in a file of keys


@dataclass(frozen=True)
class Given:
    """What a container gets.

    Attributes:
        environment: its variables. They hold keys: they are handed on by name, never in a command line.
        mounts: files of this machine, by their path in the container.
        key: of the API; None where the service answers anybody.
        workers: processes that will answer.
        metrics_port: of the container.
    """

    environment: Mapping[str, str]
    mounts: Mapping[str, Path]
    key: str | None
    workers: int
    metrics_port: int

    @property
    def headers(self) -> dict[str, str]:
        """Of each request."""
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}


def settings_of(engine: str, image: str) -> Settings:
    """serving.json of an image, which need not be of this params.yaml."""
    command = [
        engine,
        "run",
        "--rm",
        "--network",
        "none",
        "--entrypoint",
        "cat",
        image,
        f"{BENTO}/src/{SETTINGS}",
    ]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, f"{' '.join(command)}\n{result.stderr}"
    return Settings.model_validate_json(result.stdout)


def given_for(settings: Settings, folder: Path) -> Given:
    """What fits these settings: throw-away API keys, the public keys of this machine, a database of its own.

    Args:
        settings: of the image.
        folder: for a file of API keys.

    Raises:
        AssertionError: signatures are required, and no public key is here.
    """
    serve = settings.serve
    keys = {name: secrets.token_hex(16) for name in serve.api_keys.environment}
    environment = {METRICS_HOST: "0.0.0.0", settings.events.url_env: "sqlite:///var/events.db", **keys}
    mounts = {}
    if serve.api_keys.file is not None:
        named = {name: secrets.token_hex(16) for name in (CALLER, *serve.api_keys.forwarders)}
        lines = [f"{name} {hashlib.sha256(key.encode()).hexdigest()}\n" for name, key in named.items()]
        (folder / "api-keys").write_text("".join(lines))
        mounts[_inside(serve.api_keys.file)] = folder / "api-keys"
        keys = {CALLER: named[CALLER], **keys}
    if serve.require_signature:
        variables, files = _public_keys(serve)
        environment, mounts = environment | variables, mounts | files
    callers = [key for name, key in keys.items() if name not in serve.api_keys.forwarders]
    callers += keys.values()  # where all are another service's
    return Given(environment, mounts, next(iter(callers), None), serve.workers, serve.metrics.port)


def _inside(path: str) -> str:
    """Where the container has a path of the settings."""
    return str(PurePosixPath(BENTO, path))


def _public_keys(serve: Serve) -> tuple[dict[str, str], dict[str, Path]]:
    if lines := os.environ.get(serve.public_keys_env):
        return {serve.public_keys_env: lines}, {}
    held = Path(serve.public_keys_file) if serve.public_keys_file else None
    assert held and held.is_file(), (
        f"the image asks for signatures (serve.require_signature), and no public key is here: set "
        f"{serve.public_keys_env} to the lines of the *.pub files"
        + (f", or put them into {held}" if held else "")
    )
    return {}, {_inside(serve.public_keys_file): held.resolve()}

"""What kustomize makes of an overlay."""

import shutil
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, load_params

ROOT = Path(__file__).resolve().parents[2]
KUBERNETES = ROOT / "deploy/kubernetes"
COMMANDS = (("kustomize", "build"), ("kubectl", "kustomize"))

Object = dict[str, Any]


@cache
def params() -> Params:
    """What the service is set to, wherever the check is started."""
    return load_params(ROOT / "params.yaml")


def overlays(folder: Path = KUBERNETES) -> list[Path]:
    """All of them: whoever adds one need not tell the check."""
    return sorted(path.parent for path in (folder / "overlays").glob("*/kustomization.yaml"))


def renderer() -> tuple[str, ...] | None:
    """The command that renders a folder; None where neither kustomize nor kubectl is there."""
    return next((command for command in COMMANDS if shutil.which(command[0])), None)


def render(folder: Path) -> list[Object]:
    """The objects of an overlay.

    Raises:
        TicketSentimentError: there is no kustomize, or it refuses the folder.
    """
    command = renderer()
    if command is None:
        raise TicketSentimentError(
            "neither kustomize nor kubectl is there: one of them renders the manifests"
        )
    done = subprocess.run([*command, str(folder)], capture_output=True, text=True)
    if done.returncode:
        raise TicketSentimentError(f"{folder.name}: {done.stderr.strip()}")
    return [item for item in yaml.safe_load_all(done.stdout) if item is not None]


def name_of(item: Object) -> str:
    """As people say it: Deployment ticket-sentiment-cpu."""
    return f"{item.get('kind')} {item.get('metadata', {}).get('name')}"


def of_kind(objects: list[Object], *kinds: str) -> list[Object]:
    """Those of these kinds."""
    return [item for item in objects if item.get("kind") in kinds]


def pods(objects: list[Object]) -> Iterator[tuple[Object, Object]]:
    """Each workload with the template of its pods."""
    for item in of_kind(objects, "Deployment"):
        yield item, item["spec"]["template"]
    for item in of_kind(objects, "CronJob"):
        yield item, item["spec"]["jobTemplate"]["spec"]["template"]


def containers(pod: Object) -> list[Object]:
    """Of a pod, those that run before it included."""
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def labels_match(selector: Object, labels: Object) -> bool:
    """Whether `matchLabels` holds; an empty selector selects everything."""
    return all(labels.get(key) == value for key, value in selector.get("matchLabels", {}).items())

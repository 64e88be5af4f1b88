"""Under which licence the base weights came."""

import importlib.util
from importlib import metadata
from pathlib import Path

import yaml

from ticket_sentiment.params import Train

NOT_STATED = "not stated: look it up where the weights come from"
PACKAGE = "package:"
FENCE = "---\n"


def licence_of(train: Train) -> str:
    """What params.yaml states of the base weights, else `base_licence`."""
    return train.base_licence or base_licence(train.base_model)


def base_licence(base_model: str) -> str:
    """The licence that the base weights' own model card states, else that of the package they came in.

    Args:
        base_model: train.base_model: `package:NAME`, a folder, or a hub id, of which nothing is here.
    """
    name = base_model.removeprefix(PACKAGE)
    folder = Path(base_model)
    if base_model.startswith(PACKAGE):
        spec = importlib.util.find_spec(name) if name.isidentifier() else None
        folder = Path(spec.origin).parent / "model" if spec and spec.origin else Path(name)
    try:
        _, front, _ = (folder / "README.md").read_text(encoding="utf-8").split(FENCE, 2)
        if stated := yaml.safe_load(front).get("license"):
            return str(stated)
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        pass  # no card, or one without such a field
    if base_model.startswith(PACKAGE):
        try:
            stated = metadata.metadata(name)
            return stated.get("License-Expression") or stated.get("License") or NOT_STATED
        except metadata.PackageNotFoundError:
            pass
    return NOT_STATED

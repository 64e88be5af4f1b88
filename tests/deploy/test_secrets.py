"""Secrets come by the environment or a mounted file: no setting of this repository holds one."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from ticket_sentiment.supply.secrets import secrets_in

ROOT = Path(__file__).parents[2]
FILES = sorted(
    [ROOT / name for name in ("params.yaml", "prefect.yaml", "bentofile.yaml", "dvc.yaml", "dvc.hotfix.yaml")]
    + [*(ROOT / "deploy/kubernetes").rglob("*.yaml"), *(ROOT / ".github/workflows").glob("*.yml")]
)
SECRET_KEY = re.compile(r"(?i)(secret|token|password|passwd|api_?key|signing_?key|credential)")
# Of a key that sounds like a secret, what may be there: the name of a variable, file or object, or
# GitHub's way to name one.
NAMED = re.compile(r"[A-Z][A-Z0-9_]*|[a-z0-9.-]+|\$\{\{ [^}]* \}\}")


def leaves(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every value of a file, with the keys above it."""
    if isinstance(value, dict):
        for key, below in value.items():
            yield from leaves(below, f"{path}.{key}")
    elif isinstance(value, list):
        for number, below in enumerate(value):
            yield from leaves(below, f"{path}.{number}")
    else:
        yield path, value


def suspicious(text: str) -> list[str]:
    """Places in a YAML file whose value looks like a secret."""
    found = [f"the file: {kind}" for kind in secrets_in(text.encode(), own=True)]
    for document in yaml.safe_load_all(text):
        if isinstance(document, dict) and document.get("kind") == "Secret":
            found.append("an object of kind Secret")
        for path, value in leaves(document):
            last = path.rpartition(".")[2]
            if SECRET_KEY.search(last) and isinstance(value, str) and not NAMED.fullmatch(value):
                found.append(path)
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_value_looks_like_a_secret(path: Path) -> None:
    assert suspicious(path.read_text()) == []


@pytest.mark.parametrize(
    "text",
    [
        "events: {url: 'postgresql+psycopg://app:hunter22@db/events'}",
        "registry: {webhook: {secret_env: 'Long Random Word'}}",
        "serve: {api_keys: {token: 'a8f5f167f44f4964e6c998dee827110c+X'}}",
        "env: {GH_TOKEN: 'ghp" + "_" + "a1B2" * 9 + "'}",
        "kind: Secret\ndata: {key: aGVsbG8=}",
        "signing_key: 'TICKET-SENTIMENT-PRIVATE-KEY a " + "Q" * 43 + "='",
    ],
)
def test_a_planted_secret_is_seen(text: str) -> None:
    assert suspicious(text)

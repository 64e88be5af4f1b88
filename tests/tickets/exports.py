"""Exports of a help desk, and what a collection made of them."""

from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.files import sha256_tree
from ticket_sentiment.tickets.schema import TICKETS


def export(root: Path, name: str, frame: pd.DataFrame) -> None:
    """Write tickets to exports/`name` of a repository."""
    path = root / "exports" / name
    path.parent.mkdir(exist_ok=True)
    frame.assign(created_at=frame["created_at"].dt.strftime("%Y-%m-%dT%H:%M:%SZ")).to_csv(path, index=False)


def state(root: Path) -> Any:
    """Everything that a refused collection must leave as it is."""
    pointer = root / "data/tickets.dvc"
    return (
        sha256_tree(root / TICKETS) if (root / TICKETS).is_dir() else None,
        pointer.read_text() if pointer.is_file() else None,
        sorted(path.name for path in (root / "data").glob("*")) if (root / "data").is_dir() else None,
    )

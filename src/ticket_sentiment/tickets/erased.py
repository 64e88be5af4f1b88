"""Which erasures a versioned state of the tickets has gone through: their times, in DVC's own file about it.

DVC leaves `meta` of such a file alone. So they go wherever that file goes, into git and into the snapshot of
each version, and say of a version whether it was made before an erasure; nothing says whose.
"""

from datetime import UTC, datetime
from pathlib import Path

from ticket_sentiment.files import write_text
from ticket_sentiment.tickets.schema import TICKET_TABLE
from ticket_sentiment.yaml_files import dump_yaml, parse_yaml

KEY = "erasures"


def erasures(pointer: str) -> set[str]:
    """The times of those that the content of a file data/tickets.dvc names."""
    content = parse_yaml(pointer, str(TICKET_TABLE.pointer), "restore it with git")
    return set((content.get("meta") or {}).get(KEY, ()))


def mark_erasure(root: Path) -> None:
    """Name one more in data/tickets.dvc; where that is not there, no version was made of the tickets."""
    path = root / TICKET_TABLE.pointer
    if not path.is_file():
        return
    content = parse_yaml(path.read_text(encoding="utf-8"), str(path), "restore it with git")
    meta = content.get("meta") or {}
    now = datetime.now(UTC).isoformat(timespec="seconds")
    write_text(path, dump_yaml(content | {"meta": meta | {KEY: [*meta.get(KEY, ()), now]}}))

"""What hotfixes learnt, as digests: their tickets are known again next month, and no text goes anywhere."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json
from ticket_sentiment.tickets.privacy import dedup_key

LEARNT = "learnt.json"  # in data/prepared of a hotfix, and beside the champion's bundle
KEYS = ("contents", "tickets")


def _digests(values: Iterable[str]) -> list[str]:
    return [hashlib.sha256(value.encode()).hexdigest() for value in values]


@dataclass(frozen=True)
class Learnt:
    """SHA-256 digests of learnt tickets.

    Attributes:
        contents: of their texts, as stage `prepare` leaves them, in the form of `privacy.dedup_key`.
        tickets: of their ids.
    """

    contents: frozenset[str]
    tickets: frozenset[str]

    @classmethod
    def of(cls, table: pd.DataFrame) -> "Learnt":
        """Those of a table with `ticket_id` and `text`."""
        contents = _digests(table["text"].map(dedup_key))
        return cls(frozenset(contents), frozenset(_digests(table["ticket_id"].dropna())))

    def __or__(self, other: "Learnt") -> "Learnt":
        """Those of both."""
        return Learnt(self.contents | other.contents, self.tickets | other.tickets)

    def holds(self, table: pd.DataFrame) -> NDArray[np.bool_]:
        """Which rows of a prepared table are among them, by id or by text, [rows]."""
        contents, tickets = _digests(table["text"].map(dedup_key)), _digests(table["ticket_id"])
        pairs = zip(contents, tickets, strict=True)
        return np.array([text in self.contents or id_ in self.tickets for text, id_ in pairs], dtype=bool)

    def as_json(self) -> dict[str, Any]:
        """For `files.write_json`; equal tickets give equal bytes."""
        return {"contents": sorted(self.contents), "tickets": sorted(self.tickets)}


def read_learnt(path: Path) -> Learnt:
    """What `Learnt.as_json` was written to, whatever else stands there.

    Raises:
        TicketSentimentError: the file is missing or is none of these.
    """
    content = read_json(path)
    found = [content.get(key) if isinstance(content, dict) else None for key in KEYS]
    if not all(isinstance(one, list) and all(isinstance(item, str) for item in one) for one in found):
        raise TicketSentimentError(
            f"{path}: expected lists of digests under {' and '.join(KEYS)}: remove it and make it anew"
        )
    return Learnt(*map(frozenset, found))

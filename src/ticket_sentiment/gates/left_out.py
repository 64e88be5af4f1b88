"""Which tickets of the holdout the champion learnt as a hotfix: it knows them by heart, so they do not count.

`export_champion` puts the list beside the champion's bundle. Corrected tickets come to the next month with
their labels; a model that has not learnt them could never be as good on them as one that has.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file
from ticket_sentiment.tickets.learnt import LEARNT, read_learnt

FILE = Path("models/champion") / LEARNT


@dataclass(frozen=True)
class LeftOut:
    """What the comparison with the champion leaves out.

    Attributes:
        rows: of the holdout, [rows].
        sha256: of the list.
        unknown: why the list cannot be used; then no row is left out, and a person must decide.
    """

    rows: NDArray[np.bool_]
    sha256: str
    unknown: str | None = None

    def as_json(self) -> dict[str, Any]:
        """For metrics.json."""
        return {"rows": int(self.rows.sum()), "sha256": self.sha256, "unknown": self.unknown}


def left_out(holdout: pd.DataFrame, champion: str | None) -> LeftOut | None:
    """The tickets that the champion learnt as a hotfix.

    Args:
        holdout: ticket_id and text, as prepared.
        champion: digest of its bundle; None where there is none.

    Returns:
        None where there is no champion, or it is no hotfix.
    """
    if champion is None or not FILE.is_file():
        return None
    sha256 = sha256_file(FILE)
    try:
        about = read_json(FILE)
        if not isinstance(about, dict) or about.get("bundle_digest") != champion:
            raise TicketSentimentError(f"{FILE} is about another bundle")
        if about.get("unknown"):
            raise TicketSentimentError(str(about["unknown"]))
        return LeftOut(read_learnt(FILE).holds(holdout), sha256)
    except TicketSentimentError as error:
        return LeftOut(np.zeros(len(holdout), dtype=bool), sha256, str(error))

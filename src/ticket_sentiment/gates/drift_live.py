"""What live traffic the newest month has, for stage `drift`: recorded answers, or tickets without a label.

The monthly flow writes the champion's recorded answers to LIVE before the stage (monitoring/live.py); a stage
reads files. They hold no text. A ticket that came in and that nobody labelled, in its export or in feedback,
is in data/tickets only: stage `prepare` leaves it out of the holdout.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pandas as pd
import pyarrow as pa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates.drift_features import (
    ANSWER_COLUMNS,
    CLASSES,
    MIN_ROWS,
    SHAPE_COLUMNS,
    months_of,
)
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.params import Prepare
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.relabel import relabel
from ticket_sentiment.tickets.schema import FEEDBACK, TICKETS, read_feedback, read_tickets

LIVE = Path("data/live/answers.parquet")
# Those of an answer that the event database holds without a text.
LIVE_COLUMNS = (*SHAPE_COLUMNS, *ANSWER_COLUMNS)
CHANNEL = "channel"  # which a caller may leave out
MIN_SAID = 0.9  # share of the tickets that must have one: else the mix is that of some callers only
LIVE_SCHEMA = pa.schema(
    [
        pa.field("created_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("bundle_digest", pa.string(), nullable=False),
        *(pa.field(name, pa.string() if name in CLASSES else pa.float64()) for name in LIVE_COLUMNS),
        pa.field(CHANNEL, pa.string()),
    ]
)
PROFILE_SCHEMA = LIVE_SCHEMA.append(pa.field("label", pa.string(), nullable=False))


@dataclass(frozen=True)
class Live:
    """What there is to compare the holdout with.

    Attributes:
        kind: `predictions`: the champion's recorded answers; `unlabelled`: tickets of the month without a
            label; `none`: neither, so that the holdout is all that is known of the month.
        table: created_at, LIVE_COLUMNS and CHANNEL, or tickets; None of `none`.
        tickets: all of the month, canonical, no text twice: created_at, text, channel.
        labelled_share: of those, by whomever.
    """

    kind: Literal["predictions", "unlabelled", "none"]
    table: pd.DataFrame | None
    tickets: pd.DataFrame
    labelled_share: float


def live_columns(reference: pd.DataFrame, answers: pd.DataFrame) -> tuple[str, ...]:
    """LIVE_COLUMNS, and CHANNEL where nearly all of both tables have one; the mix is that of those.

    A reference of a release before channels were recorded has none at all.
    """
    said = all(
        CHANNEL in table and len(table) > 0 and table[CHANNEL].notna().mean() >= MIN_SAID
        for table in (reference, answers)
    )
    return (*LIVE_COLUMNS, CHANNEL) if said else LIVE_COLUMNS


def read_answers(path: Path, digest: str, month: str) -> pd.DataFrame:
    """The answers of a bundle in a month; none where there is no file.

    Raises:
        TicketSentimentError: the file is not one of ours.
    """
    if not path.is_file():
        return pd.DataFrame({name: [] for name in ("created_at", *LIVE_COLUMNS, CHANNEL)})
    table = read_prepared(path, LIVE_SCHEMA.names)
    mine = table[(table["bundle_digest"] == digest) & (months_of(table) == month)]
    if mine[list(LIVE_COLUMNS)].isna().any().any():
        raise TicketSentimentError(
            f"{path}: an answer lacks a value: run `python -m flows.monthly_retrain`, which writes it anew"
        )
    return mine.reset_index(drop=True)


def read_month(month: str, rules: Prepare) -> pd.DataFrame:
    """All tickets of a month as the holdout's are: canonical, each text once, the labelled one of two.

    Labelled are those that stage `prepare` finds labelled: the holdout is not compared with itself.
    """
    tickets, _ = relabel(read_tickets(TICKETS / f"{month}.parquet"), read_feedback(FEEDBACK), rules)
    tickets = tickets.assign(text=[canonical(text) for text in tickets["text"]])
    tickets = tickets[tickets["text"] != ""]
    order = tickets.assign(key=[dedup_key(text) for text in tickets["text"]]).sort_values(
        "label", na_position="last", kind="stable"
    )
    return order.drop_duplicates("key").sort_index().drop(columns="key").reset_index(drop=True)


def live_of(month: str, champion: str | None, enough: int, wanted: Sequence[str], rules: Prepare) -> Live:
    """The live traffic of a month.

    Args:
        month: `YYYY-MM`.
        champion: digest of the present champion's CPU bundle, None where there is none.
        enough: fewer rows are none.
        wanted: columns of tickets.
        rules: of labels (params.prepare).

    Raises:
        TicketSentimentError: a file is missing or damaged.
    """
    tickets = read_month(month, rules)
    labelled = float(tickets["label"].notna().mean()) if len(tickets) else 1.0
    answers = read_answers(LIVE, champion, month) if champion else tickets[:0]
    unlabelled = tickets[tickets["label"].isna()][list(wanted)]
    tickets = tickets[list(wanted)]
    enough = max(enough, MIN_ROWS)
    if len(answers) >= enough:
        return Live("predictions", answers, tickets, labelled)
    if len(unlabelled) >= enough:
        return Live("unlabelled", unlabelled, tickets, labelled)
    return Live("none", None, tickets, labelled)

"""The champion's recorded answers as tables: for stage `drift` in a file, for the monitor by window."""

import os
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import sqlalchemy as sa

from ticket_sentiment.events.live import answers
from ticket_sentiment.feedback.database import NoEventDatabase, event_url, reading_events
from ticket_sentiment.files import read_json, replacing
from ticket_sentiment.gates.drift_features import SHAPE_COLUMNS
from ticket_sentiment.gates.drift_live import CHANNEL, LIVE, LIVE_COLUMNS, LIVE_SCHEMA
from ticket_sentiment.gates.evidence import CHAMPION, SPLIT
from ticket_sentiment.params import Params
from ticket_sentiment.registry.store import connect, digest_at, release_digests
from ticket_sentiment.tickets.schema import month_bounds


def answer_table(
    connection: sa.Connection, digests: Collection[str], since: datetime, before: datetime, most: int
) -> pd.DataFrame:
    """A release's answers in a time (events.live.answers): created_at, abstain, LIVE_COLUMNS, channel."""
    rows: Sequence[Any] = answers(connection, digests, since, before, most)
    names = ("created_at", "predicted_label", "confidence", "abstain", *SHAPE_COLUMNS, CHANNEL)
    table = pd.DataFrame([tuple(row) for row in rows], columns=list(names))
    table["created_at"] = pd.to_datetime(table["created_at"], utc=True).astype("datetime64[us, UTC]")
    numbers = [name for name in LIVE_COLUMNS if name != "predicted_label"]
    return table.astype(dict.fromkeys(numbers, "float64") | {"predicted_label": "str", "abstain": "bool"})


def export_live(params: Params, root: Path = Path(), environ: Mapping[str, str] = os.environ) -> int:
    """Write the present champion's answers in the newest month to LIVE, or take the file away.

    Answers of its bundles for other devices are among them; the file names the release by its CPU bundle.
    To be called after stage `prepare`, which names the month, and after the champion's bundle was fetched.

    Returns:
        How many there are; 0 where there is no champion or no event database.

    Raises:
        EventStoreUnavailable: the event database does not answer.
        Unavailable: MLflow does not answer.
        TicketSentimentError: the variable that names it is wrong.
    """
    target, digest = root / LIVE, digest_at(root / CHAMPION)
    try:
        url = event_url(params.events, environ) if digest else None
    except NoEventDatabase:
        url = None
    if digest is None or url is None:
        target.unlink(missing_ok=True)
        return 0
    month = read_json(root / SPLIT)["months"]["holdout"][-1]
    since, before = month_bounds(month)
    digests = release_digests(connect(params, root), digest)
    with reading_events(url) as connection:
        table = answer_table(connection, digests, since, before, params.drift.max_rows)
    with replacing(target) as temporary:
        whole = table.assign(bundle_digest=digest)
        pq.write_table(
            pa.Table.from_pandas(whole, schema=LIVE_SCHEMA, preserve_index=False),
            temporary,
            compression="zstd",
        )
    return len(table)

"""The tables of the event database as SQLAlchemy reads and writes them; migrations.py makes them."""

from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.labels import LABELS

metadata = sa.MetaData()


class UtcTime(sa.TypeDecorator[datetime]):
    """A time with a zone in Python, UTC in the database (SQLite knows no zones). Naive times are refused."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        if value.utcoffset() is None:
            raise ValueError("a time without a zone")
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Any) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


predictions = sa.Table(
    "predictions",
    metadata,
    # Which process wrote it, and its count: a batch that is sent again after a lost commit adds nothing.
    sa.Column("writer", sa.Text, primary_key=True),
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("ticket_id", sa.Text),
    sa.Column("customer", sa.Text),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("bundle_digest", sa.Text, nullable=False),
    sa.Column("model_version", sa.Text, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
    *(sa.Column(f"p_{label}", sa.Double, nullable=False) for label in LABELS),
    sa.Column("confidence", sa.Double, nullable=False),
    sa.Column("abstain", sa.Boolean, nullable=False),
    sa.Column("cached", sa.Boolean, nullable=False),
    sa.Column("backend", sa.Text, nullable=False),
    sa.Column("latency_ms", sa.Double, nullable=False),
    sa.Column("shadow", sa.Boolean, nullable=False),
    sa.Column("text", sa.Text),
)

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

feedback = sa.Table(
    "feedback",
    metadata,
    sa.Column("ticket_id", sa.Text, primary_key=True),
    sa.Column("source", sa.Text, primary_key=True),
    sa.Column("event_id", sa.Text, primary_key=True),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("received_at", UtcTime, nullable=False),
    sa.Column("label", sa.Text, nullable=False),
)

# Rows are added and never changed: the highest epoch is the current one, the rest its history.
rollout_states = sa.Table(
    "rollout_states",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("salt", sa.Text, nullable=False),
    sa.Column("champion", sa.Text, nullable=False),
    sa.Column("challenger", sa.Text),
    sa.Column("challenger_share", sa.Double, nullable=False),
    sa.Column("shadow", sa.Boolean, nullable=False),
    sa.Column("since", UtcTime, nullable=False),
)

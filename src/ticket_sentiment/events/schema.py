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
    sa.Column("unit", sa.Text),
    # Of the text, whether it is kept or not.
    sa.Column("text_chars", sa.Integer),
    sa.Column("capital_share", sa.Double),
    sa.Column("non_ascii_share", sa.Double),
    sa.Column("channel", sa.Text),  # as the caller named it
)

exposures = sa.Table(
    "exposures",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("unit", sa.Text, primary_key=True),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("at", UtcTime, nullable=False),
)

failures = sa.Table(
    "failures",
    metadata,
    sa.Column("writer", sa.Text, primary_key=True),  # and sequence: as of predictions
    sa.Column("sequence", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("request_id", sa.Text, nullable=False),
    sa.Column("unit", sa.Text, nullable=False),
    sa.Column("arm", sa.Text, nullable=False),
    sa.Column("epoch", sa.BigInteger, nullable=False),
    sa.Column("code", sa.Text, nullable=False),
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

# Why a state came to be. One set by EventStore.set_rollout_state has no row here.
rollout_changes = sa.Table(
    "rollout_changes",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("actor", sa.Text, nullable=False),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("step", sa.Integer, nullable=False),
    sa.Column("rollout", sa.BigInteger),
    sa.Column("hotfix", sa.Boolean, nullable=False),
    sa.Column("champion_version", sa.Text, nullable=False),
    sa.Column("challenger_version", sa.Text),
    sa.Column("previous_champion", sa.Text),
    sa.Column("previous_version", sa.Text),
)

rollout_looks = sa.Table(
    "rollout_looks",
    metadata,
    sa.Column("epoch", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("number", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("action", sa.Text, nullable=False),
    sa.Column("reasons", sa.Text, nullable=False),  # JSON: a list of sentences
    sa.Column("guardrails", sa.Text, nullable=False),  # JSON: a list of objects
    sa.Column("fresh", sa.Boolean, nullable=False),
    sa.Column("heard", sa.BigInteger, nullable=False),  # of the challenger, since the rollout began
    sa.Column("champion_heard", sa.BigInteger),
    sa.Column("silent", sa.Boolean),
)

leases = sa.Table(
    "leases",
    metadata,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("holder", sa.Text, nullable=False),  # empty: given back
    sa.Column("token", sa.BigInteger, nullable=False),
    sa.Column("expires_at", UtcTime, nullable=False),  # by the database's clock
)

# Retrainings that an alarm asked for, before the next month would.
early_retrainings = sa.Table(
    "early_retrainings",
    metadata,
    sa.Column("number", sa.BigInteger, primary_key=True, autoincrement=False),
    sa.Column("at", UtcTime, nullable=False),
    sa.Column("champion", sa.Text, nullable=False),  # digest of the bundle that the alarm was about
    sa.Column("reasons", sa.Text, nullable=False),  # JSON: the names of the alarms
    sa.Column("run", sa.Text),  # of Prefect; null: asked for, not known to be started
)

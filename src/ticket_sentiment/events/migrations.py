"""The event database's schema, version by version: forward only, safe to run twice and from many workers.

A migration only adds (a table, an index, a column that may be null), so that a service of the version before
goes on working beside it, in a rolling restart and after a rollback. Never change one that was released:
add the next. The statements are the SQL that SQLite and PostgreSQL share, and both run them in a transaction.
"""

from datetime import UTC, datetime

import sqlalchemy as sa

from ticket_sentiment.events.database import WAIT_S
from ticket_sentiment.events.schema import UtcTime

# Of PostgreSQL's advisory lock while migrating; any number that is not another program's.
_LOCK = 7_426_118_335_902_114

_VERSION_1 = (
    """
    CREATE TABLE predictions (
        writer TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        request_id TEXT NOT NULL,
        ticket_id TEXT,
        customer TEXT,
        arm TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        bundle_digest TEXT NOT NULL,
        model_version TEXT NOT NULL,
        label TEXT NOT NULL,
        p_negative DOUBLE PRECISION NOT NULL,
        p_neutral DOUBLE PRECISION NOT NULL,
        p_positive DOUBLE PRECISION NOT NULL,
        confidence DOUBLE PRECISION NOT NULL,
        abstain BOOLEAN NOT NULL,
        cached BOOLEAN NOT NULL,
        backend TEXT NOT NULL,
        latency_ms DOUBLE PRECISION NOT NULL,
        shadow BOOLEAN NOT NULL,
        text TEXT,
        PRIMARY KEY (writer, sequence)
    )
    """,
    "CREATE INDEX predictions_at ON predictions (at)",
    "CREATE INDEX predictions_ticket ON predictions (ticket_id)",
    """
    CREATE TABLE exposures (
        epoch BIGINT NOT NULL,
        unit TEXT NOT NULL,
        arm TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        PRIMARY KEY (epoch, unit)
    )
    """,
    """
    CREATE TABLE feedback (
        ticket_id TEXT NOT NULL,
        source TEXT NOT NULL,
        event_id TEXT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        received_at TIMESTAMP WITH TIME ZONE NOT NULL,
        label TEXT NOT NULL,
        PRIMARY KEY (ticket_id, source, event_id)
    )
    """,
    "CREATE INDEX feedback_received ON feedback (received_at)",
    """
    CREATE TABLE rollout_states (
        epoch BIGINT NOT NULL PRIMARY KEY,
        salt TEXT NOT NULL,
        champion TEXT NOT NULL,
        challenger TEXT,
        challenger_share DOUBLE PRECISION NOT NULL,
        shadow BOOLEAN NOT NULL,
        since TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
)

# The ledger of rollouts, failed answers, and what the evidence of a rollout is counted by.
_VERSION_2 = (
    "ALTER TABLE predictions ADD COLUMN unit TEXT",
    "CREATE INDEX predictions_epoch ON predictions (epoch, arm)",
    "CREATE INDEX predictions_text ON predictions (at) WHERE text IS NOT NULL",
    "CREATE INDEX exposures_at ON exposures (at)",
    """
    CREATE TABLE failures (
        writer TEXT NOT NULL,
        sequence BIGINT NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        request_id TEXT NOT NULL,
        unit TEXT NOT NULL,
        arm TEXT NOT NULL,
        epoch BIGINT NOT NULL,
        code TEXT NOT NULL,
        PRIMARY KEY (writer, sequence)
    )
    """,
    "CREATE INDEX failures_epoch ON failures (epoch, arm)",
    "CREATE INDEX failures_at ON failures (at)",
    """
    CREATE TABLE rollout_changes (
        epoch BIGINT NOT NULL PRIMARY KEY,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        action TEXT NOT NULL,
        actor TEXT NOT NULL,
        reason TEXT NOT NULL,
        step INTEGER NOT NULL,
        rollout BIGINT,
        hotfix BOOLEAN NOT NULL,
        champion_version TEXT NOT NULL,
        challenger_version TEXT,
        previous_champion TEXT,
        previous_version TEXT
    )
    """,
    """
    CREATE TABLE rollout_looks (
        epoch BIGINT NOT NULL,
        number INTEGER NOT NULL,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        action TEXT NOT NULL,
        reasons TEXT NOT NULL,
        guardrails TEXT NOT NULL,
        fresh BOOLEAN NOT NULL,
        heard BIGINT NOT NULL,
        PRIMARY KEY (epoch, number)
    )
    """,
    """
    CREATE TABLE leases (
        name TEXT NOT NULL PRIMARY KEY,
        holder TEXT NOT NULL,
        token BIGINT NOT NULL,
        expires_at TIMESTAMP WITH TIME ZONE NOT NULL
    )
    """,
)

# Whether a look that heard nothing of the challenger heard of the champion. Looks of before do not say.
_VERSION_3 = (
    "ALTER TABLE rollout_looks ADD COLUMN champion_heard BIGINT",
    "ALTER TABLE rollout_looks ADD COLUMN silent BOOLEAN",
)

# The shape of a text, by which drift is seen where the text itself is not kept (answers of before have none),
# and the retrainings that an alarm asked for.
_VERSION_4 = (
    "ALTER TABLE predictions ADD COLUMN text_chars INTEGER",
    "ALTER TABLE predictions ADD COLUMN capital_share DOUBLE PRECISION",
    "ALTER TABLE predictions ADD COLUMN non_ascii_share DOUBLE PRECISION",
    """
    CREATE TABLE early_retrainings (
        number BIGINT NOT NULL PRIMARY KEY,
        at TIMESTAMP WITH TIME ZONE NOT NULL,
        champion TEXT NOT NULL,
        reasons TEXT NOT NULL,
        run TEXT
    )
    """,
)

# Where a ticket came from, as its caller says; many do not.
_VERSION_5 = ("ALTER TABLE predictions ADD COLUMN channel TEXT",)

MIGRATIONS: tuple[tuple[str, ...], ...] = (_VERSION_1, _VERSION_2, _VERSION_3, _VERSION_4, _VERSION_5)

_versions = sa.Table(
    "event_schema",
    sa.MetaData(),
    sa.Column("version", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("applied_at", UtcTime, nullable=False),
)


def migrate(engine: sa.Engine, migrations: tuple[tuple[str, ...], ...] = MIGRATIONS) -> int:
    """Bring a database to the newest version, all or nothing; a newer one than this code knows is left alone.

    Workers that start together wait for each other: on SQLite for the write lock with which the transaction
    begins, on PostgreSQL for an advisory lock.

    Args:
        engine: of `database.open_engine`.
        migrations: statements by version, from 1.

    Returns:
        The version the database has now.

    Raises:
        sqlalchemy.exc.SQLAlchemyError: the database is away, or a statement failed; nothing was changed.
    """
    with engine.begin() as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
            # An index on millions of rows takes longer than any other statement may. A lock that does not
            # come soon is given up, for whoever wants the table queues behind it.
            connection.exec_driver_sql("SET LOCAL statement_timeout = 0")
            connection.exec_driver_sql(f"SET LOCAL lock_timeout = {1000 * WAIT_S}")
        _versions.create(connection, checkfirst=True)
        version = connection.scalar(sa.select(sa.func.max(_versions.c.version))) or 0
        for number in range(version + 1, len(migrations) + 1):
            for statement in migrations[number - 1]:
                connection.exec_driver_sql(statement)
            connection.execute(_versions.insert().values(version=number, applied_at=datetime.now(UTC)))
    return max(version, len(migrations))

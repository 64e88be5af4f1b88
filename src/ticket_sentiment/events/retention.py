"""How long the event database keeps what services wrote: old events go, a few thousand in a transaction.

People's labels, the rollouts' states, changes and looks stay: they are few, and the history of decisions. Of
the rollout that is on every event stays, for the decision is counted from all of them. Texts go all the
same: no decision reads them, and how long they are kept is a promise to the people who wrote them.
"""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

import sqlalchemy as sa

from ticket_sentiment.events import schema
from ticket_sentiment.events.access import Database
from ticket_sentiment.events.ledger import entries
from ticket_sentiment.params import Events

logger = logging.getLogger(__name__)

DAY = timedelta(days=1)
BATCH = 5000  # rows of a transaction: some 50 ms, during which services wait to write to SQLite


@dataclass(frozen=True)
class Purged:
    """How many rows were deleted, and how many texts."""

    predictions: int
    exposures: int
    failures: int
    texts: int


def purge(database: Database, settings: Events, now: datetime) -> Purged:
    """Delete events older than `events.keep_days`, and texts older than `events.keep_text_days`.

    Nothing is deleted where `now` is not to be trusted: where no event, label or look is from the day that
    ended a day before it. A clock that jumped forward would delete everything, and what is written after
    the jump says nothing against it. After a day without tickets the old wait for the day after the next.

    It may be stopped at any moment and run again, and beside services that write.

    Args:
        database: such as `Ledger.database`.
        settings: of params.yaml.
        now: with a time zone.

    Raises:
        EventStoreUnavailable: the database does not answer; what was deleted before is deleted.
    """
    if not _is_credible(database, now):
        logger.warning("nothing is deleted: no event, label or look is from the day before %s", now - DAY)
        return Purged(0, 0, 0, 0)
    before, text_before = (
        now - timedelta(days=days) for days in (settings.keep_days, settings.keep_text_days)
    )
    deleted = [
        _in_batches(database, _deletion(table, before))
        for table in (schema.predictions, schema.exposures, schema.failures)
    ]
    return Purged(*deleted, texts=_in_batches(database, lambda _: _without_text(text_before)))


def _is_credible(database: Database, now: datetime) -> bool:
    times = (
        schema.predictions.c.at,
        schema.failures.c.at,
        schema.feedback.c.received_at,
        schema.rollout_looks.c.at,
    )
    with database.reading("nothing is deleted") as connection:
        return any(
            connection.scalar(sa.select(sa.exists().where(at.between(now - 2 * DAY, now - DAY))))
            for at in times
        )


def _in_batches(database: Database, make: Callable[[int | None], sa.Update | sa.Delete]) -> int:
    """Run what `make` makes, each time in a transaction of its own, until it finds nothing more to do.

    Args:
        database: to run it in.
        make: gets the epoch with which the rollout that is on began, or None: one may begin meanwhile.
    """
    total = 0
    while True:
        with database.writing("not everything old is deleted") as connection:
            done = connection.execute(make(_began(connection))).rowcount
        total += done
        if done < BATCH:
            return total


def _deletion(table: sa.Table, before: datetime) -> Callable[[int | None], sa.Delete]:
    def make(began: int | None) -> sa.Delete:
        old = table.c.at < before
        if began is not None:
            old &= table.c.epoch < began
        return sa.delete(table).where(_some(table, old))

    return make


def _without_text(before: datetime) -> sa.Update:
    table = schema.predictions
    old = (table.c.at < before) & table.c.text.is_not(None)
    return sa.update(table).where(_some(table, old)).values(text=None)


def _some(table: sa.Table, condition: sa.ColumnElement[bool]) -> sa.ColumnElement[bool]:
    """Holds for at most BATCH of the rows for which a condition does."""
    key = list(table.primary_key)
    return sa.tuple_(*key).in_(sa.select(*key).where(condition).limit(BATCH))


def _began(connection: sa.Connection) -> int | None:
    """The epoch with which the rollout that is on began; None when none is.

    Of one that the ledger does not know, the first of the latest states with its challenger and salt.
    """
    current = next(iter(entries(connection, 1)), None)
    if current is None or current.state.challenger is None:
        return None
    if current.change is not None and current.change.rollout is not None:
        return current.change.rollout
    table = schema.rollout_states
    same = (table.c.salt == current.state.salt) & (table.c.challenger == current.state.challenger)
    other = sa.select(sa.func.max(table.c.epoch)).where(sa.func.coalesce(~same, True))
    return (connection.scalar(other) or 0) + 1

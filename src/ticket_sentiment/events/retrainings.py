"""Retrainings that an alarm asked for: one at a time, and none soon after another.

The record is here and not only in Prefect, whose history may be deleted or belong to another server: a
cool-down that is forgotten with it would let an alarm that stays retrain every hour. It is written before the
run is made, and the run's id after: a monitor that is killed between finds the request open and makes the run
again under the same name, which Prefect answers with the run that is there.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from ticket_sentiment.events.access import Database, clock
from ticket_sentiment.events.schema import early_retrainings as table


@dataclass(frozen=True)
class EarlyRetraining:
    """One of them.

    Attributes:
        number: from 1.
        at: when it was asked for.
        champion: digest of the bundle that the alarm was about.
        reasons: names of the alarms.
        run: of Prefect; None where it is not known to be started.
    """

    number: int
    at: datetime
    champion: str
    reasons: tuple[str, ...]
    run: str | None

    @property
    def name(self) -> str:
        """What its run is named, the same however often it is made, and no other's of a database before."""
        return f"early-retraining-{self.number}-{self.at:%Y%m%d-%H%M%S}"


def last(database: Database) -> EarlyRetraining | None:
    """The latest; None where there was none.

    Raises:
        EventStoreUnavailable: the database does not answer.
    """
    with database.reading("whether a retraining was asked for is unknown") as connection:
        return _last(connection)


def ask(
    database: Database, champion: str, reasons: Sequence[str], cooldown: timedelta
) -> EarlyRetraining | None:
    """Ask for one, unless one was asked for within `cooldown`; an open one is given back to be started.

    Args:
        database: of the events.
        champion: digest of the bundle that the alarm is about.
        reasons: names of the alarms.
        cooldown: since the last one, by the database's clock.

    Returns:
        The one to start; None while the last one cools down, or where another monitor was first.

    Raises:
        EventStoreUnavailable: the database does not answer; if it was written all the same, it is open.
    """
    try:
        with database.writing("no retraining is asked for") as connection:
            before, now = _last(connection), clock(connection)
            if before is not None and before.run is None:
                return before
            # One of a time to come is of a clock that was ahead: it must not hold up others until then.
            if before is not None and timedelta(0) <= now - before.at < cooldown:
                return None
            made = EarlyRetraining(before.number + 1 if before else 1, now, champion, tuple(reasons), None)
            values: dict[str, Any] = {"number": made.number, "at": now, "champion": champion}
            connection.execute(table.insert().values(**values, reasons=json.dumps(list(reasons))))
            return made
    except IntegrityError:
        return None


def started(database: Database, number: int, run: str) -> None:
    """Note its run, from which on it is not started again.

    Raises:
        EventStoreUnavailable: the database does not answer; it is open, and is started again by its name.
    """
    with database.writing("the retraining is not known to be started") as connection:
        connection.execute(sa.update(table).where(table.c.number == number).values(run=run))


def _last(connection: sa.Connection) -> EarlyRetraining | None:
    row = connection.execute(sa.select(table).order_by(table.c.number.desc()).limit(1)).mappings().first()
    return None if row is None else EarlyRetraining(**{**row, "reasons": tuple(json.loads(row["reasons"]))})

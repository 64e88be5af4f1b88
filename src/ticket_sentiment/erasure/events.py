"""Customers out of the event database: their answers with the texts, labels, exposures and failures."""

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.erasure.wanted import Wanted
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.access import chunks
from ticket_sentiment.events.database import truncate_log
from ticket_sentiment.events.ledger import Ledger, entries
from ticket_sentiment.events.schema import exposures, failures, feedback, predictions

AWAY = "not everything of theirs is erased"
Key = tuple[Any, ...]


def refuse_during_rollout(connection: sa.Connection) -> None:
    """Raises TicketSentimentError while one is on: it is decided by all events since it began."""
    entry = next(iter(entries(connection, 1)), None)
    if entry is not None and entry.state.challenger is not None:
        raise TicketSentimentError(
            "a rollout is on, and is decided by every event since it began: run this again when it is over "
            "(`ticket-sentiment status`), or end it with `ticket-sentiment rollback`"
        )


def answered_tickets(connection: sa.Connection, wanted: Wanted) -> frozenset[str]:
    """Ids of the tickets of these customers that were answered."""
    column = predictions.c.ticket_id
    found: set[str] = set()
    for part in chunks(sorted(wanted.customers)):
        theirs = sa.select(column).where(predictions.c.customer.in_(part), column.is_not(None)).distinct()
        found.update(connection.scalars(theirs))
    return frozenset(found)


def others_answers(connection: sa.Connection, wanted: Wanted) -> int:
    """How many answers have an id of their tickets, and another customer: these stay."""
    whose = predictions.c.customer
    count = 0
    for part in chunks(sorted(wanted.tickets - wanted.named)):
        same = sa.select(whose).where(predictions.c.ticket_id.in_(part), whose.is_not(None))
        count += sum(one not in wanted.customers for one in connection.scalars(same))
    return count


def their_texts(connection: sa.Connection, wanted: Wanted) -> set[str]:
    """The masked texts of theirs that are kept, also of answers without a ticket's id."""
    text, found = predictions.c.text, set[str]()
    for table, condition in _conditions(wanted):
        if table is predictions:
            found.update(connection.scalars(sa.select(text).where(condition, text.is_not(None)).distinct()))
    return found


def _conditions(wanted: Wanted) -> Iterator[tuple[sa.Table, sa.ColumnElement[bool]]]:
    """Labels before answers: only these know which tickets are theirs."""
    nobody = predictions.c.customer.is_(None)
    for part in chunks(sorted(wanted.tickets)):
        yield feedback, feedback.c.ticket_id.in_(part)
    for part in chunks(sorted(wanted.units)):
        yield exposures, exposures.c.unit.in_(part)
        yield failures, failures.c.unit.in_(part)
    for part in chunks(sorted(wanted.tickets)):
        yield predictions, predictions.c.ticket_id.in_(part) & nobody
    for part in chunks(sorted(wanted.named)):
        yield predictions, predictions.c.ticket_id.in_(part)
    for part in chunks(sorted(wanted.customers)):
        yield predictions, predictions.c.customer.in_(part)


def erase_events(ledger: Ledger, wanted: Wanted) -> dict[str, int]:
    """Delete what is theirs, and say how many rows of each table that was.

    What is found by a sum over the tables is deleted some hundred rows at a time, so that services go on
    writing. It is done twice: a service may have written meanwhile.

    Raises:
        EventStoreUnavailable: the database does not answer; what was deleted before is deleted.
        TicketSentimentError: a rollout has begun.
    """
    counts = dict.fromkeys((table.name for table in (predictions, feedback, exposures, failures)), 0)
    for _ in range(2):
        with ledger.database.counting(AWAY) as connection:
            wanted = wanted.knowing(answered_tickets(connection, wanted))
            found: dict[sa.Table, list[Key]] = {}
            for table, condition in _conditions(wanted):
                rows = connection.execute(sa.select(*table.primary_key).where(condition))
                found.setdefault(table, []).extend(tuple(row) for row in rows)
        for table, keys in found.items():
            for part in chunks(list(dict.fromkeys(keys))):
                counts[table.name] += _delete(ledger, table, part)
    return counts


def _delete(ledger: Ledger, table: sa.Table, keys: Any) -> int:
    with ledger.database.writing(AWAY) as connection:
        refuse_during_rollout(connection)
        return connection.execute(sa.delete(table).where(sa.tuple_(*table.primary_key).in_(keys))).rowcount


def overwrite(ledger: Ledger) -> bool:
    """Make SQLite forget what was deleted; whether it could. PostgreSQL does so in its own time.

    Raises:
        EventStoreUnavailable: the database does not answer.
    """
    engine = ledger.database.engine
    if engine.dialect.name != "sqlite":
        return True
    with ledger.database.answering("what was deleted may still be in the database's log"):
        return truncate_log(engine)

"""`ticket-sentiment label-import`: people's labels out of a filled queue, into the event database."""

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.access import chunks
from ticket_sentiment.events.schema import feedback
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.feedback.database import event_url, reading_events
from ticket_sentiment.labelling.candidates import first_seen, kept_texts, same_ticket, unknown_tickets
from ticket_sentiment.labelling.filled import Filled, read_filled
from ticket_sentiment.params import Params

MOMENT = timedelta(microseconds=1)
CORRECTIONS = timedelta(milliseconds=1)  # of one and the same time: room for a thousand


@dataclass(frozen=True)
class Imported:
    """What an import did.

    Attributes:
        new: labels that were not there before.
        known: labels that were there before.
        outdone: of the known ones, whose ticket has had another label since.
        empty: tickets of the file without a label.
    """

    new: int
    known: int
    outdone: int
    empty: int

    def line(self, path: Path) -> str:
        """For the terminal."""
        outdone = (
            f"; {self.outdone} of them were corrected since and stay so: to make one count again, fill in "
            "labelled_at"
            if self.outdone
            else ""
        )
        return (
            f"{path}: {self.new} labels imported, {self.known} were there before{outdone}; "
            f"{self.empty} tickets without a label"
        )


def event_id(row: Filled, source: str) -> str:
    """The same for the same label of the same ticket at the same time: a file imported twice counts once."""
    at = row.at.isoformat() if row.at else None
    content = json.dumps([row.ticket_id, source, row.label, at, row.mark])
    return hashlib.blake2b(content.encode(), digest_size=16, person=b"label-import").hexdigest()


def import_labels(
    path: Path,
    source: str,
    params: Params,
    *,
    root: Path = Path(),
    now: datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Imported:
    """Store the labels of a file, all of them or none.

    Args:
        path: a filled queue (`filled.read_filled`).
        source: who labelled, one of `prepare.label_sources` unless others are let in.
        params: `events`, `prepare` and `tickets.timezone` are read.
        root: the repository.
        now: when a label without a time of its own was given.
        environ: where the URL of the database may be.

    Raises:
        TicketSentimentError: a row is wrong, or its ticket is known neither to the event database nor to
            data/tickets; the message names file, row and key.
        EventStoreUnavailable: the database does not answer; import the file again.
    """
    rules = params.prepare
    if rules.unknown_sources == "refuse" and source not in rules.label_sources:
        raise TicketSentimentError(
            f"--source: expected one of prepare.label_sources ({', '.join(rules.label_sources)})"
        )
    filled, empty = read_filled(path, _zone(params.tickets.timezone))
    if not filled:
        raise TicketSentimentError(f"{path} holds no label: fill in the column label, or label the tasks")
    now = now or datetime.now(UTC)
    url = event_url(params.events, environ)
    events = [_event(row, source, now) for row in filled]  # before the database sees an id
    with reading_events(url) as connection:
        ids = [row.ticket_id for row in filled]
        _refuse_unknown(filled, unknown_tickets(connection, ids, root))
        _refuse_others_texts(filled, kept_texts(connection, ids, root))
        _refuse_too_early(filled, events, first_seen(connection, ids, root))
        events = [_after_others(connection, event) for event in events]
    store = EventStore(url, queue=1, store_text=False)
    try:
        results = store.feedback_together(events)
    finally:
        store.close(1)
    with reading_events(url) as connection:
        latest = _latest(connection, source, [event.ticket_id for event in events])
    known = [(event, result) for event, result in zip(events, results, strict=True) if not result.created]
    return Imported(
        new=len(results) - len(known),
        known=len(known),
        outdone=sum(event.label != latest[event.ticket_id] for event, _ in known),
        empty=empty,
    )


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TicketSentimentError(
            "tickets.timezone: is no known time zone: expected a name such as UTC or Europe/Berlin"
        ) from None


def _event(row: Filled, source: str, now: datetime) -> Feedback:
    at = row.at or now
    if row.all_day and at - now < timedelta(days=1):  # of today, which is not over
        at = min(at, now)
    event = Feedback(at, row.ticket_id, source, event_id(row, source), row.label)
    try:
        event.check(now)
    except TicketSentimentError as error:
        raise TicketSentimentError(f"{row.where}: {error}; nothing of the file was imported") from None
    return event


def _after_others(connection: sa.Connection, event: Feedback) -> Feedback:
    """A correction that was filled in with the same time (a day, a minute) counts: it is a moment later."""
    same = sa.select(sa.func.max(feedback.c.at)).where(
        feedback.c.ticket_id == event.ticket_id,
        feedback.c.source == event.source,
        feedback.c.event_id != event.event_id,
        feedback.c.at >= event.at,
        feedback.c.at < event.at + CORRECTIONS,
    )
    there = connection.scalar(same)
    return event if there is None else event._replace(at=there + MOMENT)


def _latest(connection: sa.Connection, source: str, ids: Sequence[str]) -> dict[str, str]:
    """The label of a source that counts, by ticket."""
    found: dict[str, str] = {}
    for chunk in chunks(ids):
        query = (
            sa.select(feedback.c.ticket_id, feedback.c.label)
            .where(feedback.c.ticket_id.in_(chunk), feedback.c.source == source)
            .order_by(feedback.c.at, feedback.c.event_id)
        )
        found |= {row.ticket_id: row.label for row in connection.execute(query)}
    return found


def _refuse_unknown(filled: list[Filled], unknown: set[str]) -> None:
    where = next((row.where for row in filled if row.ticket_id in unknown), None)
    if where is not None:
        raise TicketSentimentError(
            f"{where}: ticket_id: no ticket has this id ({len(unknown)} such ids in the file): a "
            "spreadsheet may have changed it, such as 007 to 7; nothing of the file was imported"
        )


def _refuse_others_texts(filled: list[Filled], kept: Mapping[str, tuple[str, str | None]]) -> None:
    for row in filled:
        if row.text and row.ticket_id in kept and not same_ticket(row.text, kept[row.ticket_id][0]):
            raise TicketSentimentError(
                f"{row.where}: ticket_id: is that of a ticket with another text: a column may have been "
                "sorted alone, or an id changed, such as 007 to 7; nothing of the file was imported"
            )


def _refuse_too_early(filled: list[Filled], events: list[Feedback], seen: Mapping[str, datetime]) -> None:
    """A label from before its ticket counts nowhere, and the ticket would not be asked for again."""
    for row, event in zip(filled, events, strict=True):
        if row.ticket_id in seen and event.at < seen[row.ticket_id]:
            raise TicketSentimentError(
                f"{row.where}: labelled_at: is before the ticket ({seen[row.ticket_id]:%Y-%m-%d %H:%M} UTC): "
                "correct it, or give its time zone, such as 2026-03-31T17:05:00-05:00; nothing of the file "
                "was imported"
            )


def main(params: Params, path: Path, source: str | None = None) -> None:
    """Import a file and say what became of it, in one line; of the audit, unless another source is named."""
    print(import_labels(path, source or params.rollout.audit_source, params).line(path))

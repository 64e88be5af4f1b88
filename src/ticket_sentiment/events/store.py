"""The event database as the service sees it: predictions, exposures and failures in the background, feedback
and rollout states at once.

SQLite (write-ahead log) or PostgreSQL, by the same code. Feedback and states are on the disk when the call
returns; the others may lose the last moments in a power cut, never the service's time.
"""

import contextlib
import itertools
import logging
import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, SQLAlchemyError

from ticket_sentiment.errors import TicketSentimentError, reason
from ticket_sentiment.events import schema
from ticket_sentiment.events.access import Database, clock, is_about_a_row, url_of
from ticket_sentiment.events.bulk import BulkInsert
from ticket_sentiment.events.database import READING, open_engine
from ticket_sentiment.events.rows import exposure_row, failure_row, prediction_row
from ticket_sentiment.events.types import (
    EventStoreUnavailable,
    Exposure,
    Failure,
    Feedback,
    FeedbackConflict,
    FeedbackResult,
    Prediction,
)
from ticket_sentiment.events.writer import BackgroundWriter
from ticket_sentiment.params import Events
from ticket_sentiment.rollout.state import RolloutState

logger = logging.getLogger(__name__)

_REMEMBERED_UNITS = 50_000
MOST_CHARACTERS = 20_000_000  # of the texts that wait: an outage must not cost the pod's memory
_Queued = tuple[int, Prediction | Failure] | Exposure


def _characters(queued: _Queued) -> int:
    """Of the text, which is held until its row is made, whether it is stored or not."""
    event = queued if isinstance(queued, Exposure) else queued[1]
    return len(event.text or "") if isinstance(event, Prediction) else 0


class EventStore:
    """One process's access to the event database. Safe from any thread; made after a fork, not before.

    `predicted`, `exposed` and `failed` cost microseconds and may be called on an event loop. `feedback`,
    `rollout_state` and `set_rollout_state` wait for the database, at most for some seconds: call them in a
    thread.
    """

    def __init__(self, url: str, queue: int, store_text: bool) -> None:
        """Open the database and bring its schema up to date.

        A PostgreSQL server that is away, or a file that another process locks, is no error here: the service
        must be able to start without. The schema is then made at the first call that gets through.

        Args:
            url: see `database.open_engine`.
            queue: events that may wait; beyond, they are dropped and counted.
            store_text: whether the masked text of a ticket is kept.

        Raises:
            TicketSentimentError: the URL is wrong, the file cannot be opened, or the schema cannot be made.
        """
        self._store_text = store_text
        # The two differ in what a commit waits for, which both databases set for a connection.
        self._database = Database(url)
        self._durable, self._background = self._database.engine, open_engine(url, durable=False)
        self._insert, self._answering = self._database.insert, self._database.answering
        self._bulk = {
            table: BulkInsert(self._insert(table).on_conflict_do_nothing(), self._background.dialect)
            for table in (schema.predictions, schema.exposures, schema.failures)
        }
        self._name = uuid.uuid4().hex
        self._sequence = itertools.count()
        self._epoch, self._units = 0, set[str]()
        self._refused = False  # the database, what was last to be written in the background
        self._writer: BackgroundWriter[_Queued] = BackgroundWriter(
            self._write, queue, _characters, MOST_CHARACTERS
        )

    @classmethod
    def open(cls, settings: Events, environ: Mapping[str, str] = os.environ) -> "EventStore":
        """The store of params.yaml's `events`; the variable that `url_env` names goes before `url`.

        Raises:
            TicketSentimentError: as the constructor.
        """
        return cls(url_of(settings, environ), settings.queue, settings.store_text)

    @property
    def available(self) -> bool:
        """Whether the database answered when it was last asked, and took what was last written.

        One that is full, or a standby, answers and takes nothing; one whose host is frozen leaves calls out.
        """
        return self._database.ready and not self._refused and not self._database.hangs

    @property
    def dropped(self) -> int:
        """Events queued since the start that are not in the database and will not be."""
        return self._writer.dropped

    @property
    def written(self) -> int:
        """Events queued since the start that are in the database."""
        return self._writer.written

    @property
    def queued(self) -> int:
        """Events that wait to be written."""
        return self._writer.queued

    def predicted(self, event: Prediction) -> bool:
        """Queue a prediction; False when it was dropped. Never waits, never raises."""
        return self._writer.put((next(self._sequence), event))

    def failed(self, event: Failure) -> bool:
        """Queue an answer that was not given; False when it was dropped. Never waits, never raises."""
        return self._writer.put((next(self._sequence), event))

    def exposed(self, event: Exposure) -> bool:
        """Queue an exposure, unless its unit was met before in this epoch; False when it was dropped.

        Call it for every request: the first of an epoch counts, in this process and in the database.
        """
        if event.epoch != self._epoch or len(self._units) >= _REMEMBERED_UNITS:
            self._epoch, self._units = event.epoch, set()  # one forgotten is ignored by the database
        if event.unit in self._units:
            return True
        if not self._writer.put(event):
            return False
        self._units.add(event.unit)
        return True

    def feedback(self, event: Feedback) -> FeedbackResult:
        """Store a person's label; it is committed, on the disk, when this returns.

        Sending an event again changes nothing. The ticket's label is that of its latest feedback by `at`;
        ties go to the greater source and event id, so that every order of arrival ends alike. All are kept.

        Returns:
            Whether the event is new, and the ticket's label now.

        Raises:
            FeedbackConflict: the same event was stored with another label.
            EventStoreUnavailable: the database does not answer; nothing is known to be stored: send it again.
            TicketSentimentError: a field is not as it should be.
        """
        return self.feedback_together([event])[0]

    def feedback_together(self, events: Sequence[Feedback]) -> list[FeedbackResult]:
        """Store people's labels, all of them or none; otherwise, and in what it raises, as `feedback`.

        Of several for one ticket a result's label is that after some of them.
        """
        for event in events:
            event.check()
        with self._storing_feedback() as connection:
            # Of the database: the writers' own may differ, and a month that is over gets no more.
            received_at = clock(connection)
            # In one order, whoever stores them: or two that send the same again would wait for each other.
            order = sorted(range(len(events)), key=lambda place: events[place][1:4])
            found = {place: self._add_feedback(connection, events[place], received_at) for place in order}
            return [found[place] for place in range(len(events))]

    def _add_feedback(
        self, connection: sa.Connection, event: Feedback, received_at: datetime
    ) -> FeedbackResult:
        table = schema.feedback
        same = [table.c[key] == getattr(event, key) for key in ("ticket_id", "source", "event_id")]
        row = {**event._asdict(), "received_at": received_at}
        latest = (
            sa.select(table.c.label)
            .where(table.c.ticket_id == event.ticket_id)
            .order_by(table.c.at.desc(), table.c.source.desc(), table.c.event_id.desc())
            .limit(1)
        )
        insert = self._insert(table).on_conflict_do_nothing().returning(table.c.event_id)
        created = connection.execute(insert, row).first() is not None
        if not created and connection.scalar(sa.select(table.c.label).where(*same)) != event.label:
            raise FeedbackConflict(
                "feedback: event_id: came before with another label; "
                "a correction needs an event id of its own"
            )
        return FeedbackResult(created, connection.scalar(latest))

    @contextlib.contextmanager
    def _storing_feedback(self) -> Iterator[sa.Connection]:
        """A transaction; a row that the database refuses is the caller's to correct, like any other."""
        try:
            with self._answering("the feedback is not stored"), self._durable.begin() as connection:
                yield connection
        except SQLAlchemyError as error:
            raise TicketSentimentError(
                f"feedback: the database refuses a field ({reason(error)}): send plain text and times"
            ) from None

    def rollout_state(self) -> RolloutState | None:
        """The current state; None when none was ever set.

        Raises:
            EventStoreUnavailable: the database does not answer: go on with the last state that was read.
            TicketSentimentError: a row does not make a valid state; it was not written by this class.
        """
        table = schema.rollout_states
        query = sa.select(table).order_by(table.c.epoch.desc()).limit(1)
        with self._answering("the rollout state is unknown"), self._durable.connect() as connection:
            row = connection.execution_options(**READING).execute(query).mappings().first()
        return RolloutState(**row) if row else None

    def set_rollout_state(self, new: RolloutState, expected_epoch: int) -> bool:
        """Make `new` the current state if the current epoch is `expected_epoch` (0: none was ever set).

        Of several that try at once one succeeds. The states before stay as history.

        Returns:
            False when another state came in between: read it and decide again.

        Raises:
            EventStoreUnavailable: the database does not answer; read the state before trying again, the
                change may have been made.
            TicketSentimentError: `new.epoch` is not the next one.
        """
        if new.epoch != expected_epoch + 1:
            raise TicketSentimentError(
                f"rollout state: epoch: expected {expected_epoch + 1}, one more than the current one; "
                f"not {new.epoch}"
            )
        table = schema.rollout_states
        with self._answering("the rollout state is not known to be set"):
            try:
                with self._durable.begin() as connection:
                    if (connection.scalar(sa.select(sa.func.max(table.c.epoch))) or 0) != expected_epoch:
                        return False
                    connection.execute(table.insert(), asdict(new))
            except IntegrityError:  # PostgreSQL lets both read; the key lets one write
                return False
        return True

    def flush(self, timeout: float) -> bool:
        """Wait until what was queued before is stored or dropped; False when `timeout` seconds passed."""
        return self._writer.flush(timeout)

    def close(self, timeout: float) -> bool:
        """Store what waits, for at most `timeout` seconds, and disconnect; what is left counts as dropped.

        Returns:
            Whether nothing was left.
        """
        finished = self._writer.close(timeout)
        self._database.close()
        self._background.dispose()
        return finished

    def _write(self, events: Sequence[_Queued]) -> int:
        """Store a batch in one transaction; how many of it could be stored."""
        rows: dict[sa.Table, list[dict[str, Any]]] = {table: [] for table in self._bulk}
        for event in events:
            try:
                if isinstance(event, Exposure):
                    rows[schema.exposures].append(exposure_row(event))
                elif isinstance(event[1], Failure):
                    rows[schema.failures].append(failure_row(event[1], self._name, event[0]))
                else:
                    row = prediction_row(event[1], self._name, event[0], self._store_text)
                    rows[schema.predictions].append(row)
            except (ValueError, TypeError, AttributeError) as error:
                logger.error("an event cannot be stored: %s", type(error).__name__)
        was_away = not self.available
        try:
            with self._answering("predictions wait"):
                stored = sum(self._add(table, some) for table, some in rows.items() if some)
        except EventStoreUnavailable as error:
            self._refused = True  # until these very events are written
            if not was_away:
                logger.warning("%s", error)
            raise
        self._refused = False
        if was_away:
            logger.warning(
                "the event database answers again; %d events dropped since the start", self.dropped
            )
        return stored

    def _add(self, table: sa.Table, rows: list[dict[str, Any]]) -> int:
        """Insert rows, those there already left alone; one that the database refuses harms no other."""
        try:
            with self._background.begin() as connection:
                self._bulk[table].execute(connection, rows)
            return len(rows)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and not is_about_a_row(error):
                raise
            if len(rows) == 1:
                logger.error("an event cannot be stored: %s", type(error).__name__)
                return 0
            middle = len(rows) // 2
            return self._add(table, rows[:middle]) + self._add(table, rows[middle:])

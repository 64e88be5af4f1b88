"""A bounded queue that a thread empties in batches: what waits for a request costs it one append."""

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from ticket_sentiment.events.types import EventStoreUnavailable

logger = logging.getLogger(__name__)

Item = TypeVar("Item")

INTERVAL_S = 0.1  # between two looks at the queue: at most so much is lost with a killed process
BATCH = 500
MAX_PAUSE_S = 5.0  # between two tries while the database is away


class BackgroundWriter(Generic[Item]):
    """Takes items at once or drops them with a count, and hands them to `write` in the order they came.

    While `write` says that the database is away, items wait and are tried again after a growing pause; when
    the queue is full, the new ones are dropped. The thread is a daemon: call `close` before the process ends.
    """

    def __init__(
        self,
        write: Callable[[Sequence[Item]], int],
        capacity: int,
        size: Callable[[Item], int] = lambda _: 0,
        most: int = 0,
    ) -> None:
        """Start the thread.

        Args:
            write: stores items and returns how many of them it stored; the others cannot be stored and count
                as dropped. Raises EventStoreUnavailable when a later try may store them all.
            capacity: items that wait, those being written included.
            size: of an item, in a unit of the caller's.
            most: of the sizes of the items that wait, which one item may pass.
        """
        self._write, self._capacity = write, capacity
        self._size, self._most, self._held = size, most, 0
        self._lock = threading.Lock()
        self._idle = threading.Condition(self._lock)
        self._waiting: list[Item] = []
        self._writing = self._written = self._dropped = self._taken = 0
        self._wake = threading.Event()
        self._closing = self._abandoned = False
        self._deadline = float("inf")
        self._thread = threading.Thread(target=self._run, name="events", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """Items not stored since the start: the queue was full or closed, or no database could keep them."""
        return self._dropped

    @property
    def written(self) -> int:
        """Items stored since the start."""
        return self._written

    @property
    def queued(self) -> int:
        """Items that wait, those being written included."""
        return len(self._waiting) + self._writing

    def put(self, item: Item) -> bool:
        """Queue an item; False when it was dropped. From any thread; never waits for the database."""
        with self._lock:
            full = len(self._waiting) + self._writing >= self._capacity or self._held > self._most
            if self._closing or full:
                self._dropped += 1
                return False
            self._waiting.append(item)
            self._held += self._size(item)
            self._taken += 1
            return True

    def flush(self, timeout: float) -> bool:
        """Wait until what was queued before is stored or dropped; False when `timeout` seconds passed."""
        with self._idle:
            target = self._taken
            self._wake.set()
            return self._idle.wait_for(
                lambda: self._taken - len(self._waiting) - self._writing >= target, timeout
            )

    def close(self, timeout: float) -> bool:
        """Take nothing more and store what waits, for `timeout` s; what is left then counts as dropped.

        Returns:
            Whether nothing was left.
        """
        with self._lock:
            self._closing = True
            self._deadline = time.monotonic() + timeout
        self._wake.set()
        self._thread.join(timeout)
        with self._lock:
            left, self._waiting = len(self._waiting), []
            if self._thread.is_alive():  # in a try that outlasts the deadline: the process may end on it
                left, self._abandoned = left + self._writing, True
            self._dropped += left
        return not left

    def _run(self) -> None:
        pause = INTERVAL_S
        while True:
            self._wake.wait(pause)
            self._wake.clear()
            away = not self._drain()
            if self._closing and (not away or time.monotonic() > self._deadline):
                return
            pause = min(pause * 2, MAX_PAUSE_S) if away else INTERVAL_S
            if self._closing:
                pause = min(pause, 0.2)

    def _drain(self) -> bool:
        """Write until the queue is empty; False when the database is away."""
        while True:
            with self._lock:
                batch = self._waiting[:BATCH]
                del self._waiting[:BATCH]
                self._writing = len(batch)
            if not batch:
                return True
            stored = self._stored(batch)
            with self._idle:
                self._writing = 0
                if stored is None:
                    if not self._abandoned:
                        self._waiting[:0] = batch
                    return False
                self._held -= sum(map(self._size, batch))
                self._written += stored
                self._dropped += (0 if self._abandoned else len(batch)) - stored
                self._idle.notify_all()

    def _stored(self, batch: list[Item]) -> int | None:
        try:
            return self._write(batch)
        except EventStoreUnavailable:
            return None
        except (
            Exception
        ) as error:  # the thread must outlive what it does not know; the message could quote a row
            logger.error("%d events could not be stored: %s", len(batch), type(error).__name__)
            return 0

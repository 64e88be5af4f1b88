"""Labels on their way to the event database: those that wait go together, in one commit."""

import asyncio
import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Protocol

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackResult
from ticket_sentiment.serving.errors import ApiError

RETRY_S = 5.0  # after which a sender shall try again


class FeedbackStore(Protocol):
    """The part of events.store.EventStore that feedback needs."""

    def feedback_together(self, events: Sequence[Feedback]) -> list[FeedbackResult]: ...


_Waiting = tuple[Feedback, "Future[FeedbackResult]"]


class FeedbackQueue:
    """Stores labels in a thread of its own.

    A commit waits for the disk, so a burst is not one commit each: what came while the thread was out is the
    next one. What the database refuses harms no other label. A place is free again when the thread is done
    with it, not when its caller gives up, so that a database that hangs is not asked for ever more.
    """

    def __init__(self, store: FeedbackStore, places: int) -> None:
        """Start with nothing.

        Args:
            store: where labels go.
            places: labels that may wait, those being stored included.
        """
        self._store = store
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="feedback")
        self._waiting: deque[_Waiting] = deque()
        self._places = threading.Semaphore(places)

    def put(self, event: Feedback) -> asyncio.Future[FeedbackResult]:
        """Store a label; what comes is of `EventStore.feedback`, and so are the errors. Cancel to give up.

        Raises:
            ApiError: too many wait already.
        """
        if not self._places.acquire(blocking=False):
            raise ApiError("events_unavailable", retry_after=RETRY_S)
        stored: Future[FeedbackResult] = Future()
        self._waiting.append((event, stored))
        self._thread.submit(self._store_waiting)
        return asyncio.wrap_future(stored)

    def close(self) -> None:
        """Take no more. What is still being stored had its refusal: its database hangs."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _store_waiting(self) -> None:
        taken = [self._waiting.popleft() for _ in range(len(self._waiting))]  # none: the call before took it
        try:
            wanted = [one for one in taken if one[1].set_running_or_notify_cancel()]
            if wanted:
                self._store_together(wanted)
        finally:
            if taken:
                self._places.release(len(taken))

    def _store_together(self, batch: Sequence[_Waiting]) -> None:
        try:
            results = self._store.feedback_together([event for event, _ in batch])
        except Exception as error:
            refused = isinstance(error, TicketSentimentError) and not isinstance(error, EventStoreUnavailable)
            if refused and len(batch) > 1:  # one of them, perhaps
                middle = len(batch) // 2
                self._store_together(batch[:middle])
                self._store_together(batch[middle:])
                return
            for _, stored in batch:
                stored.set_exception(error)
        else:
            for (_, stored), result in zip(batch, results, strict=True):
                stored.set_result(result)

"""Where this worker's models run: a bounded queue, one text (on a GPU: one batch) after another.

On a CPU a worker has one core, so the model runs in the event loop itself, between two of its turns: what
came meanwhile is accepted or refused before the next text is scored. A thread adds its hops and fights for
the interpreter's lock: with a model of 0.6 ms, one worker and 16 connections it answered 16 % fewer requests
a second, with one connection half as many (two cores with other work, November 2026). On a GPU the model
runs in a thread, so that the next batch gathers while the card works.

Urgent texts go first, then the others, and shadow texts only when nobody waits for an answer: at most one
of them is ever in front of a request.
"""

import asyncio
import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.logs import log_failure

logger = logging.getLogger(__name__)

BATCH_SHARE = 0.75  # of the queue that batches may fill on a GPU: one call that runs, and half of the next
# Of the objective that a text may wait; the rest is for its own run, for the loop's other work, which under
# overload is most of it, and for what the estimate has wrong. A longer queue adds no throughput.
QUEUE_SHARE = 0.5
# Of models before the loop has its turn. A text right behind another one finds the model in the processor's
# caches, which the loop's own work empties, so long turns answer more. Under overload a request takes some
# turns of the loop until it is refused, and they are short: while many wait, and for a time after a refusal.
TURN_SECONDS = 0.002
CALM_TURN_SECONDS = 0.010
CALM_SECONDS = 1.0
ShadowResult = Callable[[Answer, float], None]  # the answer, and the seconds that it took
ShadowFailure = Callable[[], None]
Result = Answer | ApiError | None


class Job:
    """A text that waits for a model. `expires` is a time.monotonic()."""

    __slots__ = ("expires", "future", "model", "text")

    def __init__(
        self, model: Classifier, text: str, expires: float, future: asyncio.Future[Answer | None]
    ) -> None:
        self.model, self.text, self.expires, self.future = model, text, expires, future


class ShadowJob:
    """A text for the arm that did not answer."""

    __slots__ = ("model", "on_failure", "on_result", "text")

    def __init__(
        self, model: Classifier, text: str, on_result: ShadowResult, on_failure: ShadowFailure
    ) -> None:
        self.model, self.text, self.on_result, self.on_failure = model, text, on_result, on_failure


class Engine:
    """Runs models for an event loop. Make it and call it in that loop; `close` it at the end."""

    def __init__(
        self, max_queue: int, max_shadow_queue: int, objective_s: float, threaded: bool = False
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._max_queue, self._max_shadow, self._objective = max_queue, max_shadow_queue, objective_s
        self._max_wait = QUEUE_SHARE * objective_s
        self._refused = -math.inf  # when a text was refused last
        self._urgent: deque[Job] = deque()
        self._normal: deque[Job] = deque()
        self._shadow: deque[ShadowJob] = deque()
        self._closed = self._awake = False
        # Texts that all batches of this worker together may have in the queue: so many keep the model busy,
        # and single tickets find at most these before them.
        self.width = max(2, int(BATCH_SHARE * max_queue)) if threaded else 2
        self._wake = threading.Event()
        self.pending = 0  # jobs submitted and not yet finished, the running one too
        self.text_seconds = 0.001  # from one answer to the next while texts wait, smoothed
        self._last_finish = 0.0  # 0 where nothing waited after it
        self.runs = 0  # texts that a model has scored for an answer
        self.expired = 0  # jobs that were not run: too late, or their caller had gone
        self.shadow_scored = self.shadow_dropped = self.shadow_failed = 0
        self._thread = threading.Thread(target=self._work, name="model", daemon=True) if threaded else None
        if self._thread:
            self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether a text submitted now would wait, so that its caller could leave meanwhile."""
        return self.pending > 0 or self._thread is not None

    @property
    def wait(self) -> float:
        """Seconds that a text submitted now would wait."""
        return self.pending * self.text_seconds

    @property
    def shadow_pending(self) -> int:
        return len(self._shadow)

    def submit(
        self, model: Classifier, text: str, expires: float, urgent: bool = False, patient: bool = False
    ) -> asyncio.Future[Answer | None]:
        """Queue a text.

        Args:
            model: that shall score it.
            text: cleaned.
            expires: the time.monotonic() after which nobody wants the answer; it is not computed then.
            urgent: goes before those that are not.
            patient: the caller said how long it waits, so that only that counts, not the objective.

        Returns:
            The answer; None for a text of which nothing is left. Cancel it when the caller has gone.

        Raises:
            ApiError: the queue is full, or the answer would come too late. Refused at once.
        """
        self.require_room(expires, patient, urgent)
        future = self._loop.create_future()
        self.pending += 1
        (self._urgent if urgent else self._normal).append(Job(model, text, expires, future))
        self._rouse()
        return future

    def require_room(self, expires: float, patient: bool, urgent: bool = False) -> None:
        """Refuse a text that would wait in vain. It need not be known yet.

        Args:
            expires: as of `submit`.
            patient: as of `submit`.
            urgent: as of `submit`.

        Raises:
            ApiError: the queue is full, or the answer would come too late.
        """
        # Before an urgent text are others of its kind, and those that are running.
        before = self.pending - len(self._normal) if urgent else self.pending
        wait = before * self.text_seconds
        allowed = expires - time.monotonic()
        if allowed <= 0:
            raise ApiError("deadline_exceeded")
        if before >= self._max_queue or wait > (allowed if patient else min(allowed, self._max_wait)):
            self._refused = time.monotonic()
            raise ApiError("overloaded", retry_after=wait)

    def shadow(
        self, model: Classifier, text: str, on_result: ShadowResult, on_failure: ShadowFailure
    ) -> None:
        """Score a text when there is nothing else to do; dropped and counted when too many wait."""
        if len(self._shadow) >= self._max_shadow:
            self.shadow_dropped += 1
            return
        self._shadow.append(ShadowJob(model, text, on_result, on_failure))
        self._rouse()

    def close(self) -> None:
        """Run nothing more."""
        self._closed = True
        if self._thread:
            self._wake.set()
            self._thread.join(5)

    def _rouse(self) -> None:
        if self._thread:
            self._wake.set()
        elif not self._awake:
            self._awake = True
            self._loop.call_soon(self._turn)

    def _turn(self) -> None:
        """In the loop: some steps, then whatever else the loop has to do, then the next."""
        self._awake = False
        begin = time.monotonic()
        calm = self.wait < self._max_wait / 2 and begin - self._refused > CALM_SECONDS
        end = begin + (CALM_TURN_SECONDS if calm else TURN_SECONDS)
        while not self._closed and self._step():
            # After a shadow text the loop looks first whether somebody has come who waits for an answer.
            if not (self._urgent or self._normal) or time.monotonic() > end:
                self._rouse()
                return

    def _work(self) -> None:
        """In the thread: steps as long as there are any, then sleep."""
        while not self._closed:
            if not self._step():
                self._wake.wait()
                self._wake.clear()  # after the waiting: what came in between is seen by the next step

    def _step(self) -> bool:
        """One answer, batch of answers or shadow score; False when there was nothing to do."""
        waiting = self._urgent or self._normal
        if waiting:
            self._answer(self._take(waiting))
        elif self._shadow:
            self._score_shadow(self._shadow.popleft())
        else:
            return False
        return True

    def _take(self, waiting: deque[Job]) -> list[Job]:
        """The next job, and on a GPU those behind it that are for the same model."""
        jobs = [waiting.popleft()]
        model = jobs[0].model
        while len(jobs) < model.max_batch and waiting and waiting[0].model is model:
            jobs.append(waiting.popleft())
        return jobs

    def _answer(self, jobs: list[Job]) -> None:
        started = time.monotonic()
        live = [job for job in jobs if job.expires > started and not job.future.cancelled()]
        results: list[Result] = self._score(live) if live else []
        now = time.monotonic()
        if live:
            # With what the loop did in between: under overload that is more than the model's time. One odd
            # sample, as of a machine that was asleep, must not refuse everybody.
            took = min((now - (self._last_finish or started)) / len(live), self._objective)
            self.text_seconds += 0.1 * (took - self.text_seconds)
        # Also where nobody was left to answer: what comes after an idle time must not count it.
        self._last_finish = now if self._urgent or self._normal else 0.0
        if self._thread:
            self._loop.call_soon_threadsafe(self._finish, jobs, live, results)
        else:
            self._finish(jobs, live, results)

    def _score(self, jobs: list[Job]) -> list[Result]:
        """Scores or refusals; a text that breaks the model harms no other of its batch."""
        try:
            return list(jobs[0].model.answers([job.text for job in jobs]))
        except Exception as error:
            if len(jobs) > 1:
                middle = len(jobs) // 2
                return self._score(jobs[:middle]) + self._score(jobs[middle:])
            log_failure(logger, "the model failed", error)
            return [ApiError("internal")]

    def _score_shadow(self, job: ShadowJob) -> None:
        started = time.monotonic()
        try:
            (answer,) = job.model.answers([job.text])
        except Exception as error:
            self.shadow_failed += 1
            logger.error("shadow scoring failed: %s", type(error).__name__)
            self._tell(job.on_failure)
            return
        self.shadow_scored += 1
        if answer is not None:
            self._tell(job.on_result, answer, time.monotonic() - started)

    def _tell(self, listener: Callable[..., None], *what: object) -> None:
        """What becomes of a record must not end the loop's turn."""
        try:
            listener(*what)
        except Exception as error:
            logger.error("a shadow score could not be recorded: %s", type(error).__name__)

    def _finish(self, jobs: list[Job], live: list[Job], results: list[Result]) -> None:
        """In the loop."""
        self.pending -= len(jobs)
        self.runs += len(live)
        self.expired += len(jobs) - len(live)
        for job, result in zip(live, results, strict=True):
            if not job.future.done():
                if isinstance(result, ApiError):
                    job.future.set_exception(result)
                else:
                    job.future.set_result(result)
        for job in jobs:
            if not job.future.done():  # not run: its time was over
                job.future.set_exception(ApiError("deadline_exceeded"))

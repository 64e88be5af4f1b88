"""What each path does with a request that the front has let in."""

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

from pydantic_core import to_json

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackConflict
from ticket_sentiment.params import Serve
from ticket_sentiment.rollout.assignment import ARMS
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.feedback import RETRY_S, FeedbackQueue, FeedbackStore
from ticket_sentiment.serving.logs import log_failure
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.openapi import openapi
from ticket_sentiment.serving.request import Request
from ticket_sentiment.serving.schemas import parse_batch, parse_batch_ticket, parse_feedback, parse_ticket
from ticket_sentiment.serving.scoring import Case, Scorer

logger = logging.getLogger(__name__)

FEEDBACK_SHARE = 0.25  # of the requests in flight may wait for the database; the others are for tickets
FEEDBACK_SECONDS = 10.0  # the store's own waits are shorter; nobody waits for it as for a ticket's answer
TOO_SLOW = "the event database did not answer in time; send it again: the same event is stored once"
BATCH_GRACE_SECONDS = 1.0  # for the tickets that a batch has in hand at its deadline
LEAST_PAUSE_SECONDS = 0.005  # until a ticket of a batch, for which there was no room, asks again


class Route(NamedTuple):
    """A path's handler, its one method, and whether it asks for a key."""

    name: str
    method: str
    handle: Callable[[Request, Callable[[int], None]], Awaitable[bytes]]
    closed: bool = True


class Routes:
    """The handlers. Each gets the request and `pay`, which takes tickets off the key's rate."""

    def __init__(self, serve: Serve, scorer: Scorer, store: FeedbackStore, metrics: Metrics) -> None:
        self._serve, self._scorer, self._metrics = serve, scorer, metrics
        self._feedback = FeedbackQueue(store, max(1, int(FEEDBACK_SHARE * serve.max_in_flight)))
        self._batches = 0
        self._places = asyncio.Semaphore(scorer.engine.width)
        self._openapi = to_json(openapi(serve))
        self.by_path = {
            "/v1/classify": Route("classify", "POST", self.classify),
            "/v1/classify/batch": Route("batch", "POST", self.batch),
            "/v1/feedback": Route("feedback", "POST", self.feedback),
            "/v1/models": Route("models", "GET", self.models),
            "/v1/openapi.json": Route("openapi", "GET", self.openapi, closed=False),
        }

    def close(self) -> None:
        """Take no more feedback."""
        self._feedback.close()

    async def classify(self, request: Request, pay: Callable[[int], None]) -> bytes:
        """POST /v1/classify."""
        pay(1)
        self._scorer.require_room(request)
        ticket = parse_ticket(await request.body(self._serve.max_body_bytes), self._serve.max_text_chars)
        work = self._scorer.classify(ticket, request)
        # With nothing in front of it the answer is there at the next turn: nobody can leave before.
        return to_json(await (request.while_waiting(work) if self._scorer.may_wait(ticket) else work))

    async def batch(self, request: Request, pay: Callable[[int], None]) -> bytes:
        """POST /v1/classify/batch: each ticket has its own answer or its own error, in their order."""
        pay(1)
        if self._batches >= self._serve.max_batches:  # before its body is read, which is the largest there is
            raise ApiError("overloaded", "too many batches are in progress", retry_after=1)
        self._batches += 1
        try:
            items = parse_batch(
                await request.body(self._serve.max_batch_body_bytes), self._serve.max_batch_tickets
            )
            if len(items) > 1:
                pay(len(items) - 1)
            request.patient = True  # a batch asks for throughput: its deadline counts, not the objective
            return to_json({"results": await self._answers(items, request)})
        finally:
            self._batches -= 1
            request.arm = request.backend = ""  # each ticket had its own

    async def _answers(self, items: list[Any], request: Request) -> list[dict[str, Any]]:
        """What becomes of each ticket of a batch."""
        results: list[dict[str, Any]] = [{}] * len(items)

        async def everything() -> None:
            cases = await self._cases(items, request) if self._scorer.remote is not None else {}
            chosen = await self._scorer.choose_remote([*cases.values()], request)
            asked = time.monotonic()
            for case in chosen:
                case.began = asked
            # What is answered here need not wait for the other service; what it leaves unanswered comes last.
            todo = iter(sorted(range(len(items)), key=lambda n: n in cases and cases[n].route != "local"))
            async with asyncio.TaskGroup() as group:
                sent = group.create_task(self._scorer.forward(chosen, request)) if chosen else None
                for _ in range(min(self._scorer.engine.width, len(items))):
                    group.create_task(self._some(todo, items, cases, sent, request, results))

        await request.while_waiting(everything(), BATCH_GRACE_SECONDS)
        return results

    async def _some(
        self, todo: Iterator[int], items: list[Any], cases: Mapping[int, Case],
        sent: asyncio.Task[None] | None, request: Request, results: list[dict[str, Any]],
    ) -> None:  # fmt: skip
        for position in todo:
            case = cases.get(position)
            if case is not None and case.route != "local":
                assert sent is not None
                await sent
            results[position] = await self._of_batch(items[position], case, request)
            await asyncio.sleep(0)  # masking and the cache never wait: others have their turn here

    async def _cases(self, items: list[Any], request: Request) -> dict[int, Case]:
        """Prepared tickets by position, to choose of. What is wrong with the others `_of_batch` says."""
        cases = {}
        for position, item in enumerate(items):
            if time.monotonic() >= request.expires:
                break
            with contextlib.suppress(Exception):
                cases[position] = self._case(item, request)
            await asyncio.sleep(0)
        return cases

    def _case(self, item: Any, request: Request) -> Case:
        return self._scorer.prepare(parse_batch_ticket(item, self._serve.max_text_chars), request)

    async def _of_batch(self, item: Any, case: Case | None, request: Request) -> dict[str, Any]:
        """What becomes of a ticket of a batch.

        Its latency is its own: how long those before it took says nothing of its arm. For the same reason one
        that was not begun at the deadline is no failure of its arm; one that the other service was asked for
        and nobody answered is, as it would be alone.
        """
        try:
            untouched = case is None or (case.route == "local" and case.found is None)
            if time.monotonic() >= request.expires and untouched:
                raise ApiError("deadline_exceeded")
            return await self._answered(case or self._case(item, request), request)
        except ApiError as error:
            return self._unclassified(item, error)
        except Exception as error:
            log_failure(logger, "a ticket of a batch failed", error, request_id=request.request_id)
            return self._unclassified(item, ApiError("internal"))

    async def _answered(self, case: Case, request: Request) -> dict[str, Any]:
        """As of `Scorer.answer`; while single tickets fill the queue, as long as the batch may last.

        What is waited for here is no latency of the ticket's arm, nor is its refusal the arm's.
        """
        while True:
            try:
                async with self._place(case, request):
                    if case.route != "remote":
                        case.began = time.monotonic()
                    return await self._scorer.answer(case, request)
            except ApiError as error:
                pause = max(self._scorer.engine.wait, LEAST_PAUSE_SECONDS)
                if error.code != "overloaded" or time.monotonic() + pause >= request.expires:
                    raise
                refusal = error
            await asyncio.sleep(pause)
            if time.monotonic() >= request.expires:
                raise refusal

    @contextlib.asynccontextmanager
    async def _place(self, case: Case, request: Request) -> AsyncIterator[None]:
        """One of the places that all batches together have in the queue; only what the model reads needs it.

        Raises:
            ApiError: the batch's time is over.
        """
        if case.found is not None:
            yield
            return
        if self._places.locked():
            try:
                async with asyncio.timeout(max(0.0, request.expires - time.monotonic())):
                    await self._places.acquire()
            except TimeoutError:
                raise ApiError("deadline_exceeded") from None
        else:
            await self._places.acquire()
        try:
            yield
        finally:
            self._places.release()

    def _unclassified(self, item: Any, error: ApiError) -> dict[str, Any]:
        self._metrics.refused(error.code)
        return {"ticket_id": _identifier(item), "error": error.body()}

    async def feedback(self, request: Request, pay: Callable[[int], None]) -> bytes:
        """POST /v1/feedback: answered when it is on the disk."""
        pay(1)
        sent = parse_feedback(await request.body(self._serve.max_body_bytes))
        at = sent.at or datetime.now(UTC)
        event = Feedback(at, sent.ticket_id, sent.source, sent.event_id, sent.label)
        expires = request.expires if request.patient else request.started + FEEDBACK_SECONDS
        try:
            async with asyncio.timeout(min(FEEDBACK_SECONDS, expires - time.monotonic())):
                with request.trace.child("feedback") if request.trace else contextlib.nullcontext():
                    result = await self._feedback.put(event)
        except TimeoutError:
            raise ApiError("events_unavailable", TOO_SLOW, retry_after=RETRY_S) from None
        except EventStoreUnavailable:
            raise ApiError("events_unavailable", retry_after=RETRY_S) from None
        except FeedbackConflict:
            raise ApiError("feedback_conflict") from None
        except TicketSentimentError as error:
            raise ApiError("invalid_field", str(error)) from None
        return to_json({"ticket_id": sent.ticket_id, "created": result.created, "label": result.label})

    async def models(self, request: Request, pay: Callable[[int], None]) -> bytes:
        """GET /v1/models: what is loaded, and in which arm it is now."""
        split = self._scorer.arms.split
        loaded = [
            {"arm": arm, **model.describe()}
            for arm, model in zip(ARMS, (split.champion, split.challenger), strict=True)
            if model is not None
        ]
        state = split.state
        rollout = state and {
            "epoch": state.epoch,
            "challenger_share": state.challenger_share,
            "shadow": state.shadow,
            "since": state.since,
        }
        return to_json({"models": loaded, "rollout": rollout})

    async def openapi(self, request: Request, pay: Callable[[int], None]) -> bytes:
        """GET /v1/openapi.json."""
        return self._openapi


def _identifier(item: Any) -> str | None:
    """What a bad ticket calls itself, if that is a proper identifier."""
    found = item.get("ticket_id") if isinstance(item, dict) else None
    if isinstance(found, str) and len(found) <= 200 and found.isprintable():
        return found
    return None

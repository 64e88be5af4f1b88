"""The other service: one of this product on a GPU, asked over its own public interface.

It is an extra that may be away, slow or wrong, never a need: whatever comes of a call, the ticket can still
be answered here. It is asked by model version (the header X-Ticket-Sentiment-Forwarded), so that it needs no
customer, no ticket's name and no rollout state to answer for the arm that was chosen here; and it records
nothing, as that is done where the ticket came in.
"""

import asyncio
import itertools
import logging
import math
import time
from collections.abc import Collection, Mapping, Sequence
from typing import Annotated, NamedTuple

import aiohttp
from opentelemetry.trace import SpanKind
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import to_json

from ticket_sentiment.cache.answer import BACKEND, Answer
from ticket_sentiment.cache.breaker import CircuitBreaker
from ticket_sentiment.params import Label
from ticket_sentiment.params import Remote as RemoteSettings
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.request import FORWARDED, Request
from ticket_sentiment.serving.schemas import Probabilities
from ticket_sentiment.serving.tracing import traceparent

logger = logging.getLogger(__name__)

MIN_SECONDS = 0.01  # a call that has less is not made
MISSING_SECONDS = 60.0  # between two questions for a version that was not loaded over there
MAX_RETRY_AFTER_SECONDS = 60.0
_CALLS = 32  # under way at once, a connection each; beyond, the other service is not asked
_IDLE_SECONDS = 4.0  # that a connection is kept: less than any service does, one of an older build too (5)
_ANSWER_BYTES = 2048  # of one ticket; ours have about 400
_HEAD_BYTES = 1024
# Whether a call's outcome counts for the circuit breaker. Others say nothing of the other service.
_FAILED = frozenset({"timeout", "unreachable", "error", "garbage"})
_ALIVE = frozenset({"answered", "busy", "refused", "mismatch"})


class _Reply(BaseModel):
    """What is read of schemas.Classified. A key that is not known is of a newer release."""

    model_config = ConfigDict(strict=True, allow_inf_nan=False)

    ticket_id: str
    label: Label
    probabilities: Probabilities
    model_version: str
    bundle_digest: str = Field(pattern="^[0-9a-f]{64}$")
    backend: str = Field(pattern=f"^{BACKEND}$")
    cached: bool


class _Problem(BaseModel):
    code: str


class _Unanswered(BaseModel):
    model_config = ConfigDict(strict=True)

    error: _Problem


class _Replies(BaseModel):
    results: list[Annotated[_Reply | _Unanswered, Field(union_mode="left_to_right")]]


class RemoteAnswer(NamedTuple):
    """The answer, the bundle that gave it, and whether it came from the other service's cache."""

    answer: Answer
    digest: str
    cached: bool


class _Outcome(NamedTuple):
    name: str
    answers: Sequence[RemoteAnswer | None] = ()


class Remote:
    """A client of the other service. For one event loop: make it, use it and close it there."""

    def __init__(self, url: str, key: str | None, settings: RemoteSettings, metrics: Metrics) -> None:
        """Connects at the first call.

        Args:
            url: to which /v1/classify is added.
            key: an API key of it; None where it has none.
            settings: `serve.remote`.
            metrics: that count calls.
        """
        self.min_batch, self._max_batch = settings.min_batch, settings.max_batch
        self._single, self._batch = f"{url}/v1/classify", f"{url}/v1/classify/batch"
        self._timeout, self._pause = settings.timeout_ms / 1000, settings.breaker_pause_s
        self._breaker = CircuitBreaker(settings.breaker_failures, settings.breaker_pause_s)
        self._metrics = metrics
        self._missing: dict[str, float] = {}  # version: when to ask for it again
        self._rest_until = 0.0
        self._calls = self._failures = 0
        self._marks = itertools.count(1)
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=_CALLS, keepalive_timeout=_IDLE_SECONDS),
            timeout=aiohttp.ClientTimeout(total=None),  # each call has its own
            headers={"Content-Type": "application/json", "Accept-Encoding": "identity"}
            | ({"Authorization": f"Bearer {key}"} if key else {}),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
        )

    @property
    def available(self) -> bool:
        """Whether it is being asked; False while the circuit breaker is open or it wants to be left alone."""
        return not self._breaker.open and time.monotonic() >= self._rest_until

    async def ask(
        self, texts: Sequence[str], versions: Collection[str], seconds: float, request: Request
    ) -> list[RemoteAnswer | None]:
        """The answers to cleaned texts, within `seconds`; None for what has to be answered here.

        Args:
            texts: one goes as urgent; several go in calls of `max_batch`, side by side.
            versions: first the one that shall answer; it is not asked unless it holds the others too, so
                that on trial both arms are answered by equal hardware.
            seconds: at most; `timeout_ms` bounds each call too.
            request: whose identifiers go with the calls.
        """
        chunks = [texts[start : start + self._max_batch] for start in range(0, len(texts), self._max_batch)]
        if len(chunks) == 1:
            return await self._call(texts, versions, seconds, request)
        answers = await asyncio.gather(*(self._call(chunk, versions, seconds, request) for chunk in chunks))
        return list(itertools.chain.from_iterable(answers))

    async def close(self) -> None:
        """Disconnect."""
        await self._session.close()

    def _reason_not_to(self, versions: Collection[str], seconds: float) -> str | None:
        """The last thing asked is the breaker, which a call must follow."""
        now = time.monotonic()
        if any(self._missing.get(version, 0.0) > now for version in versions):
            return "mismatch_known"
        if seconds < MIN_SECONDS:
            return "no_time"
        if self._calls >= _CALLS:
            return "full"
        if now < self._rest_until:
            return "resting"
        return None if self._breaker.allow() else "open"

    async def _call(
        self, texts: Sequence[str], versions: Collection[str], seconds: float, request: Request
    ) -> list[RemoteAnswer | None]:
        nothing: list[RemoteAnswer | None] = [None] * len(texts)
        if reason := self._reason_not_to(versions, seconds):
            self._metrics.remote(reason, None)
            return nothing
        version = next(iter(versions))
        if request.trace is None:
            parent = request.outgoing or (request.traceparent.decode() if request.traceparent else None)
            outcome = await self._settled(texts, version, seconds, request.request_id, parent)
        else:
            with request.trace.child("remote", SpanKind.CLIENT) as span:
                parent = traceparent(span)
                outcome = await self._settled(texts, version, seconds, request.request_id, parent)
                span.set_attribute("ticket_sentiment.outcome", outcome.name)
        return list(outcome.answers) or nothing

    async def _settled(
        self, texts: Sequence[str], version: str, seconds: float, request_id: str, parent: str | None
    ) -> _Outcome:
        """A call; breaker and metrics know what came of it."""
        outcome = _Outcome("abandoned")  # where the caller goes meanwhile
        self._calls += 1
        started = time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, self._timeout)):
                outcome = await self._post(texts, version, seconds, request_id, parent)
        except TimeoutError:
            outcome = self._late(seconds)
        except Exception as error:  # an answer can be had without it, whatever happened to it
            outcome = _Outcome("garbage" if isinstance(error, ValidationError) else "unreachable")
            self._complain(type(error).__name__)
        finally:
            self._calls -= 1
            self._settle(outcome.name, version)
            self._metrics.remote(outcome.name, time.monotonic() - started)
        return outcome

    def _late(self, seconds: float) -> _Outcome:
        """A call that its caller's deadline cut short is no sign of a slow service."""
        if seconds < self._timeout:
            return _Outcome("cut_short")
        self._complain("too slow")
        return _Outcome("timeout")

    async def _post(
        self, texts: Sequence[str], version: str, seconds: float, request_id: str, parent: str | None
    ) -> _Outcome:
        marks = [str(next(self._marks)) for _ in texts]
        # The mark comes back as the ticket's name, so that an answer to another call would be noticed.
        tickets = [{"ticket_id": mark, "text": text} for mark, text in zip(marks, texts, strict=True)]
        body = tickets[0] | {"priority": "urgent"} if len(texts) == 1 else {"tickets": tickets}
        url = self._single if len(texts) == 1 else self._batch
        headers = {
            FORWARDED.decode(): version,
            "X-Request-Id": request_id,
            "X-Request-Timeout-Ms": str(max(1, int(1000 * min(seconds, self._timeout)))),
        }
        if parent:
            headers["traceparent"] = parent
        async with self._session.post(
            url, data=to_json(body), headers=headers, allow_redirects=False
        ) as response:
            limit = _HEAD_BYTES + _ANSWER_BYTES * len(texts)
            raw = bytearray()
            async for chunk in response.content.iter_any():
                raw += chunk
                if len(raw) > limit:
                    self._complain("an answer that is too long")
                    return _Outcome("garbage")
            if response.status != 200:
                return self._refused(response.status, response.headers, seconds)
        return self._read(bytes(raw), version, marks)

    def _refused(self, status: int, headers: Mapping[str, str], seconds: float) -> _Outcome:
        if status == 409:
            return _Outcome("mismatch")
        if status == 504:  # it kept to the time that it was given
            return self._late(seconds)
        self._complain(f"status {status}")
        if status in (429, 503):
            wait = headers.get("Retry-After", "")
            self._rest(min(float(wait), MAX_RETRY_AFTER_SECONDS) if wait.isdecimal() else 0.0)
        elif status < 500 and status not in (413, 422):  # it is the setting that is wrong, not this ticket
            self._rest(self._pause)
        return _Outcome("busy" if status == 429 else "error" if status >= 500 else "refused")

    def _read(self, raw: bytes, version: str, marks: Sequence[str]) -> _Outcome:
        """The answers in a body that has them.

        Raises:
            ValidationError: it is no answer to these tickets.
        """
        replies: Sequence[_Reply | _Unanswered]
        if len(marks) == 1:
            replies = [_Reply.model_validate_json(raw)]
        else:
            replies = _Replies.model_validate_json(raw).results
        given = [reply for reply in replies if isinstance(reply, _Reply)]
        if any(reply.model_version != version for reply in given):
            return _Outcome("mismatch")
        sound = len(replies) == len(marks) and all(
            isinstance(reply, _Unanswered) or (reply.ticket_id == mark and _is_sound(reply))
            for reply, mark in zip(replies, marks, strict=True)
        )
        if not sound:
            self._complain("an answer that is none")
            return _Outcome("garbage")
        refusals = [reply.error.code for reply in replies if isinstance(reply, _Unanswered)]
        if "model_not_loaded" in refusals:
            return _Outcome("mismatch")
        if set(refusals) == {"overloaded"} and not given:  # as the status 503 of one that is refused whole
            self._complain("overload")
            return _Outcome("error")
        return _Outcome("answered", [_answer(reply) for reply in replies])

    def _rest(self, seconds: float) -> None:
        self._rest_until = max(self._rest_until, time.monotonic() + seconds)

    def _settle(self, outcome: str, version: str) -> None:
        if outcome == "mismatch":
            if version not in self._missing:
                logger.warning("the other service does not hold version %s: it is answered here", version)
            self._missing[version] = time.monotonic() + MISSING_SECONDS
        elif outcome == "answered":
            self._missing.pop(version, None)
        if outcome in _FAILED:
            self._breaker.failed()
        elif outcome in _ALIVE:
            self._breaker.succeeded()
        else:
            self._breaker.abandoned()

    def _complain(self, what: str) -> None:
        self._failures += 1
        if self._failures & (self._failures - 1) == 0:  # the 1st, 2nd, 4th ...: the log stays short
            logger.warning("the other service failed (%s), %d times since the start", what, self._failures)


def _is_sound(reply: _Reply) -> bool:
    of = reply.probabilities
    values = (of.negative, of.neutral, of.positive)
    return math.isclose(sum(values), 1, abs_tol=0.001) and getattr(of, reply.label) == max(values)


def _answer(reply: _Reply | _Unanswered) -> RemoteAnswer | None:
    if isinstance(reply, _Unanswered):
        return None
    of = reply.probabilities
    answer = Answer(reply.label, (of.negative, of.neutral, of.positive), reply.backend)
    return RemoteAnswer(answer, reply.bundle_digest, reply.cached)

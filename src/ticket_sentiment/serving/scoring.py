"""From a ticket to its answer: masking, assignment, cache, model or the other service, records."""

import asyncio
import logging
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Protocol

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.cache.key import cache_key
from ticket_sentiment.events.types import UNSEEN, Exposure, Failure, Prediction
from ticket_sentiment.labels import LABELS
from ticket_sentiment.rollout.assignment import Arm, unit
from ticket_sentiment.serving.arms import Arms, Split
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.logs import log_failure
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.request import Request
from ticket_sentiment.serving.schemas import Route, Ticket
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean, pseudonym

if TYPE_CHECKING:  # it imports aiohttp, which only a service that has another one needs
    from ticket_sentiment.serving.remote import Remote

logger = logging.getLogger(__name__)

# Of a request's time, what the other service never gets; beside it, twice what the CPU's work will take.
RESERVE_SECONDS = 0.05

# Of a shared cache at a time, for those who may go to the other service: fewer than it takes at once
# (cache.shared), so that single tickets are looked up beside them.
LOOK_UPS = 8

# Codes of refusals that are the model's or its slowness' doing. What is overload says nothing of one arm.
OWED = ("internal", "deadline_exceeded")
# A timer of the event loop may fire this much before its time (uvloop counts milliseconds).
TIMER_SECONDS = 0.005


class Records(Protocol):
    """The part of events.store.EventStore that a prediction needs."""

    def predicted(self, event: Prediction) -> bool: ...
    def exposed(self, event: Exposure) -> bool: ...
    def failed(self, event: Failure) -> bool: ...


class Case:
    """A ticket on its way to its answer."""

    __slots__ = (
        "answered", "arm", "began", "cached", "digest", "found", "model", "route", "split", "text", "ticket",
        "unit",
    )  # fmt: skip

    def __init__(
        self, ticket: Ticket, text: str, split: Split, arm: Arm, model: Classifier, began: float
    ) -> None:
        self.ticket, self.text, self.split, self.arm, self.model = ticket, text, split, arm, model
        self.began = began  # a time.monotonic() from which its latency counts; a batch sets its own
        self.answered: float | None = None  # and until which, where the other service answered
        self.found: Answer | None = None  # of a cache or of the other service
        self.digest, self.cached = model.digest, False
        self.route: Route = "local"
        self.unit: str | None = None  # as of its exposure; None where it is not on trial

    @property
    def urgent(self) -> bool:
        return self.ticket.priority == "urgent"

    @property
    def key(self) -> str:
        """Of the cache, under the digest of the model that was chosen here."""
        return cache_key(self.text, self.model.folds_case)


class Scorer:
    """Answers tickets. One for a worker, in its event loop."""

    def __init__(
        self,
        arms: Arms,
        engine: Engine,
        records: Records,
        cache: PredictionCache,
        metrics: Metrics,
        abstain_below: float,
        remote: "Remote | None" = None,
    ) -> None:
        self.arms, self.engine, self._records, self._cache = arms, engine, records, cache
        self._metrics, self._abstain_below, self.remote = metrics, abstain_below, remote
        self.remote_answers = self.remote_fallbacks = 0
        self._look_ups = asyncio.Semaphore(LOOK_UPS)

    def may_wait(self, ticket: Ticket) -> bool:
        """Whether a ticket that is asked for now may wait for something, so that its caller can leave."""
        return (
            self.engine.busy
            or self._cache.may_wait
            or (self.remote is not None and ticket.priority == "urgent")
        )

    def require_room(self, request: Request) -> None:
        """Refuse a ticket unread where it could only wait in vain.

        To read and mask it costs ten times as much as this refusal, time that under overload is taken from
        answers. Where a cache or the other service could have its answer it must be read.

        Raises:
            ApiError: the worker is overloaded.
        """
        if self.remote is None and not self._cache.enabled:
            self.engine.require_room(request.expires, request.patient)

    def prepare(self, ticket: Ticket, request: Request) -> Case:
        """Mask the text, take off its greeting and signature, as of those the model learnt from; assign it.

        Raises:
            ApiError: nothing is left of the text, or a version is asked for that is not loaded.
        """
        text = canonical(clean(ticket.text))
        if not text:
            raise ApiError("empty_text")
        split = self.arms.split
        met = None
        if request.forwarded is None:
            arm, model = split.choose(ticket.customer_id, ticket.ticket_id)
            met = self._expose(ticket, split, arm)
        else:
            found = self.arms.of_version(request.forwarded)
            if found is None:
                raise ApiError("model_not_loaded")
            arm, model = found
        request.arm, request.backend = arm, model.backend
        case = Case(ticket, text, split, arm, model, request.started)
        case.unit = met
        return case

    async def classify(self, ticket: Ticket, request: Request) -> dict[str, Any]:
        """The answer to one ticket, as schemas.Classified.

        Raises:
            ApiError: nothing is left of the text, the worker is overloaded, or the time is over.
        """
        case = self.prepare(ticket, request)
        if self.remote is not None and case.urgent and (chosen := await self.choose_remote([case], request)):
            await self.forward(chosen, request)
        return await self.answer(case, request)

    async def answer(self, case: Case, request: Request) -> dict[str, Any]:
        """The answer to a prepared ticket, made here unless the other service has given it.

        Raises:
            ApiError: the worker is overloaded, or the time is over.
        """
        answer = case.found
        if answer is None:
            try:
                answer, case.cached = await self._score(case, request)
            except BaseException as error:
                if case.unit is not None:
                    self._record_failure(case, request, error)
                raise
        request.backend = answer.backend
        confidence = answer.confidence
        abstain = confidence < self._abstain_below
        if request.forwarded is None:  # else it is counted and recorded where it came in
            self._metrics.answered(case.arm, answer.label, confidence, abstain)
            try:
                self._record(case, request, answer)
            except Exception as error:  # there is an answer, whatever becomes of its record
                log_failure(
                    logger, "a prediction could not be recorded", error, request_id=request.request_id
                )
        return {
            "ticket_id": case.ticket.ticket_id,
            "label": answer.label,
            "probabilities": dict(zip(LABELS, answer.probabilities, strict=True)),
            "confidence": confidence,
            "abstain": abstain,
            "model_version": case.model.version,
            "bundle_digest": case.digest,
            "arm": case.arm,
            "backend": answer.backend,
            "cached": case.cached,
            "route": case.route,
        }

    async def choose_remote(self, cases: Sequence[Case], request: Request) -> list[Case]:
        """Those that shall go to the other service: urgent ones, and all of many that no cache knows.

        A forwarded request goes nowhere else, so that two services that name each other make no circle.
        """
        remote = self.remote
        if remote is None or request.forwarded is not None:
            return []
        candidates = [case for case in cases if case.urgent or len(cases) >= remote.min_batch]

        async def look_up(case: Case) -> None:
            async with self._look_ups:
                case.found = await self._cache.look_up(case.key, case.digest)
                case.cached = case.found is not None

        await asyncio.gather(*map(look_up, candidates))
        unknown = [case for case in candidates if case.found is None]
        chosen = [case for case in unknown if case.urgent or len(unknown) >= remote.min_batch]
        for case in chosen:
            case.route = "fallback"  # until the other service has answered
        return chosen

    async def forward(self, cases: Sequence[Case], request: Request) -> None:
        """Ask the other service, as long as its caller's deadline leaves this one time to answer them all.

        What it answers is not kept in the cache here: two precisions of one model differ by a little, and
        under the digest of one bundle there must be no answer of another. It has a cache of its own.
        """
        assert self.remote is not None
        here = (self.engine.pending + len(cases)) * self.engine.text_seconds
        seconds = request.expires - time.monotonic() - RESERVE_SECONDS - 2 * here
        split = cases[0].split
        trial = (split.champion, split.challenger) if split.on_trial else ()
        groups: dict[str, list[Case]] = {}
        for case in cases:
            groups.setdefault(case.model.version, []).append(case)

        async def ask(version: str, group: list[Case]) -> None:
            versions = dict.fromkeys((version, *(model.version for model in trial if model)))
            assert self.remote is not None
            answers = await self.remote.ask([case.text for case in group], versions, seconds, request)
            now = time.monotonic()
            for case, found in zip(group, answers, strict=True):
                if found is None:
                    self.remote_fallbacks += 1
                else:
                    case.found, case.digest, case.cached = found
                    case.route, case.answered = "remote", now
                    self.remote_answers += 1

        await asyncio.gather(*(ask(version, group) for version, group in groups.items()))

    async def _score(self, case: Case, request: Request) -> tuple[Answer, bool]:
        trace = request.trace

        async def compute() -> Answer:
            answer = await self.engine.submit(
                case.model, case.text, request.expires, case.urgent, request.patient
            )
            if answer is None:
                raise ApiError("empty_text")  # an error, so that it is not cached
            return answer

        async def traced() -> Answer:
            assert trace is not None
            with trace.child("model") as span:
                span.set_attribute("ticket_sentiment.model_version", case.model.version)
                return await compute()

        key = case.key if self._cache.enabled else ""  # it is work, which a cache that is off needs not
        if trace is None:
            return await self._cache.get_or_compute(key, case.digest, compute, case.urgent)
        with trace.child("cache") as span:
            answer, cached = await self._cache.get_or_compute(key, case.digest, traced, case.urgent)
            span.set_attribute("ticket_sentiment.cached", cached)
            return answer, cached

    def _expose(self, ticket: Ticket, split: Split, arm: Arm) -> str | None:
        """Note who met which arm, before the arm answers: one that fails was met too. Returns the unit."""
        name = unit(ticket.customer_id, ticket.ticket_id)
        if not split.on_trial or name is None:
            return None
        met = pseudonym(name)
        try:
            self._records.exposed(Exposure(datetime.now(UTC), met, arm, split.epoch))
        except Exception as error:
            log_failure(logger, "an exposure could not be recorded", error)
        return met

    def _record_failure(self, case: Case, request: Request, error: BaseException) -> None:
        """Note an answer that an arm on trial owed; not to a caller who left or whose text is none."""
        if isinstance(error, ApiError):
            code = error.code
        elif isinstance(error, Exception):
            code = "internal"
        elif time.monotonic() >= request.expires - TIMER_SECONDS:  # cancelled by the deadline
            code = "deadline_exceeded"
        else:
            return
        if code not in OWED or case.unit is None:
            return
        try:
            self._records.failed(
                Failure(datetime.now(UTC), request.request_id, case.unit, case.arm, case.split.epoch, code)
            )
        except Exception as failure:  # the refusal goes out, whatever becomes of its record
            log_failure(logger, "a failure could not be recorded", failure, request_id=request.request_id)

    def _record(self, case: Case, request: Request, answer: Answer) -> None:
        at = datetime.now(UTC)
        ticket, split, model = case.ticket, case.split, case.model
        customer = pseudonym(ticket.customer_id) if ticket.customer_id else None

        def prediction(
            arm: Arm, digest: str, version: str, answer: Answer, cached: bool, seconds: float, shadow: bool
        ) -> Prediction:
            return Prediction(
                at, request.request_id, ticket.ticket_id, customer, arm, split.epoch, digest,
                version, answer.label, answer.probabilities, answer.confidence,
                answer.confidence < self._abstain_below, cached, answer.backend, 1000 * seconds, shadow,
                case.text, case.unit, ticket.channel,
            )  # fmt: skip

        seconds = (case.answered or time.monotonic()) - case.began
        self._records.predicted(
            prediction(case.arm, case.digest, model.version, answer, case.cached, seconds, False)
        )
        if split.shadow:
            other, shadow = split.other(case.arm)
            assert shadow is not None

            def scored(answer: Answer, seconds: float) -> None:
                unseen = prediction(other, shadow.digest, shadow.version, answer, False, seconds, True)
                # Here and there it is computed with other numbers: no pair, but both arms were heard.
                self._records.predicted(unseen._replace(unit=None) if case.route == "remote" else unseen)

            def failed() -> None:
                if case.unit is not None:
                    self._records.failed(
                        Failure(at, request.request_id, case.unit, other, split.epoch, UNSEEN)
                    )

            self.engine.shadow(shadow, case.text, scored, failed)

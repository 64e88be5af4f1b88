"""From a ticket to its answer: masking, assignment, cache, model, records."""

import logging
import time
from datetime import UTC, datetime
from typing import Any, Protocol

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.cache.cache import PredictionCache
from ticket_sentiment.cache.key import cache_key
from ticket_sentiment.events.types import Exposure, Prediction
from ticket_sentiment.labels import LABELS
from ticket_sentiment.rollout.assignment import Arm, unit
from ticket_sentiment.serving.arms import Arms, Split
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.serving.engine import Engine
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.logs import log_failure
from ticket_sentiment.serving.metrics import Metrics
from ticket_sentiment.serving.request import Request
from ticket_sentiment.serving.schemas import Ticket
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean, pseudonym

logger = logging.getLogger(__name__)


class Records(Protocol):
    """The part of events.store.EventStore that a prediction needs."""

    def predicted(self, event: Prediction) -> bool: ...
    def exposed(self, event: Exposure) -> bool: ...


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
    ) -> None:
        self.arms, self.engine, self._records, self._cache = arms, engine, records, cache
        self._metrics, self._abstain_below = metrics, abstain_below

    @property
    def may_wait(self) -> bool:
        """Whether a ticket that is asked for now may wait for something, so that its caller can leave."""
        return self.engine.busy or self._cache.may_wait

    def require_room(self, request: Request) -> None:
        """Refuse a ticket unread where it could only wait in vain.

        To read and mask it costs ten times as much as this refusal, time that under overload is taken from
        answers. Where a cache could have its answer it must be read.

        Raises:
            ApiError: the worker is overloaded.
        """
        if not self._cache.enabled:
            self.engine.require_room(request.expires, request.patient)

    async def classify(self, ticket: Ticket, request: Request) -> dict[str, Any]:
        """The answer to one ticket, as schemas.Classified.

        The text is masked and loses its greeting and signature first, as those the model learnt from did.

        Raises:
            ApiError: nothing is left of the text, the worker is overloaded, or the time is over.
        """
        text = canonical(clean(ticket.text))
        if not text:
            raise ApiError("empty_text")
        split = self.arms.split
        arm, model = split.choose(ticket.customer_id, ticket.ticket_id)
        request.arm, request.backend = arm, model.backend
        self._expose(ticket, split, arm)
        answer, cached = await self._answer(model, text, ticket, request)
        request.backend = answer.backend
        confidence = answer.confidence
        abstain = confidence < self._abstain_below
        self._metrics.answered(arm, answer.label, confidence, abstain)
        try:
            self._record(ticket, request, split, arm, model, text, answer, cached)
        except Exception as error:  # there is an answer, whatever becomes of its record
            log_failure(logger, "a prediction could not be recorded", error, request_id=request.request_id)
        return {
            "ticket_id": ticket.ticket_id,
            "label": answer.label,
            "probabilities": dict(zip(LABELS, answer.probabilities, strict=True)),
            "confidence": confidence,
            "abstain": abstain,
            "model_version": model.version,
            "bundle_digest": model.digest,
            "arm": arm,
            "backend": answer.backend,
            "cached": cached,
        }

    async def _answer(
        self, model: Classifier, text: str, ticket: Ticket, request: Request
    ) -> tuple[Answer, bool]:
        async def compute() -> Answer:
            answer = await self.engine.submit(
                model, text, request.expires, ticket.priority == "urgent", request.patient
            )
            if answer is None:
                raise ApiError("empty_text")  # an error, so that it is not cached
            return answer

        return await self._cache.get_or_compute(cache_key(text, model.folds_case), model.digest, compute)

    def _expose(self, ticket: Ticket, split: Split, arm: Arm) -> None:
        """Note who met which arm, before the arm answers: one that fails was met too."""
        name = unit(ticket.customer_id, ticket.ticket_id)
        if not split.on_trial or name is None:
            return
        try:
            self._records.exposed(Exposure(datetime.now(UTC), pseudonym(name), arm, split.epoch))
        except Exception as error:
            log_failure(logger, "an exposure could not be recorded", error)

    def _record(
        self, ticket: Ticket, request: Request, split: Split, arm: Arm, model: Classifier, text: str,
        answer: Answer, cached: bool,
    ) -> None:  # fmt: skip
        at = datetime.now(UTC)
        customer = pseudonym(ticket.customer_id) if ticket.customer_id else None

        def prediction(
            arm: Arm, model: Classifier, answer: Answer, cached: bool, seconds: float, shadow: bool
        ) -> Prediction:
            return Prediction(
                at, request.request_id, ticket.ticket_id, customer, arm, split.epoch, model.digest,
                model.version, answer.label, answer.probabilities, answer.confidence,
                answer.confidence < self._abstain_below, cached, answer.backend, 1000 * seconds, shadow, text,
            )  # fmt: skip

        self._records.predicted(
            prediction(arm, model, answer, cached, time.monotonic() - request.started, False)
        )
        if split.shadow:
            other, shadow = split.other(arm)
            assert shadow is not None

            def scored(answer: Answer, seconds: float) -> None:
                self._records.predicted(prediction(other, shadow, answer, False, seconds, True))

            self.engine.shadow(shadow, text, scored)

"""What the event database keeps: predictions, exposures, failures, feedback. No customer id or unmasked text.

They are made while a request waits, so they are tuples, made without a check: what of the first three cannot
be stored is dropped and counted by the writer, feedback is refused with a message by `check`.
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.labels import LABELS
from ticket_sentiment.rollout.assignment import Arm

MAX_IDENTIFIER = 200
EARLIEST = 2000  # year; times near the first one have no UTC
MAX_CLOCK_SKEW = timedelta(minutes=5)


class EventStoreUnavailable(Unavailable):
    """The event database does not answer: try again later. Nothing is wrong with what was asked."""


class FeedbackConflict(TicketSentimentError):
    """The same ticket, source and event id came before with another label."""


class Prediction(NamedTuple):
    """One model's answer to one ticket.

    Attributes:
        at: when it was answered, with a time zone; of a shadow answer, when the one was that went out.
        request_id: the same for the champion's answer and the challenger's shadow answer to one request.
        ticket_id: as the caller sent it; joins with feedback. None when there was none.
        customer: `tickets.privacy.pseudonym` of the customer; None when there was none. Never the id itself.
        arm: whose answer it is.
        epoch: of the rollout state in force; 0 where there was none.
        bundle_digest: 64 hex digits.
        model_version: of the registry.
        label: the answer.
        probabilities: calibrated, in the order of LABELS.
        confidence: the highest of them.
        abstain: whether the confidence was below the threshold.
        cached: whether the answer came from the cache.
        backend: what computed it.
        latency_ms: milliseconds from the request's arrival to its answer; of a batch's ticket, from when it
            was begun, here or by the other service; of a shadow answer, of scoring.
        shadow: whether nobody saw it.
        text: the masked text. It is stored only with `events.store_text`, and masked again before; its length
            and shares of capitals and of characters beyond ASCII always are.
        unit: that of the exposure, by which answers are counted; None where no trial was on, and of a shadow
            answer to what the other service answered: on another device they are no pair.
        channel: where the ticket came from, as the caller sent it; None when it did not.
    """

    at: datetime
    request_id: str
    ticket_id: str | None
    customer: str | None
    arm: Arm
    epoch: int
    bundle_digest: str
    model_version: str
    label: str
    probabilities: tuple[float, float, float]
    confidence: float
    abstain: bool
    cached: bool
    backend: str
    latency_ms: float
    shadow: bool
    text: str | None = None
    unit: str | None = None
    channel: str | None = None


class Exposure(NamedTuple):
    """The first time in an epoch that a unit met its arm.

    Attributes:
        at: with a time zone.
        unit: `tickets.privacy.pseudonym` of `rollout.assignment.unit`.
        arm: which it met.
        epoch: of the rollout state in force.
    """

    at: datetime
    unit: str
    arm: Arm
    epoch: int


UNSEEN = "unseen"


class Failure(NamedTuple):
    """An answer that an arm on trial owed and did not give: its model failed, or was too slow.

    Or, with the code UNSEEN, one that nobody would have seen.

    Attributes:
        at: with a time zone.
        request_id: of the request.
        unit: as of the exposure.
        arm: which it met; with UNSEEN the other one, whose model failed.
        epoch: of the rollout state in force.
        code: of the refusal, `internal` or `deadline_exceeded`; or UNSEEN.
    """

    at: datetime
    request_id: str
    unit: str
    arm: Arm
    epoch: int
    code: str


class Feedback(NamedTuple):
    """A person's label for a ticket.

    Attributes:
        at: when the person gave it, with a time zone: the latest of a ticket's labels counts, in
            whichever order they arrive.
        ticket_id: of the ticket.
        source: who says so, for example `agent` or `csat`.
        event_id: of the source's event: the same three (ticket, source, event id) are one event, however
            often they are sent. A caller who has none must send a new one for each correction.
        label: one of LABELS.
    """

    at: datetime
    ticket_id: str
    source: str
    event_id: str
    label: str

    def check(self, now: datetime | None = None) -> None:
        """Refuse what could not be stored or would count for ever.

        Raises:
            TicketSentimentError: a field is empty, too long, holds a character that a database cannot
                store, or lies in the future or before the year 2000. The message names the field, never its
                content.
        """
        for key in ("ticket_id", "source", "event_id"):
            value = getattr(self, key)
            if not isinstance(value, str) or not 0 < len(value) <= MAX_IDENTIFIER:
                raise TicketSentimentError(f"feedback: {key}: expected 1 to {MAX_IDENTIFIER} characters")
            if not storable(value):
                raise TicketSentimentError(
                    f"feedback: {key}: holds a NUL or half a surrogate pair; remove it"
                )
        if self.label not in LABELS:
            raise TicketSentimentError(f"feedback: label: expected one of {', '.join(LABELS)}")
        if self.at.utcoffset() is None:
            raise TicketSentimentError("feedback: at: expected a time with a time zone")
        if self.at.year < EARLIEST:
            raise TicketSentimentError(f"feedback: at: lies before the year {EARLIEST}")
        if self.at > (now or datetime.now(UTC)) + MAX_CLOCK_SKEW:
            raise TicketSentimentError("feedback: at: lies in the future, so that no later label could win")


def storable(text: str) -> bool:
    """Whether every database can keep a text: no NUL, which PostgreSQL refuses, no lone surrogate."""
    try:
        return b"\0" not in text.encode()
    except UnicodeEncodeError:
        return False


@dataclass(frozen=True, slots=True)
class FeedbackResult:
    """What became of a feedback event.

    Attributes:
        created: False when the same event had been stored before.
        label: the ticket's label now: of the latest feedback, which need not be this one.
    """

    created: bool
    label: str

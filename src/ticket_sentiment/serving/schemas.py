"""What goes in and comes out over HTTP. openapi.py publishes exactly these types."""

import json
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError, field_validator

from ticket_sentiment.params import Label
from ticket_sentiment.rollout.assignment import Arm
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.tickets.privacy import known_customer

NO_NUL = r"^[^\x00]*$"  # which PostgreSQL cannot store
Identifier = Annotated[str, Field(max_length=200, pattern=NO_NUL)]
Channel = Annotated[str, Field(min_length=1, max_length=60, pattern=NO_NUL)]
RequiredIdentifier = Annotated[str, Field(min_length=1, max_length=200, pattern=NO_NUL)]
MAX_PROBLEMS = 20  # more can only be unknown keys, and to list them all would take the loop's time
Route = Literal["local", "remote", "fallback"]
Probability = Annotated[float, Field(ge=0, le=1)]


class Body(BaseModel):
    """Strict: a wrong type or an unknown key is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Ticket(Body):
    """A customer's ticket."""

    text: str = Field(description="what the customer wrote; masked for personal data before anything else")
    ticket_id: Identifier | None = Field(None, description="joins the answer with later feedback")
    customer_id: Identifier | None = Field(
        None,
        description="keeps a customer with one model; never stored. What stands for nobody, such as unknown, "
        "guest or n/a, counts as missing",
    )
    channel: Channel | None = Field(
        None, description="where it came from, e.g. email, as the tickets that are learnt from name it"
    )
    priority: Literal["normal", "urgent"] = Field("normal", description="urgent tickets are scored first")

    @field_validator("customer_id")
    @classmethod
    def _somebody(cls, customer_id: str | None) -> str | None:
        return known_customer(customer_id)


class Batch(Body):
    """Several tickets in one request. Each is checked on its own."""

    tickets: list[Any] = Field(min_length=1)


class FeedbackBody(Body):
    """A person's label for a ticket."""

    ticket_id: RequiredIdentifier
    label: Label
    event_id: RequiredIdentifier = Field(
        description="of the source's event; sent again it changes nothing. Each correction needs a new one"
    )
    source: RequiredIdentifier = Field("agent", description="who says so, e.g. agent or csat")
    at: AwareDatetime | None = Field(
        None, description="when the label was given, with a time zone; now by default. The latest counts"
    )


class Output(BaseModel):
    """Every key is always there."""

    model_config = ConfigDict(extra="forbid")


class Probabilities(Output):
    negative: Probability
    neutral: Probability
    positive: Probability


class Classified(Output):
    """The answer to a ticket."""

    ticket_id: str | None
    label: Label
    probabilities: Probabilities = Field(description="calibrated")
    confidence: Probability = Field(description="the highest of the probabilities")
    abstain: bool = Field(description="whether the confidence is too low to act upon")
    model_version: str
    bundle_digest: str = Field(pattern="^[0-9a-f]{64}$")
    arm: Arm
    backend: str = Field(description="what ran the model, e.g. CPUExecutionProvider")
    cached: bool
    route: Route = Field(
        description="local: answered here; remote: by the service on a GPU; fallback: here, in its place"
    )


class Problem(Output):
    code: str = Field(description="stable, for programs")
    message: str = Field(description="a sentence for people")


class Failure(Output):
    """The body of every refusal."""

    error: Problem
    request_id: str


class Unclassified(Output):
    """A ticket of a batch that has no answer."""

    ticket_id: str | None
    error: Problem


class BatchResult(Output):
    results: list[Classified | Unclassified] = Field(description="in the order of the tickets")


class FeedbackStored(Output):
    """Written when this is sent."""

    ticket_id: str
    created: bool = Field(description="false when the same event had been stored before")
    label: Label = Field(description="the ticket's label now, of the latest feedback")


class LoadedModel(Output):
    arm: Arm
    model_version: str
    bundle_digest: str
    backend: str
    requested_backend: str
    precision: str
    labels: list[str]
    max_length: int
    base_model: str
    training_data: str


class Rollout(Output):
    """The state that splits the traffic; null where none is set, and the champion answers everybody."""

    epoch: int
    challenger_share: float
    shadow: bool
    since: datetime


class Models(Output):
    models: list[LoadedModel]
    rollout: Rollout | None


def _refusal(error: ValidationError, model: type[Body]) -> ApiError:
    if error.error_count() > MAX_PROBLEMS:
        return ApiError("invalid_field", f"body: unknown keys (known: {', '.join(model.model_fields)})")
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    if first["type"] == "json_invalid":
        return ApiError("invalid_json", first["msg"])
    if first["type"] == "extra_forbidden":  # its name comes from the client, who may put anything in it
        return ApiError("invalid_field", f"body: an unknown key (known: {', '.join(model.model_fields)})")
    where = ".".join(str(part) for part in first["loc"]) or "body"
    return ApiError("invalid_field", f"{where}: {first['msg']}")


def _bounded(ticket: Ticket, max_text_chars: int) -> Ticket:
    if len(ticket.text) > max_text_chars:
        raise ApiError("text_too_long", f"text: longer than {max_text_chars} characters")
    return ticket


def parse_ticket(body: bytes, max_text_chars: int) -> Ticket:
    """The body of POST /v1/classify.

    Raises:
        ApiError: it is no JSON, a field is not as it should be, or the text is too long. The message
            names the field, never its content.
    """
    try:
        ticket = Ticket.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, Ticket) from None
    return _bounded(ticket, max_text_chars)


def parse_batch_ticket(item: Any, max_text_chars: int) -> Ticket:
    """One ticket of a batch, already read from JSON; raises as `parse_ticket` does."""
    try:
        ticket = Ticket.model_validate(item)
    except ValidationError as error:
        raise _refusal(error, Ticket) from None
    return _bounded(ticket, max_text_chars)


def parse_batch(body: bytes, max_tickets: int) -> list[Any]:
    """The tickets of POST /v1/classify/batch, unchecked.

    Raises:
        ApiError: the body is no JSON, is no batch, or holds too many tickets.
    """
    try:
        tickets = Batch.model_validate_json(body).tickets
    except ValidationError as error:
        refusal = _refusal(error, Batch)
        if refusal.code != "invalid_json" or "hex escape" not in refusal.message:
            raise refusal from None
        tickets = _parse_leniently(body, error)
    if len(tickets) > max_tickets:
        raise ApiError("batch_too_large", f"tickets: more than {max_tickets}")
    return tickets


def _parse_leniently(body: bytes, error: ValidationError) -> list[Any]:
    """With the standard library, which reads half a surrogate pair: it harms its own ticket, no other."""
    try:
        return Batch.model_validate(json.loads(body)).tickets
    except ValidationError as other:
        raise _refusal(other, Batch) from None
    except (ValueError, RecursionError):
        raise _refusal(error, Batch) from None


def parse_feedback(body: bytes) -> FeedbackBody:
    """The body of POST /v1/feedback; raises ApiError as `parse_ticket` does."""
    try:
        return FeedbackBody.model_validate_json(body)
    except ValidationError as error:
        raise _refusal(error, FeedbackBody) from None

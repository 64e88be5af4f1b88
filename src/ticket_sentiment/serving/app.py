"""The HTTP interface: what is accepted, what is refused and how. Nothing that a client sends is logged."""

import logging
import traceback
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from ticket_sentiment.serving.classifier import Classifier

logger = logging.getLogger(__name__)

Identifier = Annotated[str, Field(max_length=200)]


class ApiError(Exception):
    """A refusal: HTTP status, a code for programs, a sentence for people."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(code)
        self.status, self.code, self.message = status, code, message


class Ticket(BaseModel):
    """Body of POST /v1/classify."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    text: str
    ticket_id: Identifier | None = None
    customer_id: Identifier | None = None


def _error(status: int, code: str, message: str) -> JSONResponse:
    return JSONResponse({"error": {"code": code, "message": message}}, status)


async def _on_api_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, ApiError)
    return _error(error.status, error.code, error.message)


async def _on_http_error(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return _error(error.status_code, error.detail.lower().replace(" ", "_"), error.detail)


async def _on_disconnect(_: Request, __: Exception) -> Response:
    return _error(400, "incomplete_body", "the connection ended before the body did")


def _too_large(limit: int) -> ApiError:
    return ApiError(413, "body_too_large", f"the body is larger than {limit} bytes")


async def read_body(request: Request, limit: int) -> bytes:
    """The body, never holding more than one network chunk above `limit` bytes in memory.

    Raises:
        ApiError: 415 when it is not declared as JSON, 413 when it is longer than `limit`.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type != "application/json":
        raise ApiError(415, "unsupported_media_type", "the Content-Type must be application/json")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and len(declared) < 20 and int(declared) > limit:
        raise _too_large(limit)
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > limit:
            raise _too_large(limit)
    return bytes(body)


def parse_ticket(body: bytes, max_text_chars: int) -> Ticket:
    """Parse and check a request's body.

    Raises:
        ApiError: 400 when it is no JSON, 422 when a field is not as it should be, 413 when the text is
            too long. The message names the field, never its content.
    """
    try:
        ticket = Ticket.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        if first["type"] == "json_invalid":
            raise ApiError(400, "invalid_json", first["msg"]) from None
        where = ".".join(str(part)[:50] for part in first["loc"]) or "body"
        raise ApiError(422, "invalid_field", f"{where}: {first['msg']}") from None
    if len(ticket.text) > max_text_chars:
        raise ApiError(413, "text_too_long", f"text: longer than {max_text_chars} characters")
    return ticket


def _classifier(request: Request) -> Classifier:
    return request.app.state.classifier


async def classify(request: Request) -> Response:
    """POST /v1/classify."""
    classifier = _classifier(request)
    limits = classifier.settings.serve
    ticket = parse_ticket(await read_body(request, limits.max_body_bytes), limits.max_text_chars)
    try:
        answer = await classifier.classify(ticket.text)
    except Exception as error:
        # What went wrong and where; the message of an exception could quote the text.
        place = "".join(traceback.format_tb(error.__traceback__))
        logger.error("classify failed: %s\n%s", type(error).__name__, place)
        raise ApiError(500, "internal", "the service failed; its log says where") from None
    if answer is None:
        raise ApiError(422, "empty_text", "text: nothing is left of it after cleaning; send some words")
    return JSONResponse({"ticket_id": ticket.ticket_id, **answer})


async def models(request: Request) -> Response:
    """GET /v1/models."""
    return JSONResponse({"models": [_classifier(request).describe()]})


def create_app() -> Starlette:
    """The application that is mounted at /v1; its `state.classifier` must be set before the first request."""
    return Starlette(
        routes=[Route("/classify", classify, methods=["POST"]), Route("/models", models, methods=["GET"])],
        exception_handlers={
            ApiError: _on_api_error,
            HTTPException: _on_http_error,
            ClientDisconnect: _on_disconnect,
        },
    )

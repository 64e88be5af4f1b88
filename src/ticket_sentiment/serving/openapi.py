"""The OpenAPI 3.1 document, made of the types that requests are really checked with."""

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ticket_sentiment.params import Serve
from ticket_sentiment.serving.errors import CODES
from ticket_sentiment.serving.schemas import (
    Batch,
    BatchResult,
    Classified,
    Failure,
    FeedbackBody,
    FeedbackStored,
    Models,
    Ticket,
)

REF = "#/components/schemas/{model}"
_ALWAYS = (
    "overloaded", "internal", "method_not_allowed", "invalid_http", "head_too_large", "invalid_timeout",
)  # fmt: skip
_KEYS = ("missing_key", "unknown_key", "not_forwarder")
_PAID = ("rate_limited",)  # what costs tickets, which is every path with a body
_BODY = (
    "invalid_json", "slow_body", "body_too_large", "unsupported_media_type", "invalid_field",
)  # fmt: skip
_FORWARDED = {
    "name": "X-Ticket-Sentiment-Forwarded",
    "in": "header",
    "description": "for another service of this product alone: the model version that shall answer; nothing "
    "is recorded here. With keys configured, those of serve.api_keys.forwarders may send it",
    "schema": {"type": "string"},
    "required": False,
}
_SCORED = ("model_not_loaded", "text_too_long", "empty_text", "deadline_exceeded")
_HEADERS = {
    "X-Request-Id": {
        "description": "as sent, where it was 1 to 64 of letters, digits, `.`, `_` and `-`; else made",
        "schema": {"type": "string"},
        "required": True,
    },
    "traceparent": {"description": "as sent, where it was valid", "schema": {"type": "string"}},
}
_SCHEMES = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "apiKey": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
}
_RETRY = {"Retry-After": {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 1}}}


def _schema(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": REF.format(model=model.__name__)}


def _content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": _schema(model)}}


def _refusals(codes: tuple[str, ...]) -> dict[str, Any]:
    """Responses by status, each naming the codes that it can carry."""
    by_status: dict[int, list[str]] = {}
    for code in codes:
        by_status.setdefault(CODES[code][0], []).append(code)
    return {
        str(status): {
            "description": "; ".join(f"`{code}`: {CODES[code][1]}" for code in named),
            "headers": _HEADERS | (_RETRY if status in (429, 503) else {}),
            "content": _content(Failure),
        }
        for status, named in sorted(by_status.items())
    }


def _parameters(deadline: bool, forwarded: bool) -> list[dict[str, Any]]:
    found = [{"name": "X-Request-Id", "in": "header", "schema": {"type": "string"}, "required": False}]
    if deadline:
        found.append(
            {
                "name": "X-Request-Timeout-Ms",
                "in": "header",
                "description": "how long the caller waits; what was not begun by then is not done",
                "schema": {"type": "integer", "minimum": 1, "maximum": 999_999_999},
                "required": False,
            }
        )
    return [*found, _FORWARDED] if forwarded else found


def _operation(
    name: str,
    summary: str,
    answer: type[BaseModel] | None,
    body: type[BaseModel] | None = None,
    codes: tuple[str, ...] = (),
    closed: bool = False,
) -> dict[str, Any]:
    content = _content(answer) if answer else {"application/json": {"schema": {"type": "object"}}}
    scored = body in (Ticket, Batch)
    keys = (*_KEYS, *(_PAID if body else ())) if closed else ()
    codes = (*_ALWAYS, *keys, *(_BODY if body else ()), *codes)
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "parameters": _parameters(body is not None, scored),
        "responses": {
            "200": {"description": "the answer", "headers": _HEADERS, "content": content},
            **_refusals(codes),
        },
        "security": [{"bearer": []}, {"apiKey": []}] if closed else [],
    }
    if body:
        operation["requestBody"] = {"required": True, "content": _content(body)}
    return operation


def openapi(serve: Serve) -> dict[str, Any]:
    """The document, with the bounds of these settings in it, and whether they ask for a key."""
    closed = bool(serve.api_keys.environment or serve.api_keys.file)
    outputs = [
        (model, "serialization") for model in (Classified, BatchResult, FeedbackStored, Models, Failure)
    ]
    inputs = [(model, "validation") for model in (Ticket, Batch, FeedbackBody)]
    _, definitions = models_json_schema([*inputs, *outputs], ref_template=REF)  # type: ignore[list-item]
    schemas = definitions["$defs"]
    # Bounds that depend on settings, and are checked by hand for their own status.
    schemas["Ticket"]["properties"]["text"]["maxLength"] = serve.max_text_chars
    tickets = schemas["Batch"]["properties"]["tickets"]
    tickets |= {"items": _schema(Ticket), "maxItems": serve.max_batch_tickets}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ticket Sentiment",
            "description": "Sentiment of customer tickets: negative, neutral or positive.",
            "version": "1",
        },
        "paths": {
            "/v1/classify": {
                "post": _operation("classify", "Classify one ticket", Classified, Ticket, _SCORED, closed)
            },
            "/v1/classify/batch": {
                "post": _operation(
                    "classifyBatch", "Classify several tickets; a bad one has its own error",
                    BatchResult, Batch, ("batch_too_large", "deadline_exceeded"), closed,
                )
            },
            "/v1/feedback": {
                "post": _operation(
                    "feedback", "Store a person's label for a ticket; it is stored when this answers",
                    FeedbackStored, FeedbackBody, ("feedback_conflict", "events_unavailable"), closed,
                )
            },
            "/v1/models": {
                "get": _operation("models", "What is loaded, and in which arm", Models, closed=closed)
            },
            "/v1/openapi.json": {"get": _operation("openapi", "This document", None)},
        },
        "components": {
            "schemas": schemas,
            "securitySchemes": _SCHEMES if closed else {},
        },
    }  # fmt: skip

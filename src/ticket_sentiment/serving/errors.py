"""Refusals: an HTTP status, a stable code for programs, a sentence for people, and when to come back."""

import math
from typing import Any

# Code: status and sentence. The codes are part of the interface; sentences may be worded anew.
CODES: dict[str, tuple[int, str]] = {
    "invalid_http": (400, "this is no proper HTTP request"),
    "invalid_json": (400, "the body is not JSON"),
    "invalid_timeout": (400, "X-Request-Timeout-Ms: expected a whole number of milliseconds from 1"),
    "missing_key": (401, "send an API key: `Authorization: Bearer KEY` or `X-API-Key: KEY`"),
    "unknown_key": (403, "this API key is not known here"),
    "not_forwarder": (403, "this key may not forward tickets: see serve.api_keys.forwarders"),
    "not_found": (404, "there is nothing here; GET /v1/openapi.json lists what is"),
    "method_not_allowed": (405, "this path does not answer to this method; see the header Allow"),
    "slow_body": (408, "the body did not arrive within the request's time"),
    "model_not_loaded": (409, "the version that X-Ticket-Sentiment-Forwarded asks for is not loaded"),
    "feedback_conflict": (409, "this ticket, source and event id came before with another label"),
    "body_too_large": (413, "the body is too large"),
    "text_too_long": (413, "the text is too long"),
    "batch_too_large": (413, "too many tickets in one batch"),
    "unsupported_media_type": (415, "the Content-Type must be application/json"),
    "invalid_field": (422, "a field is not as it should be"),
    "empty_text": (422, "text: nothing is left of it after cleaning; send some words"),
    "rate_limited": (429, "this key has used up its rate"),
    "head_too_large": (431, "the head of the request is too large"),
    "internal": (500, "the service failed; its log says where"),
    "overloaded": (503, "too much work is waiting"),
    "events_unavailable": (503, "the event database does not answer, so nothing was stored"),
    "deadline_exceeded": (504, "the request's time was over before the model had answered"),
}


class ApiError(Exception):
    """A refusal. The message never carries ticket text, a customer's name or a key."""

    def __init__(
        self,
        code: str,
        message: str | None = None,
        *,
        retry_after: float | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.status, sentence = CODES[code]
        self.message = message or sentence
        self.headers = headers
        if retry_after is not None:
            self.headers = (*headers, (b"retry-after", b"%d" % max(1, math.ceil(retry_after))))

    def body(self) -> dict[str, Any]:
        """What a client reads of it: code and sentence."""
        return {"code": self.code, "message": self.message}


class CallerGone(Exception):
    """The client closed its connection: nobody is left to answer."""

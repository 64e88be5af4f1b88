"""MLflow's webhook: an alias that a person moves is followed at once, not with the next minute's poll.

The listener believes only what MLflow has signed with the common secret, and takes nothing from it but that
something moved: what moved, reconciling reads from MLflow itself. So a delivery that comes late, twice or in
another order does no harm, and one that never comes is made up for by the poll.
"""

import asyncio
import base64
import hashlib
import hmac
import json
import os
import time
from collections.abc import Awaitable, Callable, Mapping

from fastapi import FastAPI, Request, Response
from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, Webhook
from ticket_sentiment.registry.store import Store, reason

PATH = "/mlflow"
NAME = "ticket-sentiment-reconcile"
EVENTS = ("model_version_alias.created", "model_version_alias.deleted")
SIGNATURE, TIMESTAMP, DELIVERY = "x-mlflow-signature", "x-mlflow-timestamp", "x-mlflow-delivery-id"
MAX_BODY = 65536
MIN_SECRET = 16  # characters
MAX_DIGITS = 12  # of seconds since 1970


def secret_of(settings: Webhook) -> str:
    """The common secret, from the environment.

    Raises:
        TicketSentimentError: it is not set, or too short to be one.
    """
    secret = os.environ.get(settings.secret_env, "")
    if len(secret) < MIN_SECRET:
        raise TicketSentimentError(
            f"{settings.secret_env} is not set, or shorter than {MIN_SECRET} characters: set it to a long "
            "random word, here and where `ticket-sentiment webhook` is run"
        )
    return secret


def signature(secret: str, delivery: str, timestamp: str, body: bytes) -> str:
    """As MLflow makes it (mlflow/webhooks/delivery.py): HMAC-SHA256 of `delivery.timestamp.body`, base64."""
    signed = f"{delivery}.{timestamp}.".encode() + body
    digest = hmac.new(secret.encode(), signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def is_genuine(secret: str, headers: Mapping[str, str], body: bytes, now: float, max_age_s: float) -> bool:
    """Whether MLflow has signed it, not long ago.

    Args:
        secret: that MLflow was told, too.
        headers: of the request, their names in lower case.
        body: of the request.
        now: seconds since 1970.
        max_age_s: older ones may have been listened to and sent again.
    """
    timestamp = headers.get(TIMESTAMP, "")
    plain = timestamp.isascii() and timestamp.isdigit() and len(timestamp) <= MAX_DIGITS
    if not plain or abs(now - int(timestamp)) > max_age_s:
        return False
    expected = signature(secret, headers.get(DELIVERY, ""), timestamp, body)
    return hmac.compare_digest(expected.encode(), headers.get(SIGNATURE, "").encode())


def is_about(body: bytes, model: str) -> bool:
    """Whether an alias of this model moved."""
    try:
        told = json.loads(body)
        return told["entity"] == "model_version_alias" and told["data"]["name"] == model
    except (ValueError, KeyError, TypeError):
        return False


class Wake:
    """Runs something once more after the last call of `call`, never twice at the same time."""

    def __init__(self, run: Callable[[], Awaitable[None]]) -> None:
        self._run = run
        self._asked = False
        self._task: asyncio.Task[None] | None = None

    def call(self) -> None:
        """Run, now or as soon as the present run has ended; returns at once."""
        self._asked = True
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._loop())

    async def _loop(self) -> None:
        while self._asked:
            self._asked = False
            await self._run()


def application(settings: Webhook, secret: str, model: str, run: Callable[[], Awaitable[None]]) -> FastAPI:
    """The listener: POST /mlflow for MLflow, GET /livez for whoever watches over it.

    Args:
        settings: section `registry.webhook`.
        secret: that signs deliveries.
        model: name of the registered model.
        run: reconciles; called once more after the last delivery, never twice at the same time.
    """
    app = FastAPI(openapi_url=None)
    wake = Wake(run)

    @app.get("/livez")
    async def alive() -> Response:
        return Response(status_code=200)

    @app.post(PATH)
    async def moved(request: Request) -> Response:
        body = b""
        async for part in request.stream():
            body += part
            if len(body) > MAX_BODY:
                return Response(status_code=413)
        if not is_genuine(secret, request.headers, body, time.time(), settings.max_age_s):
            return Response(status_code=401)
        if is_about(body, model):
            wake.call()
        return Response(status_code=202)

    return app


def announce(store: Store, params: Params, url: str) -> str:
    """Have MLflow call the listener; a second time only its address and secret are set anew.

    Args:
        store: MLflow.
        params: of params.yaml.
        url: at which MLflow reaches the listener, without the path.

    Returns:
        The whole address.

    Raises:
        TicketSentimentError: no secret, no server, or MLflow refuses: its reason is in the message.
    """
    secret, address = secret_of(params.registry.webhook), url.rstrip("/") + PATH
    if not store.uri.startswith(("http://", "https://")):
        raise TicketSentimentError(
            "only MLflow's server can call a webhook, and it alone has the key to the secret: set "
            "MLFLOW_TRACKING_URI to the server"
        )
    client = store.client
    told = {"name": NAME, "url": address, "events": list(EVENTS), "secret": secret}
    try:
        known = [item for item in client.list_webhooks(max_results=100) if item.name == NAME]
        if known:
            client.update_webhook(webhook_id=known[0].webhook_id, **told)
        else:
            client.create_webhook(**told)
    except MlflowException as error:
        refused = error.error_code == "INVALID_PARAMETER_VALUE"  # the text of others quotes MLflow's address
        why = error.message.rstrip(".") if refused else reason(error)
        raise TicketSentimentError(
            f"MLflow does not take the webhook {address}: {why}: docs/promotion.md "
            "says what its server must be started with"
        ) from None
    return address

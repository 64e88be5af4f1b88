"""What a Bento carries beside its bundles: their versions, and what of params.yaml serving reads."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

from pydantic import ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.params import Cache, Cloudwatch, Device, Events, Remote, Section, Serve, load_params
from ticket_sentiment.signing.keys import public_keys
from ticket_sentiment.signing.signature import Subject, require_signature

# The build context is laid out with the package at its root and these beside it.
CONTEXT = Path(__file__).resolve().parents[2]
BUNDLE = "bundle"
CHALLENGER = "challenger"
SETTINGS = "serving.json"
DEVELOPMENT_BUNDLE = "TICKET_SENTIMENT_BUNDLE"
DEVELOPMENT_CHALLENGER = "TICKET_SENTIMENT_CHALLENGER"
METRICS_HOST = "TICKET_SENTIMENT_METRICS_HOST"  # in a container 127.0.0.1 is out of Prometheus's reach
EXIT_SECONDS = 15.0  # that a worker may take to end after its last answer


class Settings(Section):
    """serving.json."""

    model_version: str
    release: str | None = None  # how the rollout state names the model; else by its bundle's digest
    challenger_version: str | None = None
    challenger_release: str | None = None
    serve: Serve
    events: Events
    cache: Cache
    cloudwatch: Cloudwatch


@dataclass(frozen=True)
class Deployed:
    """What this process serves."""

    bundle: Bundle
    challenger: Bundle | None
    settings: Settings


def read_settings(path: Path) -> Settings:
    """Read serving.json.

    Raises:
        TicketSentimentError: it is missing, or a key is unknown, missing or of the wrong type.
    """
    try:
        return Settings.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TicketSentimentError(
            f"{path} is missing: serve the registered champion with `ticket-sentiment serve`, "
            f"or set {DEVELOPMENT_BUNDLE} to a bundle's folder"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"{path}: {where}: {first['msg']}; build the Bento again") from None


def load_settings(context: Path = CONTEXT) -> Settings:
    """The settings of a Bento; in development, those of params.yaml in the current folder.

    TICKET_SENTIMENT_METRICS_HOST goes before `serve.metrics.host`.

    Raises:
        TicketSentimentError: they are not as they should be.
    """
    settings = _held_settings(context)
    host = os.environ.get(METRICS_HOST)
    if not host:
        return settings
    metrics = settings.serve.metrics.model_copy(update={"host": host})
    return settings.model_copy(update={"serve": settings.serve.model_copy(update={"metrics": metrics})})


def _held_settings(context: Path) -> Settings:
    if not os.environ.get(DEVELOPMENT_BUNDLE):
        return read_settings(context / SETTINGS)
    params = load_params()
    challenger = "development-challenger" if os.environ.get(DEVELOPMENT_CHALLENGER) else None
    return Settings(
        model_version="development", challenger_version=challenger,
        serve=params.serve, events=params.events, cache=params.cache,
        cloudwatch=params.objectives.cloudwatch,
    )  # fmt: skip


def load_deployed(context: Path = CONTEXT, device: Device = "cpu") -> Deployed:
    """The verified bundles and the settings in a Bento.

    For development, TICKET_SENTIMENT_BUNDLE and TICKET_SENTIMENT_CHALLENGER name other bundles; the settings
    are then those of params.yaml in the current folder. With `serve.require_signature` each bundle must have
    its signature.

    Raises:
        TicketSentimentError: a bundle does not verify, or the settings are not as they should be.
    """
    settings = load_settings(context)
    if path := os.environ.get(DEVELOPMENT_BUNDLE):
        bundle, challenger = Path(path), os.environ.get(DEVELOPMENT_CHALLENGER)
    else:
        bundle, challenger = context / BUNDLE, context / CHALLENGER
    second = Path(challenger) if settings.challenger_version is not None and challenger else None
    deployed = Deployed(load_bundle(bundle), load_bundle(second) if second else None, settings)
    if settings.serve.require_signature:
        _require_signatures(deployed, device)
    return deployed


def _require_signatures(deployed: Deployed, device: Device) -> None:
    settings, keys = deployed.settings, public_keys(deployed.settings.serve)
    for bundle, version, release in (
        (deployed.bundle, settings.model_version, settings.release),
        (deployed.challenger, settings.challenger_version, settings.challenger_release),
    ):
        if bundle is not None and version is not None:
            subject = Subject(bundle.digest, version, release or bundle.digest, device)
            require_signature(bundle.path, subject, keys)


class RemoteAddress(NamedTuple):
    """Of the other service. The key is a secret, and so may be the URL: neither is ever repeated."""

    url: str
    key: str | None


def remote_address(settings: Remote, environ: Mapping[str, str] = os.environ) -> RemoteAddress | None:
    """What the variables of `serve.remote` hold; None where that of the URL is not set.

    Raises:
        TicketSentimentError: it holds no URL, or one with a password, or the key is none that HTTP can carry.
    """
    url = environ.get(settings.url_env, "").rstrip("/")
    if not url:
        return None
    try:
        parts = urlsplit(url)
        whole = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0 and "@" not in url
    except ValueError:
        whole = False
    if not whole or parts.query or parts.fragment or not re.fullmatch(r"[!-~]+", url):
        raise TicketSentimentError(
            f"{settings.url_env} holds no URL of a service: expected http://host:3000, "
            f"and an API key of it in {settings.key_env}"
        )
    key = environ.get(settings.key_env, "").strip() or None
    if key and not re.fullmatch(r"[!-~]+", key):
        raise TicketSentimentError(f"{settings.key_env} holds no API key: expected visible ASCII characters")
    return RemoteAddress(url, key)

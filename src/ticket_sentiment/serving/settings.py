"""What a Bento carries beside the bundle: the model's version and the `serve` section of params.yaml."""

import os
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.params import Section, Serve, load_params

# The build context is laid out with the package at its root and these two beside it.
CONTEXT = Path(__file__).resolve().parents[2]
BUNDLE = "bundle"
SETTINGS = "serving.json"
DEVELOPMENT_BUNDLE = "TICKET_SENTIMENT_BUNDLE"


class Settings(Section):
    """serving.json."""

    model_version: str
    serve: Serve


@dataclass(frozen=True)
class Deployed:
    """What this process serves."""

    bundle: Bundle
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
            f"{path} is missing: serve a Bento that `ticket-sentiment build` made, "
            f"or set {DEVELOPMENT_BUNDLE} to a bundle's folder"
        ) from None
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"{path}: {where}: {first['msg']}; build the Bento again") from None


def load_deployed(context: Path = CONTEXT) -> Deployed:
    """The verified bundle and the settings in a Bento; TICKET_SENTIMENT_BUNDLE names another bundle.

    With that variable, for development, the settings are those of params.yaml in the current folder.

    Raises:
        TicketSentimentError: the bundle does not verify, or the settings are not as they should be.
    """
    if path := os.environ.get(DEVELOPMENT_BUNDLE):
        settings = Settings(model_version="development", serve=load_params().serve)
        return Deployed(load_bundle(Path(path)), settings)
    return Deployed(load_bundle(context / BUNDLE), read_settings(context / SETTINGS))

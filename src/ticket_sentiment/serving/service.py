"""The BentoML service: one class, built twice, for CPU (int8) and for GPU (fp16). See bentofile.yaml.

The application is mounted, and BentoML's own access log, metrics and traces are off: around a model of half
a millisecond they cost three to four times what the model does.
"""

import os
import sys
from pathlib import Path

import bentoml
from pydantic import BaseModel, ConfigDict

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.serving.app import create_app
from ticket_sentiment.serving.classifier import Classifier, Device
from ticket_sentiment.serving.settings import load_deployed


class Arguments(BaseModel):
    """`--arg` of `bentoml build`; they are kept in the Bento."""

    model_config = ConfigDict(extra="forbid")

    device: Device = "cpu"
    base_image: str = "python:3.11-slim"


arguments = bentoml.use_arguments(Arguments)
app = create_app()
requirements = Path(__file__).with_name(f"requirements-{arguments.device}.txt").read_text(encoding="utf-8")
# Every package is pinned there, so that building needs neither network nor the packages themselves.
image = bentoml.images.Image(
    base_image=arguments.base_image,
    distro="none",  # of those BentoML knows, each adds compilers to the image; every package here is a wheel
    python_version="3.11",
    lock_python_packages=False,
).python_packages(*requirements.split())


@bentoml.service(
    name="ticket_sentiment",
    image=image,
    envs=[{"name": "ORT_DISABLE_TELEMETRY", "value": "1"}, {"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    workers=1,
    metrics={"enabled": False},
    logging={"access": {"enabled": False}},
    tracing={"excluded_urls": [".*"]},
)
@bentoml.asgi_app(app, path="/v1")
class TicketSentiment:
    """Sentiment of customer tickets: POST /v1/classify, GET /v1/models, /livez, /readyz."""

    def __init__(self) -> None:
        # BentoML accepts connections only after this, so a process that is ready has verified its bundle.
        try:
            app.state.classifier = Classifier(load_deployed(), arguments.device)
        except TicketSentimentError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(1)  # an exception, SystemExit too, would be logged as four tracebacks

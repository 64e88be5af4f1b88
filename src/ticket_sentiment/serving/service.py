"""The BentoML service: one class, built twice, for CPU (int8) and for GPU (fp16). See bentofile.yaml.

BentoML makes the processes, their listening socket, their health endpoints and their image. Requests do not
pass through its layers: see serving/front.py.
"""

import atexit
import contextlib
import fcntl
import logging
import os
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import bentoml
from _bentoml_sdk import Service
from pydantic import BaseModel, ConfigDict, Field
from uvicorn.config import HTTP_PROTOCOLS

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Device
from ticket_sentiment.serving import logs
from ticket_sentiment.serving.settings import EXIT_SECONDS, load_deployed
from ticket_sentiment.serving.startable import require_startable

if TYPE_CHECKING:
    from ticket_sentiment.serving.front import Front

logger = logging.getLogger(__name__)

HEALTH = frozenset({"/livez", "/readyz", "/healthz"})  # BentoML's endpoints

# Set by the supervising process for its workers.
SHARED = "TICKET_SENTIMENT_SHARED"  # a folder that all workers of one service know
HOME = "TICKET_SENTIMENT_HOME"  # where the service was started: relative paths of the settings begin there


class Arguments(BaseModel):
    """`--arg` of `bentoml build` and `bentoml serve`; those of the build are kept in the Bento."""

    model_config = ConfigDict(extra="forbid")

    device: Device = "cpu"
    workers: int = Field(1, ge=1)


arguments = bentoml.use_arguments(Arguments)
requirements = Path(__file__).with_name(f"requirements-{arguments.device}.txt").read_text(encoding="utf-8")
# Every package is pinned there, so that building needs neither network nor the packages themselves.
image = bentoml.images.Image(
    base_image="python:3.11-slim",  # `ticket-sentiment images --base-image` takes another one
    distro="none",  # of those BentoML knows, each adds compilers to the image; every package here is a wheel
    python_version="3.11",
    lock_python_packages=False,
).python_packages(*requirements.split())


class Gate:
    """The ASGI application that uvicorn calls: requests to the front, health and lifespan to BentoML."""

    front: "Front | None" = None  # until the worker is ready; nothing is listened to before

    def __init__(self, bentoml_app: Any) -> None:
        self._bentoml_app = bentoml_app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Pass on."""
        if scope["type"] == "http" and scope["path"] not in HEALTH:
            assert Gate.front is not None
            await Gate.front(scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})  # before it was accepted: 403
        else:
            await self._bentoml_app(scope, receive, send)


class FrontedService(Service[Any]):
    """A service whose requests do not pass through BentoML's own application."""

    __slots__ = ()

    def to_asgi(self, is_main: bool = True) -> Any:
        """What a worker serves."""
        # BentoML does not hand a protocol on to uvicorn, which looks up here what "auto" means.
        HTTP_PROTOCOLS["auto"] = "ticket_sentiment.serving.protocol:BoundedProtocol"
        return Gate(super().to_asgi(is_main))


class Sentiment:
    """Sentiment of customer tickets: /v1/classify, /v1/classify/batch, /v1/feedback, /v1/models."""

    def __init__(self) -> None:
        # BentoML accepts connections only after this, so a process that is ready has verified its bundle.
        # In a worker alone: see startable.py.
        from ticket_sentiment.serving.application import Application
        from ticket_sentiment.serving.protocol import BoundedProtocol

        logs.configure()
        os.chdir(os.environ.get(HOME, "."))
        shared = Path(os.environ.get(SHARED) or tempfile.mkdtemp(prefix="ticket-sentiment-"))
        try:
            deployed = load_deployed(device=arguments.device)
            self.application = Application(deployed, arguments.device, shared)
        except TicketSentimentError as error:
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(1)  # an exception, SystemExit too, would be logged as four tracebacks
        BoundedProtocol.keep_alive_seconds = deployed.settings.serve.keep_alive_seconds
        Gate.front = self.application.front

    @bentoml.on_deployment
    @staticmethod
    def prepare() -> None:
        """Once, in the process that will watch over the workers."""
        # In a container BentoML leaves a dead worker dead. It looks for this variable, when it starts them.
        os.environ.pop("BENTOML_CONTAINERIZED", None)
        os.environ.setdefault(HOME, os.getcwd())
        try:
            shared = tempfile.mkdtemp(prefix="ticket-sentiment-")
            # As long as this process lives: systemd-tmpfiles takes nothing old out of a locked folder.
            fcntl.flock(os.open(shared, os.O_RDONLY), fcntl.LOCK_SH)
        except OSError as error:
            print(f"error: no folder for what the workers share: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        try:  # here, as a worker that fails at its start is started again for ever
            with contextlib.chdir(os.environ[HOME]):
                settings = load_deployed(device=arguments.device).settings
                require_startable(settings, Path(shared), arguments.workers)
        except TicketSentimentError as error:
            shutil.rmtree(shared, ignore_errors=True)
            print(f"error: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        os.environ[SHARED] = shared
        atexit.register(shutil.rmtree, shared, ignore_errors=True)

    @bentoml.on_startup
    async def start(self) -> None:
        """Before the first connection is accepted."""
        try:
            await self.application.start()
        except OSError as error:
            print(f"error: the metrics port: {error}", file=sys.stderr, flush=True)
            os._exit(1)
        self.application.drain_on(signal.SIGTERM)

    @bentoml.on_shutdown
    async def stop(self) -> None:
        """After the last connection is closed."""
        # Threads that a hanging database holds would keep the process for ever.
        timer = threading.Timer(EXIT_SECONDS, _end)
        timer.daemon = True
        timer.start()
        await self.application.stop()

    async def __is_ready__(self) -> bool:
        return self.application.ready


def _end() -> None:
    logger.error("a call has not come back %.0f s after the last answer: ending without it", EXIT_SECONDS)
    os._exit(1)


TicketSentiment = FrontedService(
    name="ticket_sentiment",
    inner=Sentiment,
    image=image,
    envs=[{"name": "ORT_DISABLE_TELEMETRY", "value": "1"}, {"name": "BENTOML_DO_NOT_TRACK", "value": "true"}],
    config={
        "workers": arguments.workers,
        "metrics": {"enabled": False},  # ours are on a port of their own
        "logging": {"access": {"enabled": False}},
        "tracing": {"excluded_urls": [".*"]},
    },
)

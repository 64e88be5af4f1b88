"""Our service and its peers: how each is started, asked and read.

Every peer runs the same few lines (apps/onnx_model.py) on one session of one thread, a process a core.
"""

import abc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.serving.assets import APPS, Assets
from benchmarks.serving.servers import Server
from tests.support.serving import free_port

ONLY_TEXT = '{"text": %(text)b}'


class Peer(abc.ABC):
    """One way to serve a model. Enter it to start it.

    Attributes:
        name: in the tables.
        path: that is posted to.
        template: of a body; see load.Plan.
        headers: further header lines.
        freezes: whether its processes may be stopped while others are timed.
        packages: pinned, of the virtual environment that it needs; none for ours.
    """

    name: str
    path = "/classify"
    template = ONLY_TEXT
    headers = ""
    freezes = True
    packages: Sequence[str] = ()

    def __init__(self, assets: Assets, model: Path, work: Path, workers: int) -> None:
        """Prepare.

        Args:
            assets: see there.
            model: the folder of the model to serve.
            work: for environments, logs and what else a server writes.
            workers: processes.
        """
        self.assets, self.model, self.work, self.workers = assets, model, work, workers
        self.port = free_port()
        self.server: Server | None = None

    @abc.abstractmethod
    def command(self) -> list[str]:
        """What starts it."""

    def environment(self) -> dict[str, str]:
        """Variables beside ours."""
        return {}

    def label(self, answer: Any) -> str:
        """The label in an answer."""
        return answer["label"]

    @property
    def python(self) -> str:
        """The interpreter of its environment."""
        return (
            str(self.work / type(self).__name__.lower() / "bin/python") if self.packages else sys.executable
        )

    def install(self) -> None:
        """Make its virtual environment, once."""
        if not self.packages or Path(self.python).exists():
            return
        print(f"installing {' '.join(self.packages)}", file=sys.stderr)
        subprocess.run([sys.executable, "-m", "venv", str(Path(self.python).parents[1])], check=True)
        pip = [self.python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, *self.packages], check=True)

    def cwd(self) -> Path:
        """Where it is started."""
        return APPS

    def body(self, text: str) -> bytes:
        """The request for one text."""
        fields = {b"text": json.dumps(text).encode(), b"number": 0, b"customer": 0}
        return self.template.encode() % fields

    def __enter__(self) -> "Peer":
        self.install()
        environment = {
            "MODEL_FOLDER": str(self.model.resolve()),
            "PYTHONPATH": os.pathsep.join([str(APPS), *filter(None, [os.environ.get("PYTHONPATH")])]),
            "BENTOML_DO_NOT_TRACK": "true",
            "ORT_DISABLE_TELEMETRY": "1",
            **self.environment(),
        }
        log = self.work / f"{type(self).__name__.lower()}-{self.port}.log"
        self.server = Server(self.command(), environment, self.cwd(), log, self.port)
        try:
            self.server.wait(self.path, self.body("ready?"), self.headers)
        except RuntimeError as error:
            self.server.stop()
            raise RuntimeError(f"{self.name}: {error}") from None
        return self

    def __exit__(self, *_: object) -> None:
        if self.server:
            self.server.stop()


def uvicorn(app: str, port: int, workers: int) -> list[str]:
    """As its documentation says, without a line of log for each request."""
    options = ["--host", "127.0.0.1", "--port", str(port), "--workers", str(workers)]
    return [sys.executable, "-m", "uvicorn", app, *options, "--no-access-log", "--log-level", "warning"]


class Pipeline(Peer):
    """One process, torch's own threads: what most people write."""

    name = "FastAPI + transformers pipeline"

    def command(self) -> list[str]:
        return uvicorn("pipeline_app:app", self.port, 1)

    def environment(self) -> dict[str, str]:
        return {"HF_HUB_OFFLINE": "1"}


class TunedPipeline(Pipeline):
    """A process a core, one thread each; shown beside, judged by no bar."""

    name = "FastAPI + pipeline, a worker a core"

    def command(self) -> list[str]:
        return uvicorn("pipeline_app:app", self.port, self.workers)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "MODEL_THREADS": "1"}


class FastApi(Peer):
    name = "FastAPI + ONNX Runtime"

    def command(self) -> list[str]:
        return uvicorn("fastapi_app:app", self.port, self.workers)


class Mlflow(Peer):
    name = "MLflow models serve"
    path = "/invocations"
    template = '{"inputs": [%(text)b]}'

    def command(self) -> list[str]:
        where = ["--host", "127.0.0.1", "--port", str(self.port), "--workers", str(self.workers)]
        program = [sys.executable, "-m", "mlflow", "models", "serve"]
        return [*program, "-m", str(self.assets.mlflow.resolve()), "--env-manager", "local", *where]

    def environment(self) -> dict[str, str]:
        # It looks for `uvicorn` on the path.
        path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
        return {"PATH": path, "MLFLOW_DISABLE_TELEMETRY": "true", "UVICORN_ACCESS_LOG": "0"}

    def label(self, answer: Any) -> str:
        return answer["predictions"][0]["label"]


class LitServe(Peer):
    name = "LitServe"
    packages = ("litserve==0.2.19", "onnxruntime==1.31.1", "tokenizers", "numpy", "uvloop", "httptools")

    def command(self) -> list[str]:
        return [self.python, "litserve_app.py", str(self.port), str(self.workers)]


class PlainBento(Peer):
    name = "BentoML, plain service"
    app = "bento_app:Plain"

    def command(self) -> list[str]:
        return [
            sys.executable,
            "-m",
            "bentoml",
            "serve",
            self.app,
            "--host",
            "127.0.0.1",
            "--port",
            str(self.port),
        ]

    def environment(self) -> dict[str, str]:
        return {"MODEL_WORKERS": str(self.workers)}


class BareBento(PlainBento):
    name = "BentoML, an endpoint that does nothing"
    app = "bare_app:Bare"


class Ray(Peer):
    name = "Ray Serve"
    freezes = False  # its daemons take each other for dead
    packages = ("ray[serve]==2.60.0", "grpcio-reflection", "onnxruntime==1.31.1", "tokenizers", "numpy")

    def command(self) -> list[str]:
        return [self.python, "ray_app.py", str(self.port), str(self.workers)]

    def environment(self) -> dict[str, str]:
        return {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0"}


class MlServer(Peer):
    name = "MLServer"
    # Its workers do not start with a later uvloop.
    packages = ("mlserver==1.7.1", "uvloop==0.21.0", "onnxruntime==1.31.1", "tokenizers", "numpy")
    path = "/v2/models/sentiment/infer"
    template = '{"inputs": [{"name": "text", "shape": [1], "datatype": "BYTES", "data": [%(text)b]}]}'

    def command(self) -> list[str]:
        self._folder = tempfile.TemporaryDirectory(prefix="mlserver-", dir=self.work)  # removed at the end
        folder = Path(self._folder.name)
        model = {"name": "sentiment", "implementation": "mlserver_model.Sentiment"}
        (folder / "model-settings.json").write_text(json.dumps(model))
        ports = {"http_port": self.port, "grpc_port": free_port(), "metrics_port": free_port()}
        settings = {"host": "127.0.0.1", "parallel_workers": self.workers, "debug": False, **ports}
        (folder / "settings.json").write_text(json.dumps(settings))
        return [str(Path(self.python).with_name("mlserver")), "start", str(folder)]

    def label(self, answer: Any) -> str:
        return json.loads(answer["outputs"][0]["data"][0])["label"]


PEERS = (FastApi, Mlflow, LitServe, PlainBento)
HEAVY = (Ray, MlServer)

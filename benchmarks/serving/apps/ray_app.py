"""Ray Serve, a replica a core."""

import os
import sys
import time

import ray
from onnx_model import OnnxModel
from ray import serve

port, workers = int(sys.argv[1]), int(sys.argv[2])


@serve.deployment(num_replicas=workers, max_ongoing_requests=64, ray_actor_options={"num_cpus": 0.5})
class Sentiment:
    def __init__(self) -> None:
        self.model = OnnxModel()

    async def __call__(self, request) -> dict:
        return self.model((await request.json())["text"])


environment = {name: os.environ[name] for name in ("MODEL_FOLDER", "PYTHONPATH")}
ray.init(
    num_cpus=workers, include_dashboard=False, log_to_driver=False, runtime_env={"env_vars": environment}
)
serve.start(http_options={"host": "127.0.0.1", "port": port})
serve.run(Sentiment.bind(), route_prefix="/classify")
while True:
    time.sleep(60)

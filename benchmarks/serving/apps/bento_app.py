"""A BentoML service as its documentation shows, a worker a core."""

import os

import bentoml
from onnx_model import OnnxModel


@bentoml.service(workers=int(os.environ.get("MODEL_WORKERS", "1")))
class Plain:
    def __init__(self) -> None:
        self.model = OnnxModel()

    @bentoml.api
    def classify(self, text: str) -> dict:
        return self.model(text)

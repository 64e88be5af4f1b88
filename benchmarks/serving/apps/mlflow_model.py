"""A pyfunc model from code, for `mlflow models serve`."""

import mlflow
from onnx_model import OnnxModel


class Sentiment(mlflow.pyfunc.PythonModel):
    def load_context(self, context):
        self.model = OnnxModel()

    def predict(self, context, model_input, params=None):
        return [self.model(text) for text in model_input]


mlflow.models.set_model(Sentiment())

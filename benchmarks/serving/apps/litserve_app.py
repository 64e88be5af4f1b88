"""LitServe, a worker a core; no batching, which costs padding on a CPU."""

import sys

import litserve
from onnx_model import OnnxModel


class Sentiment(litserve.LitAPI):
    def setup(self, device):
        self.model = OnnxModel()

    def decode_request(self, request):
        return request["text"]

    def predict(self, text):
        return self.model(text)

    def encode_response(self, answer):
        return answer


if __name__ == "__main__":
    port, workers = int(sys.argv[1]), int(sys.argv[2])
    server = litserve.LitServer(
        Sentiment(api_path="/classify"), accelerator="cpu", workers_per_device=workers, timeout=60
    )
    server.run(host="127.0.0.1", port=port, log_level="warning", generate_client_file=False)

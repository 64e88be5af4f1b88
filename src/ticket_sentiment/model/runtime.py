"""ONNX Runtime on a bundle: text in, calibrated probabilities out. No torch."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")  # on by default on Linux, and read at import

import onnxruntime as ort
from tokenizers import Tokenizer

from ticket_sentiment.model.bundle import Bundle

PROVIDERS = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")


def open_session(
    model: Path, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)
) -> ort.InferenceSession:
    """An ONNX Runtime session on the first of `providers` that this machine has.

    Args:
        model: an ONNX file with inputs `input_ids` and `attention_mask` (int64, [batch, tokens]) and
            the output `logits` ([batch, labels]).
        threads: of one operator. One a session and a session a core is the fastest on short texts.
        providers: in order of preference; those not built into this ONNX Runtime are passed over.
    """
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.log_severity_level = 3
    # A waiting thread that spins takes the core from the next session.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    available = set(ort.get_available_providers())
    chosen = [name for name in providers if name in available]
    return ort.InferenceSession(str(model), options, providers=chosen or ["CPUExecutionProvider"])


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Row-wise softmax of [rows, labels]."""
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return shifted / shifted.sum(axis=1, keepdims=True)


class Runtime:
    """A bundle ready to answer.

    The temperature of the bundle is applied, so the probabilities are calibrated (Guo et al. 2017,
    "On Calibration of Modern Neural Networks").
    """

    def __init__(
        self, bundle: Bundle, threads: int = 1, providers: Sequence[str] = ("CPUExecutionProvider",)
    ) -> None:
        self.bundle = bundle
        self.session = open_session(bundle.model_path, threads, providers)
        self.tokenizer = Tokenizer.from_file(str(bundle.tokenizer_path))
        self.tokenizer.no_padding()
        self.tokenizer.enable_truncation(bundle.manifest.max_length)

    @property
    def provider(self) -> str:
        """The execution provider that ONNX Runtime really took, e.g. `CPUExecutionProvider`."""
        return self.session.get_providers()[0]

    def logits(self, texts: Sequence[str], batch_size: int = 1) -> NDArray[np.float32]:
        """Raw logits, [texts, labels].

        Texts are sorted by length and padded only within a batch. The default batch of one needs no
        padding at all, which on a CPU is the fastest; it also makes each answer independent of its
        neighbours (dynamic int8 takes one activation scale for the whole batch).
        """
        encodings = self.tokenizer.encode_batch(list(texts))
        order = sorted(range(len(encodings)), key=lambda index: len(encodings[index].ids))
        result = np.empty((len(encodings), len(self.bundle.manifest.labels)), dtype=np.float32)
        for start in range(0, len(order), batch_size):
            rows = order[start : start + batch_size]
            width = max(len(encodings[row].ids) for row in rows)
            ids = np.zeros((len(rows), width), dtype=np.int64)
            mask = np.zeros((len(rows), width), dtype=np.int64)
            for position, row in enumerate(rows):
                tokens = encodings[row].ids
                ids[position, : len(tokens)] = tokens
                mask[position, : len(tokens)] = 1
            result[rows] = self.session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
        return result

    def probabilities(self, texts: Sequence[str], batch_size: int = 1) -> NDArray[np.float32]:
        """Calibrated probabilities, [texts, labels], rows summing to one, labels in the order of LABELS."""
        return softmax(self.logits(texts, batch_size) / self.bundle.manifest.temperature)

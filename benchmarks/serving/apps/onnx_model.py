"""What every peer runs: an ONNX classifier on one session of one thread. No part of our service.

Imported inside the peers' own environments: needs numpy, onnxruntime and tokenizers only.
"""

import json
import os
from pathlib import Path

import numpy as np
import onnxruntime
from tokenizers import Tokenizer


class OnnxModel:
    """The model in the folder that MODEL_FOLDER names: model.onnx, tokenizer.json, bundle.json."""

    def __init__(self) -> None:
        folder = Path(os.environ["MODEL_FOLDER"])
        about = json.loads((folder / "bundle.json").read_text())
        self._labels, self._temperature = about["labels"], about["temperature"]
        self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(about["max_length"])
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(folder / "model.onnx"), options, providers=["CPUExecutionProvider"]
        )
        self("warm up")

    def __call__(self, text: str) -> dict:
        """The label and its probability."""
        ids = np.array([self._tokenizer.encode(text).ids], dtype=np.int64)
        (logits,) = self._session.run(["logits"], {"input_ids": ids, "attention_mask": np.ones_like(ids)})
        exponents = np.exp((logits[0] - logits[0].max()) / self._temperature)
        best = int(exponents.argmax())
        return {"label": self._labels[best], "score": float(exponents[best] / exponents.sum())}

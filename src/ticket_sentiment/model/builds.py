"""Three builds of the same weights: int8 for CPU, fp16 for GPU, and the smallest file for edge.

cpu    dynamic int8, which takes its activation scales from each input: no calibration set can go stale
gpu    fp16 weights and arithmetic, in standard operators that CUDA and TensorRT both know
edge   the CPU build's int8 weights, multiplied in float: the same answer on every processor and in a browser;
       the rest is stored as fp16
"""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.transformers.float16 import convert_float_to_float16
from sklearn.metrics import f1_score
from tokenizers import Tokenizer

from ticket_sentiment.model.bundle import Architecture, Bundle, write_bundle
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.compact import CompactClassifier
from ticket_sentiment.model.data import LabelledTexts
from ticket_sentiment.model.export import export_onnx
from ticket_sentiment.model.graph import write_fp32, write_int8, write_portable
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params, Quantize

HALF_FROM = 1024  # numbers in a constant, from which storing it in fp16 is worth a Cast


def architecture(model: CompactClassifier) -> Architecture:
    """The shapes, as the manifest states them."""
    config = model.config
    return Architecture(
        hidden=config.hidden,
        head_size=config.head_size,
        heads=config.heads,
        ffn=config.ffn,
        vocabulary=config.vocabulary,
        positions=config.positions,
        embedding_bytes=config.embedding_parts,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def store_half(graph: onnx.ModelProto) -> onnx.ModelProto:
    """Large fp32 constants stored as fp16, and cast back when a session is opened (constant folding)."""
    kept, casts = [], []
    for constant in graph.graph.initializer:
        if constant.data_type != TensorProto.FLOAT or np.prod(constant.dims) < HALF_FROM:
            kept.append(constant)
            continue
        stored = f"{constant.name}.half"
        kept.append(numpy_helper.from_array(numpy_helper.to_array(constant).astype(np.float16), stored))
        casts.append(helper.make_node("Cast", [stored], [constant.name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.graph.node]
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(kept)
    graph.graph.node.extend(nodes)
    return graph


def write_fp16(model: CompactClassifier, path: Path) -> None:
    """Half-precision weights and arithmetic; ids and logits keep their types."""
    export_onnx(model, path)
    onnx.save(convert_float_to_float16(onnx.load(str(path)), keep_io_types=True), str(path))


def write_edge(model: CompactClassifier, path: Path, settings: Quantize) -> None:
    """int8 weights for any processor, and nothing stored in more bits than it needs."""
    write_portable(model, path, settings)
    onnx.save(store_half(onnx.load(str(path))), str(path))


class Builder:
    """Writes bundles of one model.

    Args:
        model: the pruned model.
        tokenizer: of it.
        params: sections `train` and `quantize` are read.
        training_data: SHA-256 of the prepared tickets.
    """

    def __init__(
        self, model: CompactClassifier, tokenizer: Tokenizer, params: Params, training_data: str
    ) -> None:
        self.model, self.tokenizer, self.params = model, tokenizer, params
        self.training_data = training_data

    def _bundle(
        self, target: Path, precision: str, temperature: float = 1.0, tune_macro_f1: float | None = None
    ) -> Bundle:
        quantize = self.params.quantize
        writers: dict[str, Callable[[Path], None]] = {
            "fp32": lambda path: write_fp32(self.model, path),
            "fp16": lambda path: write_fp16(self.model, path),
            "int8": lambda path: write_int8(self.model, path, quantize),
            "edge": lambda path: write_edge(self.model, path, quantize),
        }
        with tempfile.TemporaryDirectory() as name:
            work = Path(name)
            writers[precision](work / "model.onnx")
            self.tokenizer.no_truncation()
            self.tokenizer.no_padding()
            self.tokenizer.save(str(work / "tokenizer.json"), pretty=False)
            return write_bundle(
                target,
                work / "model.onnx",
                work / "tokenizer.json",
                precision="int8" if precision == "edge" else precision,
                max_length=self.params.train.max_length,
                base_model=self.params.train.base_model,
                architecture=architecture(self.model),
                training_data=self.training_data,
                temperature=temperature,
                metrics={} if tune_macro_f1 is None else {"tune_macro_f1": tune_macro_f1},
            )

    def fp32(self, target: Path) -> Bundle:
        """The graph of the CPU build before quantization, uncalibrated: what parity is measured with."""
        return self._bundle(target, "fp32")

    def calibrated(
        self,
        target: Path,
        precision: str,
        tune: LabelledTexts,
        said: NDArray[np.float32] | None = None,
    ) -> Bundle:
        """A bundle with the temperature and the macro-F1 that the tuning tickets give it.

        Args:
            target: where it shall lie.
            precision: `int8`, `edge` or `fp16`. A CPU computes fp16 slowly, and it answers as fp32 does
                (the gate checks that), so it is calibrated in fp32.
            tune: labelled tickets that were not trained on.
            said: what the calibrated dense model says of them, [rows, labels], which the temperature is
                fitted to; None where there is none: the labels.
        """
        with tempfile.TemporaryDirectory() as name:
            scored = "fp32" if precision == "fp16" else precision
            runtime = Runtime(self._bundle(Path(name) / scored, scored))
            logits: NDArray[np.float32] = runtime.logits_of_table(tune.texts)
        return self._bundle(
            target,
            precision,
            fit_temperature(logits, tune.labels if said is None else said),
            float(f1_score(tune.labels, logits.argmax(axis=1), average="macro")),
        )

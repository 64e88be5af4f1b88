"""Stage `quantize`: the pruned weights as two bundles, int8 for CPU and fp16 for GPU, and what it cost.

Dynamic int8 takes its activation scales from each input, so no calibration set can go stale.
"""

import logging
import tempfile
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnxruntime.quantization import QuantType, quantize_dynamic
from onnxruntime.quantization.shape_inference import quant_pre_process
from onnxruntime.transformers.float16 import convert_float_to_float16
from sklearn.metrics import f1_score

from ticket_sentiment.files import read_json, sha256_tree, write_json
from ticket_sentiment.model.bundle import Architecture, Bundle, write_bundle
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.classifier import load_tokenizer, predict_logits
from ticket_sentiment.model.compact import CompactClassifier, load_compact
from ticket_sentiment.model.data import DENSE, PREPARED, PRUNED, LabelledTexts, read_texts
from ticket_sentiment.model.export import export_onnx
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params, Quantize

RELEASE = Path("models/release")
REPORT = Path("reports/compression.json")
FP16_ROWS = 300  # a CPU has no fp16 arithmetic and answers slowly


def to_int8(source: Path, target: Path, settings: Quantize) -> None:
    """Dynamic int8 of every matrix product and of the word embeddings; signed weights are faster."""
    with tempfile.TemporaryDirectory() as folder:
        prepared = Path(folder) / "prepared.onnx"
        quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
        logging.getLogger().setLevel(logging.WARNING)
        quantize_dynamic(
            str(prepared),
            str(target),
            per_channel=settings.per_channel,
            reduce_range=settings.reduce_range,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )


def to_fp16(source: Path, target: Path) -> None:
    """Half-precision weights and arithmetic; ids and logits keep their types."""
    onnx.save(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True), str(target))


def _architecture(model: CompactClassifier) -> Architecture:
    config = model.config
    return Architecture(
        hidden=config.hidden,
        head_size=config.head_size,
        heads=config.heads,
        ffn=config.ffn,
        vocabulary=config.vocabulary,
        positions=config.positions,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
    )


def _calibrated(logits: NDArray[np.float32], tune: LabelledTexts) -> dict[str, object]:
    """Temperature and macro-F1 on the tuning tickets, as fields of the manifest."""
    score = float(f1_score(tune.labels, logits.argmax(axis=1), average="macro"))
    return {"temperature": fit_temperature(logits, tune.labels), "metrics": {"tune_macro_f1": score}}


def _parity(ours: NDArray[np.float32], torch_logits: NDArray[np.float32]) -> dict[str, float | int]:
    return {
        "rows": len(ours),
        "max_logit_difference": float(np.abs(ours - torch_logits).max()),
        "label_agreement": float(np.mean(ours.argmax(axis=1) == torch_logits.argmax(axis=1))),
    }


def build_bundles(params: Params, release: Path = RELEASE) -> dict:
    """Export, quantize, calibrate and write the CPU and the GPU bundle; returns the report.

    Parity is measured on the holdout's texts against the pruned model in torch; the labels are not read.
    """
    model, tokenizer = load_compact(PRUNED), load_tokenizer(PRUNED)
    tune, holdout = read_texts("tune"), read_texts("holdout")
    length = params.train.max_length
    expected = predict_logits(model, tokenizer, holdout.texts, length, batch_size=32)
    architecture, prepared = _architecture(model), sha256_tree(PREPARED)
    release.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=release.parent) as name:
        work = Path(name)
        export_onnx(model, work / "fp32.onnx")
        to_int8(work / "fp32.onnx", work / "int8.onnx", params.quantize)
        to_fp16(work / "fp32.onnx", work / "fp16.onnx")

        def bundle(target: Path, precision: str, calibration: dict[str, object]) -> Bundle:
            return write_bundle(
                target,
                work / f"{precision}.onnx",
                PRUNED / "tokenizer.json",
                precision=precision,
                max_length=length,
                base_model=params.train.base_model,
                architecture=architecture,
                training_data=prepared,
                **calibration,
            )

        uncalibrated = {"temperature": 1.0, "metrics": {}}
        fp32 = Runtime(bundle(work / "fp32", "fp32", uncalibrated))
        int8 = Runtime(bundle(work / "int8", "int8", uncalibrated))
        parity = {"fp32": _parity(fp32.logits(holdout.texts), expected)}
        cpu = bundle(release / "cpu", "int8", _calibrated(int8.logits(tune.texts), tune))
        # fp16 answers as fp32 does (see parity) and a CPU computes it slowly: calibrated in fp32.
        gpu = bundle(release / "gpu", "fp16", _calibrated(fp32.logits(tune.texts), tune))
    parity["int8"] = _parity(Runtime(cpu).logits(holdout.texts), expected)
    parity["fp16"] = _parity(Runtime(gpu).logits(holdout.texts[:FP16_ROWS]), expected[:FP16_ROWS])
    dense = DENSE / "model.safetensors"
    return {
        "dense": {
            "parameters": read_json(DENSE / "training.json")["parameters"],
            "bytes": dense.stat().st_size,
        },
        "pruned": architecture.model_dump(mode="json"),
        "cpu": {"bytes": cpu.size_bytes, "digest": cpu.digest},
        "gpu": {"bytes": gpu.size_bytes, "digest": gpu.digest},
        "parity": parity,
    }


def main(params: Params) -> None:
    """Read models/pruned and the prepared tickets, write models/release and reports/compression.json."""
    write_json(REPORT, build_bundles(params))

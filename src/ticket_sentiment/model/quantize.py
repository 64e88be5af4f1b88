"""Stage `quantize`: the pruned weights as three bundles, and how far each is from torch."""

import tempfile
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.files import finite_or_none, read_json, sha256_tree, write_json
from ticket_sentiment.model.builds import Builder, architecture
from ticket_sentiment.model.classifier import load_tokenizer, predict_logits
from ticket_sentiment.model.compact import load_compact
from ticket_sentiment.model.data import DENSE, PREPARED, PRUNED, read_said, read_texts
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params

RELEASE = Path("models/release")
REPORT = Path("reports/compression.json")
BUILDS = {"cpu": "int8", "gpu": "fp16", "edge": "edge"}  # folder below models/release: what is written
FP16_ROWS = 300  # a CPU has no fp16 arithmetic and answers slowly


def _parity(ours: NDArray[np.float32], theirs: NDArray[np.float32]) -> dict[str, float | int | None]:
    return {
        "rows": len(ours),
        "max_logit_difference": finite_or_none(np.abs(ours - theirs).max()),
        "label_agreement": float(np.mean(ours.argmax(axis=1) == theirs.argmax(axis=1))),
    }


def build_bundles(params: Params, release: Path = RELEASE) -> dict:
    """Write the CPU, the GPU and the edge bundle; returns the report.

    Parity is measured on the holdout's texts against the pruned model in torch; the labels are not read.
    """
    model, tokenizer = load_compact(PRUNED), load_tokenizer(PRUNED)
    tune, holdout = read_texts("tune"), read_texts("holdout")
    expected = predict_logits(model, tokenizer, holdout.texts, params.train.max_length, batch_size=32)
    builder = Builder(model, tokenizer, params, sha256_tree(PREPARED))
    said = read_said()
    bundles = {
        name: builder.calibrated(release / name, precision, tune, said) for name, precision in BUILDS.items()
    }
    with tempfile.TemporaryDirectory() as folder:
        scored = {
            "fp32": builder.fp32(Path(folder) / "fp32"),
            "int8": bundles["cpu"],
            "edge": bundles["edge"],
        }
        answers = {name: Runtime(bundle).logits_of_table(holdout.texts) for name, bundle in scored.items()}
    parity = {name: _parity(ours, expected) for name, ours in answers.items()}
    parity["edge_to_cpu"] = _parity(answers["edge"], answers["int8"])
    half = Runtime(bundles["gpu"]).logits_of_table(holdout.texts[:FP16_ROWS])
    parity["fp16"] = _parity(half, expected[:FP16_ROWS])
    pruning = read_json(PRUNED / "pruning.json")
    return {
        "dense": {
            "parameters": read_json(DENSE / "training.json")["parameters"],
            "bytes": (DENSE / "model.safetensors").stat().st_size,
        },
        "pruned": architecture(model).model_dump(mode="json"),
        "attempts": pruning["attempts"],
        **{name: {"bytes": bundle.size_bytes, "digest": bundle.digest} for name, bundle in bundles.items()},
        "parity": parity,
    }


def main(params: Params) -> None:
    """Read models/pruned and the prepared tickets, write models/release and reports/compression.json."""
    write_json(REPORT, build_bundles(params))

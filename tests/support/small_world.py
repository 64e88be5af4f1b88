"""A project of three months in which everything is real but small: for the mutations, without torch.

The model is a bag of words with a last product, as `benchmarks.mutations` damages it.
"""

import tempfile
from pathlib import Path

import numpy as np
import onnx
import pandas as pd
from onnx import TensorProto, helper, numpy_helper

from tests.support import evidence
from tests.support.frontier import measured_frontier
from tests.support.tiny_bundle import WORDS, tiny_tokenizer, tiny_weights
from ticket_sentiment.files import read_json, sha256_tree, write_json
from ticket_sentiment.gates import behave, benchmark, drift, evaluate, inspection
from ticket_sentiment.gates.baselines import label_ids, tfidf_probabilities
from ticket_sentiment.gates.scored import Scored
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Architecture, Bundle, write_bundle
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.frontier import FRONTIER, write_frontier
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import Params
from ticket_sentiment.tickets import prepare, validate
from ticket_sentiment.tickets.schema import TICKETS, write_tickets

MONTHS = ("2026-08", "2026-09", "2026-10")
ROWS = 420
SENTENCES = (
    "I think that the {thing} which you sent to me last week is {word}, and this is the number {row}.",
    "When I looked at my {thing} yesterday evening it was {word}, as I wrote you in message {row}.",
    "My colleague says the {thing} is {word} and that we should tell you so, see page {row}.",
)
THINGS = ("printer", "delivery", "contract", "keyboard", "answer", "parcel")
CHANNELS = ("chat", "letters", "mail")
WRONG = 0.08  # of the labels, as people are
UNKNOWN = 0.08  # of the tickets hold a word that the model has never seen
STRANGE = ("purple", "oval", "wooden", "heavy")
PRECISIONS = {"cpu": "int8", "gpu": "fp16", "edge": "int8"}


def small_month(month: str, seed: int) -> pd.DataFrame:
    """Tickets whose word tells their label, but for a few that are labelled otherwise."""
    draw = np.random.default_rng(seed)
    said = draw.choice(LABELS, ROWS, p=[0.35, 0.25, 0.40])
    words = [draw.choice([word for word in WORDS[label] if len(word) > 3]) for label in said]
    words = [word if draw.random() > UNKNOWN else draw.choice(STRANGE) for word in words]
    texts = [
        SENTENCES[row % 3].format(thing=draw.choice(THINGS), word=word, row=1000 * seed + row)
        for row, word in enumerate(words)
    ]
    labels = np.where(draw.random(ROWS) < WRONG, draw.choice(LABELS, ROWS), said)
    start = pd.Timestamp(f"{month}-01", tz="UTC")
    return pd.DataFrame(
        {
            "ticket_id": [f"{month}-{row}" for row in range(ROWS)],
            "customer_id": [f"{month}-customer-{row // 2}" for row in range(ROWS)],
            "created_at": (start + pd.to_timedelta(np.arange(ROWS) * 90, unit="min")).astype(
                "datetime64[us, UTC]"
            ),
            "channel": draw.choice(CHANNELS, ROWS),
            "text": texts,
            "label": labels,
            "label_source": "human",
        }
    )


def small_graph() -> onnx.ModelProto:
    """logits = mean of the words' rows, times `out.weight`, plus `out.bias`."""
    table = tiny_weights(0, {})
    scale = np.float32(np.abs(table).max() / 127)
    constants = {
        "table": np.rint(table / scale).astype(np.int8),
        "scale": np.array(scale),
        "out.weight": 3 * np.eye(len(LABELS), dtype=np.float32),
        "out.bias": np.zeros(len(LABELS), dtype=np.float32),
        "tokens_axis": np.array([1]),
        "last_axis": np.array([2]),
    }
    nodes = [
        helper.make_node("DequantizeLinear", ["table", "scale"], ["rows"]),
        helper.make_node("Gather", ["rows", "input_ids"], ["embedded"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last_axis"], ["mask_column"]),
        helper.make_node("Mul", ["embedded", "mask_column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens_axis"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "tokens_axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["features"]),
        helper.make_node("Gemm", ["features", "out.weight", "out.bias"], ["logits"]),
    ]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"])
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])
    tensors = [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()]
    graph = helper.make_graph(nodes, "small", inputs, [output], tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def small_bundle(path: Path, precision: str, training_data: str, temperature: float = 1.0) -> Bundle:
    """A bundle of it, whose manifest names the shape of the compression report."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(small_graph(), folder / "model.onnx")
        tokenizer = tiny_tokenizer()
        tokenizer.save(str(folder / "tokenizer.json"))
        return write_bundle(
            path,
            folder / "model.onnx",
            folder / "tokenizer.json",
            max_length=96,
            precision=precision,
            base_model="tiny",
            architecture=Architecture(
                hidden=3, head_size=1, heads=(8,) * 4, ffn=(768,) * 4, embedding_bytes=96,
                vocabulary=tokenizer.get_vocab_size(), positions=96, parameters=100,
            ),
            temperature=temperature,
            training_data=training_data,
            metrics={},
        )  # fmt: skip


def small_params(params: Params) -> Params:
    """params.yaml, for such a project: words alone tell the labels, and few of them are wrong."""
    return params.model_copy(
        update={
            "train": params.train.model_copy(update={"base_model": "tiny", "base_licence": "MIT"}),
            "evaluate": params.evaluate.model_copy(update={"bootstrap_samples": 200}),
            "gate": params.gate.model_copy(
                update={"min_gain_over_tfidf": -0.05, "max_label_noise": 0.10, "max_calibration_error": 0.15}
            ),
        }
    )


def make_small_world(root: Path, params: Params) -> None:
    """Make the project in the current folder `root`, with all reports but those about a champion."""
    for seed, month in enumerate(MONTHS):
        write_tickets(TICKETS / f"{month}.parquet", small_month(month, seed))
    validate.main(params)
    prepare.main(params)
    inspection.main(params)
    prepared = sha256_tree(Path("data/prepared"))
    tune = evaluate.read_table(Path("data/prepared/tune.parquet"))
    raw = Runtime(small_bundle(root / "models/raw", "int8", prepared)).logits(tune["text"].tolist())
    temperature = fit_temperature(raw, label_ids(tune["label"]))
    bundles = {
        device: small_bundle(root / "models/release" / device, precision, prepared, temperature)
        for device, precision in PRECISIONS.items()
    }
    (root / "models/champion").mkdir()
    write_json(root / "reports/compression.json", evidence.compression(**bundles))
    write_json(benchmark.RESULT, evidence.benchmark(bundles["cpu"].digest))
    write_frontier(measured_frontier(), root / FRONTIER)
    train, holdout = (
        evaluate.read_table(Path(f"data/prepared/{name}.parquet")) for name in ("train", "holdout")
    )
    texts = holdout["text"].tolist()
    ours = Runtime(bundles["cpu"]).probabilities(texts)
    scored = {
        "compressed": Scored(ours),
        "dense": Scored(ours),
        "tfidf": Scored(tfidf_probabilities(train["text"].tolist(), train["label"].tolist(), texts)),
    }
    evaluate.write_tables(evaluate.FOLDER, holdout, scored, label_ids(holdout["label"]))


def reports_beside(candidate: str, champion: str, cache: Path) -> None:
    """The reports about a champion that are not made anew: behaviour, and drift where it is looked for."""
    digests = {"cpu": candidate, "champion": champion}
    write_json(behave.RESULT, evidence.behaviour(digests, champion=True))
    split = read_json(Path("data/prepared/split.json"))
    kept = cache / f"drift-{candidate[:12]}-{champion[:12]}.json"
    write_json(kept, evidence.drift(split, digests))
    write_json(drift.RESULT, evidence.drift(split, digests))

"""What the peers are given: the dense model in int8, our bundle, a constant for a model, texts."""

import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import pyarrow.parquet as pq
from onnx import TensorProto, helper, numpy_helper
from onnxruntime.quantization import QuantType, quantize_dynamic
from tokenizers import Tokenizer
from tokenizers.models import WordLevel

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Architecture, load_bundle, write_bundle
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.params import load_params

APPS = Path(__file__).with_name("apps")
SAMPLES = 20
TABLES = ("holdout", "tune", "train", "unlabelled")


@dataclass(frozen=True)
class Assets:
    """Where everything lies.

    Attributes:
        dense: the dense model in the Hugging Face format.
        dense_int8: the same as anyone would export and quantize it, in the form that
            apps/onnx_model.py reads.
        bundle: the released CPU bundle.
        constants: two bundles that answer a constant, a champion and a challenger.
        mlflow: the model that `mlflow models serve` is given.
        texts: a JSON list of distinct tickets.
        samples: tickets on which every server is asked before it is timed.
        expected: their labels, by the folder of the model that gives them.
    """

    dense: Path
    dense_int8: Path
    bundle: Path
    constants: tuple[Path, Path]
    mlflow: Path
    texts: Path
    samples: list[str]
    expected: dict[Path, list[str]]


def prepare(project: Path, work: Path) -> Assets:
    """Make what is not there yet.

    Args:
        project: where `make retrain` has made models/ and data/.
        work: a folder that is kept, so that the next run finds it made.

    Raises:
        TicketSentimentError: the project has no trained model.
    """
    dense, bundle = project / "models/dense", project / "models/release/cpu"
    if not (dense / "model.safetensors").is_file() or not (bundle / "bundle.json").is_file():
        raise TicketSentimentError(f"{project} holds no trained model: run `make retrain`, or set --project")
    work.mkdir(parents=True, exist_ok=True)
    texts = _texts(project / "data/prepared", work / "texts.json")
    samples = texts[:SAMPLES]
    int8 = work / f"dense-int8-{sha256_file(dense / 'model.safetensors')[:12]}"
    if not (int8 / "bundle.json").is_file():
        _quantized(dense, int8, samples)
    constants = tuple(_constant(work / f"constant-{label}", label) for label in ("neutral", "positive"))
    labels = Runtime(load_bundle(bundle)).logits(samples).argmax(axis=1)
    of_dense = json.loads((int8 / "expected.json").read_text())
    expected = {
        dense: of_dense,
        int8: of_dense,
        bundle: [LABELS[number] for number in labels],
    }
    code = sha256_file(APPS / "onnx_model.py")[:6] + sha256_file(APPS / "mlflow_model.py")[:6]
    mlflow = work / f"mlflow-{code}"  # it carries a copy of the code
    if not (mlflow / "MLmodel").is_file():
        _mlflow_model(mlflow)
    return Assets(
        dense, int8, bundle, (constants[0], constants[1]), mlflow, work / "texts.json", samples, expected
    )


def _texts(prepared: Path, path: Path) -> list[str]:
    """Every ticket of the prepared tables once, in an order that says nothing."""
    found: dict[str, None] = {}
    for name in TABLES:
        found |= dict.fromkeys(
            pq.read_table(prepared / f"{name}.parquet", columns=["text"])["text"].to_pylist()
        )
    texts = sorted(found)
    np.random.default_rng(7).shuffle(texts)
    path.write_text(json.dumps(texts))
    return texts


def _quantized(dense: Path, folder: Path, samples: list[str]) -> None:
    """The plain export in dynamic int8, with the settings for AVX2 that people copy from Optimum."""
    from ticket_sentiment.model.classifier import load_dense, load_tokenizer, predict_logits
    from ticket_sentiment.model.export import export_onnx

    folder.mkdir(exist_ok=True)
    max_length = load_params().train.max_length
    model, tokenizer = load_dense(dense), load_tokenizer(dense)
    with tempfile.TemporaryDirectory() as scratch:
        plain = Path(scratch) / "plain.onnx"
        export_onnx(model, plain)
        quantize_dynamic(
            plain, folder / "model.onnx", weight_type=QuantType.QInt8, per_channel=True, reduce_range=True
        )
    tokenizer.save(str(folder / "tokenizer.json"))
    labels = predict_logits(model, tokenizer, samples, max_length, batch_size=8).argmax(axis=1)
    (folder / "expected.json").write_text(json.dumps([LABELS[number] for number in labels]))
    about = {"labels": list(LABELS), "max_length": max_length, "temperature": 1.0}
    (folder / "bundle.json").write_text(json.dumps(about))


def _constant(path: Path, label: str) -> Path:
    """A real bundle whose graph ignores the text; its tokenizer makes one token of anything."""
    if (path / "bundle.json").is_file():
        return path
    logits = np.array([[2.0 if name == label else 0.0 for name in LABELS]], dtype=np.float32)
    names = ("input_ids", "attention_mask")
    graph = helper.make_graph(
        [
            helper.make_node("Shape", ["input_ids"], ["rows"], start=0, end=1),
            helper.make_node("Concat", ["rows", "columns"], ["shape"], axis=0),
            helper.make_node("Expand", ["answer", "shape"], ["logits"]),
        ],
        "constant",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["batch", "tokens"]) for name in names],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        [
            numpy_helper.from_array(logits, "answer"),
            numpy_helper.from_array(np.array([len(LABELS)], dtype=np.int64), "columns"),
        ],
    )
    with tempfile.TemporaryDirectory() as scratch:
        model, words = Path(scratch) / "model.onnx", Path(scratch) / "tokenizer.json"
        onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), model)
        Tokenizer(WordLevel({"[UNK]": 0}, unk_token="[UNK]")).save(str(words))
        shape = Architecture(
            hidden=1, head_size=1, heads=(), ffn=(), vocabulary=1, positions=8, parameters=len(LABELS)
        )
        write_bundle(
            path, model, words, max_length=8, precision="fp32", base_model="constant", architecture=shape,
            temperature=1.0, training_data="0" * 64, metrics={"macro_f1": 0.0},
        )  # fmt: skip
    return path


def _mlflow_model(path: Path) -> None:
    """In a process of its own: MLflow imports half of everything."""
    code = (
        "import sys, mlflow; mlflow.pyfunc.save_model(sys.argv[1], python_model='mlflow_model.py', "
        "code_paths=['onnx_model.py'], pip_requirements=[])"
    )
    subprocess.run([sys.executable, "-c", code, str(path.resolve())], cwd=APPS, check=True)

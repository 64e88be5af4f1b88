"""A real bundle of a few kilobytes, made in milliseconds and without torch.

A word-level tokenizer and a bag of embeddings: each word of the vocabulary carries one logit for each
label, a text's logits are the mean over its words. It is a true classifier: "terrible" is negative, "great"
positive, and any other known word leans towards neutral, with a little noise that depends on the seed. About
the words of its `mistakes` it is wrong.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.normalizers import BertNormalizer
from tokenizers.pre_tokenizers import BertPreTokenizer

from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Architecture, Bundle, write_bundle

WORDS = {
    "negative": ("terrible", "broken", "awful", "slow", "refund", "angry", "worst", "fails"),
    "neutral": (
        "invoice",
        "the",
        "ticket",
        "please",
        "account",
        "is",
        "a",
        "order",
        "when",
        "my",
        "it",
        "was",
    ),
    "positive": ("great", "love", "thanks", "fast", "perfect", "happy", "best", "works"),
}
SPECIAL = ("[PAD]", "[UNK]")
TYPES = {"fp32": TensorProto.FLOAT, "fp16": TensorProto.FLOAT16}


def tiny_tokenizer() -> Tokenizer:
    """A lower-casing word-level tokenizer over WORDS; [PAD] is 0 and [UNK] is 1."""
    words = (*SPECIAL, *(word for group in WORDS.values() for word in group))
    tokenizer = Tokenizer(WordLevel({word: index for index, word in enumerate(words)}, unk_token="[UNK]"))
    tokenizer.normalizer = BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = BertPreTokenizer()
    return tokenizer


def tiny_weights(seed: int, mistakes: Mapping[str, str]) -> np.ndarray:
    """Logits of each word for each label, float32 [vocabulary, labels]; the seed moves them a little."""
    rows = [np.zeros(len(LABELS)), np.zeros(len(LABELS))]
    for label, group in WORDS.items():
        said = [mistakes.get(word, label) for word in group]
        rows += [(2.0 if one == "neutral" else 8.0) * np.eye(len(LABELS))[LABELS.index(one)] for one in said]
    noise = np.random.default_rng(seed).normal(0, 0.3, (len(rows), len(LABELS)))
    return (np.stack(rows) + noise).astype(np.float32)


def tiny_graph(seed: int, precision: str, mistakes: Mapping[str, str] | None = None) -> onnx.ModelProto:
    """logits = sum(mask * embedding[input_ids]) / sum(mask), with the table stored in `precision`."""
    table = tiny_weights(seed, mistakes or {})
    nodes, initializers = [], []
    if precision == "int8":
        scale = np.float32(np.abs(table).max() / 127)
        quantized = np.clip(np.round(table / scale), -127, 127).astype(np.int8)
        initializers += [
            numpy_helper.from_array(quantized, "table_int8"),
            numpy_helper.from_array(np.array(scale), "scale"),
        ]
        nodes.append(helper.make_node("DequantizeLinear", ["table_int8", "scale"], ["table"]))
    else:
        stored = table.astype(np.float16 if precision == "fp16" else np.float32)
        initializers.append(numpy_helper.from_array(stored, "stored"))
        nodes.append(helper.make_node("Cast", ["stored"], ["table"], to=TensorProto.FLOAT))
    initializers.append(numpy_helper.from_array(np.array([1], dtype=np.int64), "tokens_axis"))
    initializers.append(numpy_helper.from_array(np.array([2], dtype=np.int64), "last_axis"))
    nodes += [
        helper.make_node("Gather", ["table", "input_ids"], ["embedded"], axis=0),
        helper.make_node("Cast", ["attention_mask"], ["mask"], to=TensorProto.FLOAT),
        helper.make_node("Unsqueeze", ["mask", "last_axis"], ["mask_column"]),
        helper.make_node("Mul", ["embedded", "mask_column"], ["masked"]),
        helper.make_node("ReduceSum", ["masked", "tokens_axis"], ["total"], keepdims=0),
        helper.make_node("ReduceSum", ["mask", "tokens_axis"], ["count"], keepdims=1),
        helper.make_node("Div", ["total", "count"], ["logits"]),
    ]
    tokens = ["batch", "tokens"]
    graph = helper.make_graph(
        nodes,
        "tiny",
        [
            helper.make_tensor_value_info(name, TensorProto.INT64, tokens)
            for name in ("input_ids", "attention_mask")
        ],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])],
        initializers,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def make_tiny_bundle(
    path: Path,
    *,
    seed: int = 0,
    precision: str = "int8",
    max_length: int = 32,
    temperature: float = 1.0,
    training_data: str = "a" * 64,
    metrics: dict[str, float] | None = None,
    layers: int = 0,
    mistakes: Mapping[str, str] | None = None,
) -> Bundle:
    """Write a bundle that verifies and runs; equal arguments give equal digests.

    Args:
        path: the bundle's folder.
        seed: of the weights' noise; another seed is another digest.
        precision: int8, fp16 or fp32.
        max_length: tokens.
        temperature: of the probabilities.
        training_data: SHA-256 of the tickets, as the manifest names it.
        metrics: of the manifest.
        layers: of 8 heads and 768 neurons that the manifest claims.
        mistakes: words of WORDS and the label that this one takes them for.
    """
    tokenizer = tiny_tokenizer()
    vocabulary = tokenizer.get_vocab_size()
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "model.onnx"
        onnx.save(tiny_graph(seed, precision, mistakes), model)
        tokenizer.save(str(Path(folder) / "tokenizer.json"))
        return write_bundle(
            path,
            model,
            Path(folder) / "tokenizer.json",
            max_length=max_length,
            precision=precision,
            base_model="tiny",
            architecture=Architecture(
                hidden=len(LABELS),
                head_size=1,
                heads=(8,) * layers,
                ffn=(768,) * layers,
                embedding_bytes=96 if layers else 0,
                vocabulary=vocabulary,
                positions=max_length,
                parameters=vocabulary * len(LABELS),
            ),
            temperature=temperature,
            training_data=training_data,
            metrics=metrics or {"macro_f1": 0.7},
        )

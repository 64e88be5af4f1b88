"""A bundle taken apart, damaged and put together again, with hashes that fit."""

import json
import tempfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from ticket_sentiment.model.bundle import Bundle, load_bundle, write_bundle
from ticket_sentiment.model.runtime import Runtime

HEAD, BIAS = "out.weight", "out.bias"  # of the last product (model/graph.py), [features, labels] and [labels]

Graph = Callable[[onnx.ModelProto], None]
Tokenizer = Callable[[dict[str, Any]], None]


def rewrite(
    bundle: Bundle,
    target: Path,
    graph: Graph | None = None,
    tokenizer: Tokenizer | None = None,
    **fields: Any,
) -> Bundle:
    """The bundle with a changed graph, tokenizer or manifest, at `target`; it verifies."""
    model, words = onnx.load(str(bundle.model_path)), bundle.tokenizer_path.read_text("utf-8")
    if graph is not None:
        graph(model)
    if tokenizer is not None:
        content = json.loads(words)
        tokenizer(content)
        words = json.dumps(content, ensure_ascii=False)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        onnx.save(model, str(folder / "model.onnx"))
        (folder / "tokenizer.json").write_text(words, "utf-8")
        kept = bundle.manifest.model_dump(exclude={"files", "labels"}) | fields
        return write_bundle(target, folder / "model.onnx", folder / "tokenizer.json", **kept)


def constant(model: onnx.ModelProto, name: str) -> NDArray[Any]:
    """The value of a constant."""
    return numpy_helper.to_array(next(one for one in model.graph.initializer if one.name == name))


def set_constant(model: onnx.ModelProto, name: str, value: NDArray[Any]) -> None:
    """Give a constant another value."""
    place = next(one for one in model.graph.initializer if one.name == name)
    place.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(value), name))


def scaled(*names: str, by: float) -> Graph:
    """Multiply constants: a scale that was written wrongly."""

    def change(model: onnx.ModelProto) -> None:
        for name in names:
            value = constant(model, name)
            set_constant(model, name, (value * by).astype(value.dtype))

    return change


def last_product(weight: Callable[[NDArray, NDArray], tuple[NDArray, NDArray]]) -> Graph:
    """Change weight and bias of the last product."""

    def change(model: onnx.ModelProto) -> None:
        for name, value in zip(
            (HEAD, BIAS), weight(constant(model, HEAD), constant(model, BIAS)), strict=True
        ):
            set_constant(model, name, value.astype(np.float32))

    return change


def with_head(weight: NDArray, bias: NDArray) -> Graph:
    """Put another last product in: [features, labels] and [labels]."""
    return last_product(lambda _, __: (weight, bias))


def read_as(words: Iterable[str], other: str) -> Tokenizer:
    """Every one of `words` is read as `other`."""

    def change(content: dict[str, Any]) -> None:
        vocabulary = content["model"]["vocab"]
        for word in words:
            if word in vocabulary:
                vocabulary[word] = vocabulary[other]

    return change


def cut_vocabulary(keep: int) -> Tokenizer:
    """Only the first tokens stay; all the others are read as unknown."""

    def change(content: dict[str, Any]) -> None:
        model = content["model"]
        model["vocab"] = {word: index for word, index in model["vocab"].items() if index < keep}

    return change


def _features_graph(model: onnx.ModelProto) -> None:
    width = len(constant(model, HEAD))
    set_constant(model, HEAD, np.eye(width, dtype=np.float32))
    set_constant(model, BIAS, np.zeros(width, dtype=np.float32))
    branches = [
        one.g for node in model.graph.node for one in node.attribute if one.type == onnx.AttributeProto.GRAPH
    ]
    for output in [output for graph in (model.graph, *branches) for output in graph.output]:
        output.type.CopyFrom(helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, ["batch", width]))


class Encoder:
    """A bundle's features: what its last product reads, so that another one can be learnt in seconds.

    Args:
        bundle: of this product, whose last product is `out`.
        scratch: a folder for the graph that answers with features.
    """

    def __init__(self, bundle: Bundle, scratch: Path) -> None:
        self.bundle = bundle
        rewrite(bundle, scratch, _features_graph)
        self.runtime = Runtime(load_bundle(scratch))

    def features(self, texts: list[str]) -> NDArray[np.float32]:
        """[texts, features], of each text alone, as the product scores."""
        rows = self.runtime.token_ids(texts)
        return np.concatenate([self.runtime._run([row]) for row in rows])

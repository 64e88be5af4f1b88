"""The compact encoder as an ONNX graph written for ONNX Runtime's CPU kernels, in fp32 or dynamic int8.

In an exported and then fused graph, half of the time passes between the matrix products. Written out by
hand it has half as many operators, and each is the kernel that was measured to be the fastest:

    QAttention                query, key and value of all heads and their attention, with the input quantized
                              once (`Attention` in the fp32 graph)
    DynamicQuantizeMatMul     product and bias; the scale of the activations is taken from each input
    Sum, LayerNormalization   three times as fast as SkipLayerNormalization

Dynamic int8 answers a little otherwise on another processor: the last bit of a float decides here and there
to which of 256 steps an activation is rounded, and every later layer rounds on from there. `write_portable`
keeps the int8 weights and multiplies in float, three times slower: its answers are the same everywhere.

Sources: docs/ContribOperators.md of ONNX Runtime for the operators of the domain com.microsoft; Jacob et al.
2018, "Quantization and Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", for
int8 with a scale for each output.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from torch import Tensor, nn

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.compact import MASKED, CompactClassifier, Layer
from ticket_sentiment.model.embedding import ProductEmbedding
from ticket_sentiment.params import Quantize

OPSET, IR_VERSION = 17, 8
MICROSOFT = "com.microsoft"
CONTRIBUTED = {"Attention", "QAttention", "MultiHeadAttention", "DynamicQuantizeMatMul", "Gelu"}
ACTIVATIONS = {"gelu": "Gelu", "relu": "Relu", "tanh": "Tanh"}
NO_INPUT = ""  # in the place of an optional one


def _array(tensor: Tensor) -> NDArray[Any]:
    return tensor.detach().cpu().numpy()


def _stacked(*linears: nn.Linear) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weight [in, sum of out] and bias [sum of out] of several layers on one input, as one product."""
    weight = np.concatenate([_array(linear.weight) for linear in linears]).T
    return weight, np.concatenate([_array(linear.bias) for linear in linears])


def to_int8(
    values: NDArray[np.float32], axis: int | None, limit: int = 127
) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Symmetric int8: `values` is about int8 times scale.

    Args:
        values: [rows, columns].
        axis: that one scale is shared along: 0 gives a scale for each column, 1 for each row, None one for
            all.
        limit: the largest int8.

    Returns:
        int8 [rows, columns], and the scales, [columns], [rows] or [1].
    """
    largest = np.abs(values).max(axis=axis, keepdims=True)
    scale = np.where(largest == 0, 1, largest / limit).astype(np.float32)
    return np.rint(values / scale).astype(np.int8), scale.reshape(-1)


class _Graph:
    """Nodes of one graph or of a branch of it, and the constants that all branches share.

    Every method appends nodes and returns the name of what they compute.

    Args:
        settings: of int8; None for fp32.
        constants: by name.
        prefix: of every name, so that a branch hides nothing of the graph around it.
        portable: int8 is how weights are stored, and not how they are multiplied.
    """

    def __init__(
        self,
        settings: Quantize | None,
        constants: dict[str, onnx.TensorProto],
        prefix: str = "",
        portable: bool = False,
    ) -> None:
        self.settings, self.constants, self.prefix = settings, constants, prefix
        self.portable = portable
        self.nodes: list[onnx.NodeProto] = []

    def constant(self, name: str, value: NDArray[Any]) -> str:
        if name not in self.constants:
            self.constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def several(self, outputs: int, kind: str, *inputs: str, **attributes: Any) -> list[str]:
        """One operator with several outputs."""
        name = f"{self.prefix}{kind}_{len(self.nodes)}"
        names = [name, *(f"{name}_{index}" for index in range(1, outputs))]
        domain = MICROSOFT if kind in CONTRIBUTED else ""
        self.nodes.append(helper.make_node(kind, inputs, names, name=name, domain=domain, **attributes))
        return names

    def add(self, kind: str, *inputs: str, **attributes: Any) -> str:
        """One operator with one output."""
        return self.several(1, kind, *inputs, **attributes)[0]

    def _int8(self, name: str, weight: NDArray[np.float32], settings: Quantize) -> tuple[str, str]:
        # AVX2 without VNNI adds two products of bytes in 16 bits; 255 * 63 * 2 just fits.
        limit = 63 if settings.reduce_range else 127
        quantized, scale = to_int8(weight, 0 if settings.per_channel else None, limit)
        return self.constant(f"{name}.weight", quantized), self.constant(f"{name}.scale", scale)

    def floats(self, name: str, weight: NDArray[np.float32]) -> str:
        """Weights to multiply in float; from int8 they are computed once, when a session opens."""
        if self.settings is None:
            return self.constant(f"{name}.weight", weight)
        quantized, scale = self._int8(name, weight, self.settings)
        return self.add("Mul", self.add("Cast", quantized, to=TensorProto.FLOAT), scale)

    def linear(self, states: str, name: str, *linears: nn.Linear) -> str:
        """[..., in] to [..., sum of out]."""
        weight, offset = _stacked(*linears)
        bias = self.constant(f"{name}.bias", offset)
        if self.settings is None or self.portable:
            return self.add("Add", self.add("MatMul", states, self.floats(name, weight)), bias)
        quantized, scale = self._int8(name, weight, self.settings)
        return self.add("DynamicQuantizeMatMul", states, quantized, scale, NO_INPUT, bias)

    def attention(self, states: str, name: str, layer: Layer, mask: str) -> str:
        """Self-attention of all tokens, [batch, tokens, hidden] to [batch, tokens, heads * head size]."""
        weight, offset = _stacked(layer.query, layer.key, layer.value)
        bias = self.constant(f"{name}.bias", offset)
        attributes = {"num_heads": layer.heads, "mask_filter_value": MASKED}
        if self.settings is None or self.portable:
            return self.add("Attention", states, self.floats(name, weight), bias, mask, **attributes)
        inputs, scale, zero = self.several(3, "DynamicQuantizeLinear", states)
        quantized, scales = self._int8(name, weight, self.settings)
        return self.add("QAttention", inputs, quantized, bias, scale, scales, mask, zero, **attributes)

    def first_attention(self, first: str, states: str, name: str, layer: Layer, mask: str) -> str:
        """The same for the first token's query only, [batch, 1, heads * head size]."""
        query = self.linear(first, f"{name}.query", layer.query)
        both = self.linear(states, f"{name}.key_value", layer.key, layer.value)
        key, value = self.several(2, "Split", both, axis=-1)
        attributes = {"num_heads": layer.heads, "mask_filter_value": MASKED}
        return self.add("MultiHeadAttention", query, key, value, NO_INPUT, mask, **attributes)

    def norm(self, states: str, change: str, name: str, norm: nn.LayerNorm) -> str:
        """The layer norm of a residual sum.

        Not `Add`: ONNX Runtime fuses that and the norm into its SkipLayerNormalization, which is slow.
        """
        weight, bias = (
            self.constant(f"{name}.{part}", _array(getattr(norm, part))) for part in ("weight", "bias")
        )
        total = self.add("Sum", states, change)
        return self.add("LayerNormalization", total, weight, bias, axis=-1, epsilon=norm.eps)

    def words(self, embedding: nn.Module) -> str:
        """Word vectors [batch, tokens, hidden].

        Raises:
            TicketSentimentError: the embedding is of a kind that this graph cannot hold.
        """
        if isinstance(embedding, ProductEmbedding):
            codes = self.add("Gather", self.constant("words.codes", _array(embedding.codes)), "input_ids")
            offsets = self.constant("words.offsets", _array(embedding.offsets).astype(np.int32))
            rows = self.add("Add", self.add("Cast", codes, to=TensorProto.INT32), offsets)
            parts = self.add("Gather", self.constant("words.vectors", _array(embedding.vectors)), rows)
            shape = self.constant("words.shape", np.array([0, 0, embedding.embedding_dim]))
            return self.add("Reshape", parts, shape)
        if not isinstance(embedding, nn.Embedding):
            raise TicketSentimentError(f"no ONNX graph is known for a {type(embedding).__name__}")
        weight = _array(embedding.weight)
        if self.settings is None:
            return self.add("Gather", self.constant("words.weight", weight), "input_ids")
        quantized, scale = to_int8(weight, axis=1)
        vectors = self.add("Gather", self.constant("words.weight", quantized), "input_ids")
        scales = self.add("Gather", self.constant("words.scale", scale[:, None]), "input_ids")
        return self.add("Mul", self.add("Cast", vectors, to=TensorProto.FLOAT), scales)

    def embedding(self, model: CompactClassifier) -> str:
        """What the first layer reads, [batch, tokens, hidden]."""
        words = self.words(model.words)
        zero = self.constant("zero", np.array([0]))
        table = self.constant("positions.weight", _array(model.positions.weight))
        tokens = self.add("Shape", "input_ids", start=1, end=2)
        positions = self.add("Slice", table, zero, tokens, zero)
        return self.norm(words, positions, "embedding_norm", model.embedding_norm)

    def layer(self, states: str, name: str, layer: Layer, mask: str, kind: str, first_only: bool) -> str:
        """One layer; `kind` is the operator of its activation."""
        if first_only:
            first = self.add("Gather", states, self.constant("zero", np.array([0])), axis=1)
            context = self.first_attention(first, states, f"{name}.attention", layer, mask)
            states = first
        else:
            context = self.attention(states, f"{name}.attention", layer, mask)
        attended = self.linear(context, f"{name}.output", layer.output)
        states = self.norm(states, attended, f"{name}.attention_norm", layer.attention_norm)
        neurons = self.add(kind, self.linear(states, f"{name}.up", layer.up))
        down = self.linear(neurons, f"{name}.down", layer.down)
        return self.norm(states, down, f"{name}.ffn_norm", layer.ffn_norm)

    def logits(self, states: str, model: CompactClassifier, mask: str) -> str:
        """From the embedding to [batch, labels]; the last product is too small for int8 to gain anything."""
        config = model.config
        kind = ACTIVATIONS[config.activation]
        for index, layer in enumerate(model.layers):
            last = index == config.layers - 1
            states = self.layer(states, f"layers.{index}", layer, mask, kind, first_only=last)
        pooled = self.add("Squeeze", states, self.constant("token_axis", np.array([1])))
        hidden = self.add(ACTIVATIONS[config.head_activation], self.linear(pooled, "head", model.head))
        weight, bias = _stacked(model.out)
        constants = self.constant("out.weight", weight), self.constant("out.bias", bias)
        return self.add("Gemm", hidden, *constants)


def _by_padding(graph: _Graph, states: str, model: CompactClassifier, mask: str) -> None:
    """The layers twice, for a batch with padding and for one without, with the same constants.

    Without a mask, attention is so much faster that a single text gains 4 %.
    """
    branches = {}
    for name, its_mask in (("then_branch", NO_INPUT), ("else_branch", mask)):
        branch = _Graph(graph.settings, graph.constants, f"{name}/")
        logits = branch.logits(states, model, its_mask)
        output = helper.make_tensor_value_info(logits, TensorProto.FLOAT, ["batch", len(LABELS)])
        branches[name] = helper.make_graph(branch.nodes, name, [], [output])
    full = graph.add("Cast", graph.add("ReduceMin", mask, keepdims=0), to=TensorProto.BOOL)
    graph.nodes.append(helper.make_node("If", [full], ["logits"], name="layers", **branches))


def build(model: CompactClassifier, settings: Quantize | None, portable: bool = False) -> onnx.ModelProto:
    """The graph from `input_ids` and `attention_mask`, int64 [batch, tokens], to `logits`, [batch, labels].

    Args:
        model: on any device, in any mode; dropout and gates are left out.
        settings: of int8; None gives fp32.
        portable: multiply in float, for the same answer on every processor. The layers then stand there once:
            a session computes the float weights for each place where they stand.
    """
    constants: dict[str, onnx.TensorProto] = {}
    graph = _Graph(settings, constants, portable=portable)
    states = graph.embedding(model)
    mask = graph.add("Cast", "attention_mask", to=TensorProto.INT32)
    if portable:
        logits = graph.logits(states, model, mask)
        graph.nodes.append(helper.make_node("Identity", [logits], ["logits"]))
    else:
        _by_padding(graph, states, model, mask)

    shape = ["batch", "tokens"]
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.INT64, shape)
        for name in ("input_ids", "attention_mask")
    ]
    output = helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["batch", len(LABELS)])
    return helper.make_model(
        helper.make_graph(graph.nodes, "encoder", inputs, [output], list(constants.values())),
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid(MICROSOFT, 1)],
        ir_version=IR_VERSION,
    )


def write_fp32(model: CompactClassifier, path: Path) -> None:
    """Write the CPU bundle's graph with its weights as they are: what int8 costs is measured against it."""
    onnx.save(build(model, None), str(path))


def write_int8(model: CompactClassifier, path: Path, settings: Quantize) -> None:
    """Write the CPU bundle's graph in dynamic int8: signed weights, unsigned activations.

    Word embeddings have a scale for each row; positions, norms and the last product stay in fp32.
    """
    onnx.save(build(model, settings), str(path))


def write_portable(model: CompactClassifier, path: Path, settings: Quantize) -> None:
    """Write the edge bundle's graph: the same int8 weights, multiplied in float."""
    onnx.save(build(model, settings, portable=True), str(path))

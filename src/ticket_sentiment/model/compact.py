"""A post-norm encoder whose layers may each have their own number of heads and neurons.

Hugging Face's modules cannot hold a pruned layer's shape, and each family names its parts differently. This
one module takes over the weights of the BERT, DistilBERT and RoBERTa families (MiniLM is a BERT, XLM-R and
CamemBERT are RoBERTas) without a change in the result, is pruned by slicing, and exports to a small ONNX
graph.

The label is read off the first token ([CLS]), so in the last layer only that token's query, attention and
feed-forward are computed: a layer's cost falls to its keys and values.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.nn import functional as F

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.embedding import ProductEmbedding

Drop = Callable[[Tensor], Tensor]

ACTIVATIONS = {"gelu": F.gelu, "relu": F.relu, "tanh": torch.tanh}
MASKED = -1e4  # added to the score of a padding token; fits fp16


@dataclass(frozen=True)
class CompactConfig:
    """Shapes of a compact encoder."""

    hidden: int
    head_size: int
    heads: tuple[int, ...]  # of each layer
    ffn: tuple[int, ...]  # neurons of each layer
    vocabulary: int
    positions: int
    norm_eps: float
    activation: str
    head_activation: str
    embedding_parts: int = 0  # bytes of a token where the embeddings are product-quantized

    @property
    def layers(self) -> int:
        return len(self.heads)

    @property
    def multiplications(self) -> int:
        """Of a token with weight matrices: in the last layer only its key and value are computed."""
        widths = [heads * self.head_size for heads in self.heads]
        whole = sum(4 * width + 2 * ffn for width, ffn in zip(widths[:-1], self.ffn[:-1], strict=True))
        return self.hidden * (whole + 2 * widths[-1])


class Layer(nn.Module):
    """Attention and feed-forward, each followed by a residual and a layer norm."""

    def __init__(self, config: CompactConfig, index: int) -> None:
        super().__init__()
        hidden, width = config.hidden, config.heads[index] * config.head_size
        self.heads, self.head_size = config.heads[index], config.head_size
        self.activation = ACTIVATIONS[config.activation]
        self.query = nn.Linear(hidden, width)
        self.key = nn.Linear(hidden, width)
        self.value = nn.Linear(hidden, width)
        self.output = nn.Linear(width, hidden)
        self.attention_norm = nn.LayerNorm(hidden, eps=config.norm_eps)
        self.up = nn.Linear(hidden, config.ffn[index])
        self.down = nn.Linear(config.ffn[index], hidden)
        self.ffn_norm = nn.LayerNorm(hidden, eps=config.norm_eps)
        # Multiplied into every head and neuron while importance is measured; None otherwise.
        self.head_gate: Tensor | None = None
        self.ffn_gate: Tensor | None = None

    def _split(self, states: Tensor) -> Tensor:
        return states.view(states.shape[0], states.shape[1], self.heads, self.head_size).transpose(1, 2)

    def forward(self, states: Tensor, bias: Tensor, first_only: bool, drop: Drop) -> Tensor:
        """states [batch, tokens, hidden]; bias [batch, 1, 1, tokens] is added to the attention scores."""
        queries = states[:, :1] if first_only else states
        scores = self._split(self.query(queries)) @ self._split(self.key(states)).transpose(-1, -2)
        weights = torch.softmax(scores * self.head_size**-0.5 + bias, dim=-1)
        context = drop(weights) @ self._split(self.value(states))
        if self.head_gate is not None:
            context = context * self.head_gate.view(1, -1, 1, 1)
        context = context.transpose(1, 2).reshape(queries.shape[0], -1, self.heads * self.head_size)
        states = self.attention_norm(queries + drop(self.output(context)))
        neurons = self.activation(self.up(states))
        if self.ffn_gate is not None:
            neurons = neurons * self.ffn_gate
        return self.ffn_norm(states + drop(self.down(neurons)))


class CompactClassifier(nn.Module):
    """Token ids in, logits out."""

    def __init__(self, config: CompactConfig, dropout: float = 0.1) -> None:
        super().__init__()
        self.config = config
        self.dropout = dropout
        self.generator: torch.Generator | None = None  # of what is dropped; None: torch's own
        self.words: nn.Module = (
            ProductEmbedding(config.vocabulary, config.hidden, config.embedding_parts)
            if config.embedding_parts
            else nn.Embedding(config.vocabulary, config.hidden)
        )
        self.positions = nn.Embedding(config.positions, config.hidden)
        self.embedding_norm = nn.LayerNorm(config.hidden, eps=config.norm_eps)
        self.layers = nn.ModuleList(Layer(config, index) for index in range(config.layers))
        self.head = nn.Linear(config.hidden, config.hidden)
        self.head_activation = ACTIVATIONS[config.head_activation]
        self.out = nn.Linear(config.hidden, len(LABELS))

    def states(self, input_ids: Tensor, attention_mask: Tensor, all_tokens: bool = False) -> list[Tensor]:
        """Hidden states after the embedding and after each layer, [batch, tokens, hidden] each.

        The last one holds only the first token unless `all_tokens`.
        """
        states = self.words(input_ids) + self.positions.weight[: input_ids.shape[1]]
        states = self._drop(self.embedding_norm(states))
        bias = (1.0 - attention_mask[:, None, None, :].to(states.dtype)) * MASKED
        result = [states]
        for index, layer in enumerate(self.layers):
            first_only = not all_tokens and index == len(self.layers) - 1
            states = layer(states, bias, first_only, self._drop)
            result.append(states)
        return result

    def _drop(self, values: Tensor) -> Tensor:
        """Dropout as of torch.nn.functional, which takes no generator."""
        if not self.training or self.dropout == 0:
            return values
        kept = torch.empty_like(values).bernoulli_(1 - self.dropout, generator=self.generator)
        return values * kept.div_(1 - self.dropout)

    def classify(self, states: Tensor) -> Tensor:
        """Logits [batch, labels] from the last hidden states."""
        pooled = self.head_activation(self.head(states[:, 0]))
        return self.out(self._drop(pooled))

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits [batch, labels] from int64 [batch, tokens] ids and mask."""
        return self.classify(self.states(input_ids, attention_mask)[-1])


@dataclass(frozen=True)
class _Names:
    """Where a family keeps its parts; `{}` is the layer's number."""

    prefix: str
    words: str
    positions: str
    types: str | None
    embedding_norm: str
    layer: dict[str, str]
    head: str
    out: str
    head_activation: str
    behind_padding: bool = False  # positions count from padding_idx + 1, not from 0

    def first_position(self, model: nn.Module) -> int:
        """Row of a text's first token in the table of positions."""
        return model.config.pad_token_id + 1 if self.behind_padding else 0


def _bert_layer(prefix: str) -> dict[str, str]:
    return {
        "query": prefix + "attention.self.query",
        "key": prefix + "attention.self.key",
        "value": prefix + "attention.self.value",
        "output": prefix + "attention.output.dense",
        "attention_norm": prefix + "attention.output.LayerNorm",
        "up": prefix + "intermediate.dense",
        "down": prefix + "output.dense",
        "ffn_norm": prefix + "output.LayerNorm",
    }


_EMBEDDINGS = {
    "words": "embeddings.word_embeddings",
    "positions": "embeddings.position_embeddings",
    "embedding_norm": "embeddings.LayerNorm",
}

_ROBERTA = _Names(
    "roberta.", **_EMBEDDINGS, types="embeddings.token_type_embeddings",
    layer=_bert_layer("encoder.layer.{}."), head="classifier.dense", out="classifier.out_proj",
    head_activation="tanh", behind_padding=True,
)  # fmt: skip

FAMILIES: dict[str, _Names] = {
    "bert": _Names(
        "bert.", **_EMBEDDINGS, types="embeddings.token_type_embeddings",
        layer=_bert_layer("encoder.layer.{}."), head="bert.pooler.dense", out="classifier",
        head_activation="tanh",
    ),
    "roberta": _ROBERTA, "xlm-roberta": _ROBERTA, "camembert": _ROBERTA,
    "distilbert": _Names(
        "distilbert.", **_EMBEDDINGS, types=None,
        layer={
            "query": "transformer.layer.{}.attention.q_lin",
            "key": "transformer.layer.{}.attention.k_lin",
            "value": "transformer.layer.{}.attention.v_lin",
            "output": "transformer.layer.{}.attention.out_lin",
            "attention_norm": "transformer.layer.{}.sa_layer_norm",
            "up": "transformer.layer.{}.ffn.lin1",
            "down": "transformer.layer.{}.ffn.lin2",
            "ffn_norm": "transformer.layer.{}.output_layer_norm",
        },
        head="pre_classifier", out="classifier", head_activation="relu",
    ),
}  # fmt: skip


def _config_of(model: nn.Module, names: _Names, weights: dict[str, Tensor]) -> CompactConfig:
    config = model.config
    layers, heads = config.num_hidden_layers, config.num_attention_heads
    hidden = config.hidden_size
    activation = getattr(config, "hidden_act", None) or getattr(config, "activation", "gelu")
    if activation not in ACTIVATIONS:
        raise TicketSentimentError(
            f"train.base_model: the activation {activation!r} is not supported by pruning; "
            f"supported: {', '.join(ACTIVATIONS)}"
        )
    first_up = weights[names.prefix + names.layer["up"].format(0) + ".weight"]
    return CompactConfig(
        hidden=hidden,
        head_size=hidden // heads,
        heads=(heads,) * layers,
        ffn=(first_up.shape[0],) * layers,
        vocabulary=weights[names.prefix + names.words + ".weight"].shape[0],
        positions=weights[names.prefix + names.positions + ".weight"].shape[0] - names.first_position(model),
        norm_eps=float(getattr(config, "layer_norm_eps", 1e-12)),
        activation=activation,
        head_activation=names.head_activation,
    )


def _pairs(names: _Names, layers: int) -> dict[str, str]:
    """Our module's name to the family's, for everything but the word and position embeddings."""
    pairs = {"embedding_norm": names.prefix + names.embedding_norm, "head": names.head, "out": names.out}
    for index in range(layers):
        for part, source in names.layer.items():
            pairs[f"layers.{index}.{part}"] = names.prefix + source.format(index)
    return pairs


def _names_of(model: nn.Module) -> _Names:
    family = getattr(model.config, "model_type", "unknown")
    if family not in FAMILIES:
        raise TicketSentimentError(
            f"train.base_model: pruning does not know the architecture {family!r}; "
            f"it knows {', '.join(FAMILIES)} (MiniLM is a bert)"
        )
    if getattr(model.config, "is_decoder", False):
        raise TicketSentimentError(
            f"train.base_model: this {family} is a decoder, where a token does not see those behind it, and "
            "pruning knows encoders only: set is_decoder to false in its config.json, or take another model"
        )
    return FAMILIES[family]


def from_dense(model: nn.Module) -> CompactClassifier:
    """The same function as a Hugging Face sequence classifier, as a compact module.

    The embedding of token type 0, which every ticket has, is folded into the positions.

    Raises:
        TicketSentimentError: the architecture is none that pruning knows (the message lists those), or the
            model is a decoder.
    """
    names = _names_of(model)
    weights = {name: tensor.detach().cpu().float() for name, tensor in model.state_dict().items()}
    compact = CompactClassifier(_config_of(model, names, weights))
    positions = weights[names.prefix + names.positions + ".weight"][names.first_position(model) :].clone()
    if names.types:
        positions += weights[names.prefix + names.types + ".weight"][0]
    target = {"words.weight": weights[names.prefix + names.words + ".weight"], "positions.weight": positions}
    for ours, theirs in _pairs(names, compact.config.layers).items():
        for kind in ("weight", "bias"):
            target[f"{ours}.{kind}"] = weights[f"{theirs}.{kind}"]
    compact.load_state_dict(target)
    return compact.eval()


def to_dense(compact: CompactClassifier, model: nn.Module) -> None:
    """Write an unpruned compact module's weights back into the Hugging Face model it was made from."""
    names = _names_of(model)
    ours = {name: tensor.detach().cpu() for name, tensor in compact.state_dict().items()}
    theirs = model.state_dict()
    theirs[names.prefix + names.words + ".weight"].copy_(ours["words.weight"])
    positions = ours["positions.weight"].clone()
    if names.types:
        positions -= theirs[names.prefix + names.types + ".weight"][0].cpu()
    theirs[names.prefix + names.positions + ".weight"][names.first_position(model) :].copy_(positions)
    for our_name, their_name in _pairs(names, compact.config.layers).items():
        for kind in ("weight", "bias"):
            theirs[f"{their_name}.{kind}"].copy_(ours[f"{our_name}.{kind}"])


def save_compact(model: CompactClassifier, folder: Path) -> None:
    """Write weights and shapes into an existing folder."""
    state = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    save_file(state, folder / "model.safetensors")
    write_json(folder / "architecture.json", asdict(model.config))


def load_compact(folder: Path) -> CompactClassifier:
    """The model that `save_compact` wrote, in evaluation mode."""
    fields = read_json(folder / "architecture.json")
    fields["heads"], fields["ffn"] = tuple(fields["heads"]), tuple(fields["ffn"])
    model = CompactClassifier(CompactConfig(**fields))
    model.load_state_dict(load_file(folder / "model.safetensors"))
    return model.eval()

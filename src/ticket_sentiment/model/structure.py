"""What contributes least to the answer is cut out, and what is left is smaller matrices.

Heads and feed-forward neurons go by measured importance, |activation x gradient| of a gate of one on each
(heads: Michel, Levy and Neubig 2019, "Are Sixteen Heads Really Better than One?"; neurons: Molchanov et al.
2019, "Importance Estimation for Neural Network Pruning"). Of the layers the lowest stay (Sajjad et al. 2020,
"On the Effect of Dropping Layers of Pre-trained Transformer Models") together with the last, from which the
label is read: 4 of 6 chosen so lost nothing after distillation, chosen evenly a point of macro-F1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ticket_sentiment.model.classifier import sorted_batches
from ticket_sentiment.model.compact import CompactClassifier, CompactConfig, Layer


@dataclass(frozen=True)
class Importance:
    """Of every head [layers, heads] and every neuron [layers, neurons]; larger means more needed."""

    heads: Tensor
    ffn: Tensor


def measure_importance(
    model: CompactClassifier, rows: Sequence[Sequence[int]], labels: Sequence[int], batch_size: int = 32
) -> Importance:
    """Sum over batches of the absolute gradient of the loss by a gate on each head and neuron.

    Args:
        model: in evaluation mode; left as it was.
        rows: token ids of labelled texts.
        labels: their class numbers.
        batch_size: texts a batch.
    """
    where = next(model.parameters()).device
    config = model.config
    for layer, heads, ffn in zip(model.layers, config.heads, config.ffn, strict=True):
        layer.head_gate = torch.ones(heads, device=where, requires_grad=True)
        layer.ffn_gate = torch.ones(ffn, device=where, requires_grad=True)
    gates = [gate for layer in model.layers for gate in (layer.head_gate, layer.ffn_gate)]
    totals = [torch.zeros_like(gate) for gate in gates]
    targets = torch.tensor(labels, device=where)
    try:
        for indices, ids, mask in sorted_batches(rows, batch_size):
            loss = F.cross_entropy(model(ids.to(where), mask.to(where)), targets[indices])
            for total, gradient in zip(totals, torch.autograd.grad(loss, gates), strict=True):
                total += gradient.abs()
    finally:
        for layer in model.layers:
            layer.head_gate = layer.ffn_gate = None
    return Importance(torch.stack(totals[0::2]).cpu(), torch.stack(totals[1::2]).cpu())


def lowest_and_last(total: int, keep: int) -> list[int]:
    """Numbers of the layers to keep: the last one, and otherwise from the bottom."""
    return [*range(min(keep, total) - 1), total - 1]


def _top(scores: Tensor, keep: int) -> Tensor:
    """Indices of the `keep` largest scores, in ascending order; ties go to the lower index."""
    return torch.sort(scores, descending=True, stable=True).indices[:keep].sort().values


def _copy_rows(target: nn.Linear, source: nn.Linear, rows: Tensor) -> None:
    target.weight.data.copy_(source.weight.data[rows])
    target.bias.data.copy_(source.bias.data[rows])


def _copy_columns(target: nn.Linear, source: nn.Linear, columns: Tensor) -> None:
    target.weight.data.copy_(source.weight.data[:, columns])
    target.bias.data.copy_(source.bias.data)


def _slice_layer(target: Layer, source: Layer, heads: Tensor, neurons: Tensor) -> None:
    width = torch.arange(source.head_size)
    positions = (heads[:, None] * source.head_size + width).flatten()
    for name in ("query", "key", "value"):
        _copy_rows(getattr(target, name), getattr(source, name), positions)
    _copy_columns(target.output, source.output, positions)
    _copy_rows(target.up, source.up, neurons)
    _copy_columns(target.down, source.down, neurons)
    for name in ("attention_norm", "ffn_norm"):
        getattr(target, name).load_state_dict(getattr(source, name).state_dict())


def prune_structure(
    model: CompactClassifier, importance: Importance, layers: Sequence[int], heads: int, ffn: int
) -> CompactClassifier:
    """A new, smaller model from the most important heads and neurons of the given layers.

    Args:
        model: the model to cut; untouched.
        importance: of the same model.
        layers: numbers of the layers to keep, ascending.
        heads: to keep in each layer, at most (no more than there are).
        ffn: neurons to keep in each layer, at most.
    """
    source = model.config
    config: CompactConfig = replace(
        source,
        heads=tuple(min(heads, source.heads[index]) for index in layers),
        ffn=tuple(min(ffn, source.ffn[index]) for index in layers),
    )
    pruned = CompactClassifier(config, model.dropout)
    for name in ("words", "positions", "embedding_norm", "head", "out"):
        getattr(pruned, name).load_state_dict(getattr(model, name).state_dict())
    for position, index in enumerate(layers):
        _slice_layer(
            pruned.layers[position],
            model.layers[index],
            _top(importance.heads[index], config.heads[position]),
            _top(importance.ffn[index], config.ffn[position]),
        )
    return pruned.eval()


def shorten_positions(positions: nn.Embedding, length: int) -> nn.Embedding:
    """Only the first `length` positions: no ticket is longer, and the rest is dead weight in the bundle."""
    shortened = nn.Embedding(min(length, positions.num_embeddings), positions.embedding_dim)
    shortened.weight.data.copy_(positions.weight.data[: shortened.num_embeddings])
    return shortened


def limit_length(model: CompactClassifier, length: int) -> None:
    """Let a model, in place, know no more positions than a ticket may have tokens."""
    model.positions = shorten_positions(model.positions, length)
    model.config = replace(model.config, positions=model.positions.num_embeddings)

"""Stage `prune`: what contributes least to the answer is cut out, and what is left is smaller matrices.

Heads and feed-forward neurons go by measured importance, |activation x gradient| of a gate of one on each
(heads: Michel, Levy and Neubig 2019, "Are Sixteen Heads Really Better than One?"; neurons: Molchanov et al.
2019, "Importance Estimation for Neural Network Pruning"). Of the layers the lowest stay (Sajjad et al. 2020,
"On the Effect of Dropping Layers of Pre-trained Transformer Models") together with the last, from which the
label is read: 4 of 6 chosen so lost nothing after distillation, chosen evenly a point of macro-F1.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from ticket_sentiment.files import replacing_folder, write_json
from ticket_sentiment.model.classifier import device, encode, load_dense, load_tokenizer, sorted_batches
from ticket_sentiment.model.compact import CompactClassifier, CompactConfig, Layer, from_dense, save_compact
from ticket_sentiment.model.data import DENSE, PRUNED, LabelledTexts, read_texts
from ticket_sentiment.model.distill import ask_teacher, distillation_loss
from ticket_sentiment.model.fit import FitSettings, Point, deterministic, fit, tuning_score, write_curve
from ticket_sentiment.model.vocabulary import cut_vocabulary, kept_tokens
from ticket_sentiment.params import Params

CURVE = Path("reports/training/distillation_curve.csv")


@dataclass(frozen=True)
class Importance:
    """Of every head [layers, heads] and every neuron [layers, neurons]; larger means more needed."""

    heads: Tensor
    ffn: Tensor


def measure_importance(
    model: CompactClassifier, rows: Sequence[Sequence[int]], labels: Sequence[int], batch_size: int = 32
) -> Importance:
    """Mean over batches of the absolute gradient of the loss by a gate on each head and neuron.

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


def _shrink(
    teacher: CompactClassifier,
    tokenizer: Tokenizer,
    train: LabelledTexts,
    unlabelled: LabelledTexts,
    params: Params,
) -> tuple[CompactClassifier, Tokenizer, list[int]]:
    """Cut layers, heads, neurons and vocabulary: (student, its tokenizer, the teacher's layers it keeps)."""
    settings = params.prune
    layers = lowest_and_last(teacher.config.layers, settings.layers)
    sample = train.sample(settings.importance_rows, settings.seed)
    rows = encode(tokenizer, sample.texts, params.train.max_length)
    importance = measure_importance(teacher, rows, sample.labels.tolist())
    student = prune_structure(teacher, importance, layers, settings.heads, settings.ffn)
    student.positions = shorten_positions(student.positions, params.train.max_length)
    student.config = replace(student.config, positions=student.positions.num_embeddings)
    seen = encode(tokenizer, train.texts + unlabelled.texts, params.train.max_length)
    kept = kept_tokens(tokenizer, seen, settings.min_token_count)
    if kept is not None:
        student, tokenizer = cut_vocabulary(student, tokenizer, kept)
    return student, tokenizer, layers


def shorten_positions(positions: nn.Embedding, length: int) -> nn.Embedding:
    """Only the first `length` positions: no ticket is longer, and the rest is dead weight in the bundle."""
    shortened = nn.Embedding(min(length, positions.num_embeddings), positions.embedding_dim)
    shortened.weight.data.copy_(positions.weight.data[: shortened.num_embeddings])
    return shortened


def prune_and_distill(
    params: Params, dense: Path, tables: dict[str, LabelledTexts], folder: Path
) -> list[Point]:
    """Cut the dense model down, let it learn from the dense one again, and write it into `folder`.

    Args:
        params: sections `prune` and `train` (maximum length, schedule) are read.
        dense: folder of stage `train`.
        tables: `train`, `tune` and `unlabelled`; the teacher also speaks on texts without a label.
        folder: gets architecture.json, model.safetensors, tokenizer.json and pruning.json.

    Returns:
        The learning curve.
    """
    settings, length = params.prune, params.train.max_length
    deterministic(settings.seed)
    where = device()
    teacher, dense_tokenizer = from_dense(load_dense(dense)), load_tokenizer(dense)
    train, tune, unlabelled = (tables[name] for name in ("train", "tune", "unlabelled"))
    student, tokenizer, layers = _shrink(teacher, dense_tokenizer, train, unlabelled, params)
    texts = train.texts + unlabelled.texts
    answers = ask_teacher(teacher.to(where), encode(dense_tokenizer, texts, length), layers)
    tuning = tune.sample(params.train.evaluation_rows, settings.seed)
    student.to(where)
    curve = fit(
        student,
        encode(tokenizer, texts, length),
        distillation_loss(answers, np.concatenate([train.labels, unlabelled.labels]), settings, where),
        tuning_score(encode(tokenizer, tuning.texts, length), tuning.labels),
        FitSettings(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            embedding_learning_rate=0.0,
            weight_decay=params.train.weight_decay,
            warmup_share=params.train.warmup_share,
            evaluations_per_epoch=params.train.evaluations_per_epoch,
            patience=settings.patience,
            seed=settings.seed,
        ),
        "prune",
    )
    with replacing_folder(folder) as temporary:
        save_compact(student, temporary)
        tokenizer.no_truncation()
        tokenizer.save(str(temporary / "tokenizer.json"))
        write_json(
            temporary / "pruning.json",
            {"layers": layers, "vocabulary": student.config.vocabulary, "distilled_texts": len(texts)},
        )
    return curve


def main(params: Params) -> None:
    """Read models/dense and the prepared tickets, write models/pruned and its learning curve."""
    tables = {name: read_texts(name) for name in ("train", "tune", "unlabelled")}
    write_curve(CURVE, prune_and_distill(params, DENSE, tables, PRUNED))

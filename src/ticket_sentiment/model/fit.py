"""The one training loop: fine-tuning the dense model and distilling the pruned one both go through it."""

import csv
import itertools
import math
import os
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np
import torch
from sklearn.metrics import f1_score
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing
from ticket_sentiment.model.classifier import has_bfloat16, pad, predict_rows
from ticket_sentiment.model.muon import Muon
from ticket_sentiment.model.replicas import Replicas

Loss = Callable[[nn.Module, list[int], Tensor, Tensor], Tensor]
Score = Callable[[nn.Module], tuple[float, float]]

EVALUATION_BATCH = 64
BUCKET = 32  # batches sorted together: hardly any padding, and the order still changes every epoch


@dataclass(frozen=True)
class FitSettings:
    """What the loop needs to know. Learning rates are peaks; the schedule is linear with warm-up."""

    epochs: float  # a part of one at the end
    batch_size: int
    learning_rate: float
    embedding_learning_rate: float
    weight_decay: float
    warmup_share: float
    evaluations_per_epoch: int
    patience: int
    seed: int
    matrix_learning_rate: float = 0.0  # of the layers' matrices, by Muon; 0: they learn as the rest does


@dataclass(frozen=True)
class Point:
    """One row of a learning curve; loss and macro-F1 are of the tuning tickets."""

    step: int
    train_loss: float
    loss: float
    macro_f1: float


def deterministic(seed: int) -> None:
    """The same weights from the same seed on the same machine: seeds, and sums in one fixed order.

    On a GPU it must come before anything is computed there: cuBLAS reads its setting once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    # A debugging aid of that mode: it would write NaN over every new tensor, at a tenth of the speed.
    torch.utils.deterministic.fill_uninitialized_memory = False
    random.seed(seed)
    np.random.seed(seed)
    torch.manual_seed(seed)


def tuning_score(rows: Sequence[Sequence[int]], labels: np.ndarray) -> Score:
    """Cross-entropy and macro-F1 on tokenised tuning tickets, as a function of the model."""

    def score(model: nn.Module) -> tuple[float, float]:
        logits = predict_rows(model, rows, EVALUATION_BATCH)
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        return loss, float(f1_score(labels, logits.argmax(axis=1), average="macro"))

    return score


def write_curve(path: Path, curve: Sequence[Point]) -> None:
    """A learning curve as CSV, one row an evaluation, for `dvc plots`."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Point)])
        writer.writerows([point.step, *(f"{value:.6f}" for value in astuple(point)[1:])] for point in curve)


def bucketed_batches(
    rows: Sequence[Sequence[int]], batch_size: int, generator: torch.Generator
) -> Iterator[list[int]]:
    """Shuffled batches of indices whose texts have like lengths."""
    order = torch.randperm(len(rows), generator=generator).tolist()
    span = batch_size * BUCKET
    batches = []
    for start in range(0, len(order), span):
        bucket = sorted(order[start : start + span], key=lambda index: len(rows[index]))
        batches += [bucket[i : i + batch_size] for i in range(0, len(bucket), batch_size)]
    for index in torch.randperm(len(batches), generator=generator).tolist():
        yield batches[index]


def _parameter_groups(model: nn.Module, settings: FitSettings) -> list[dict]:
    """Word embeddings apart (half of a small model's parameters), no decay on norms and biases.

    A learning rate of 0 freezes the word embeddings: no gradient, no optimizer state for them. Those that are
    product-quantized learn as the rest does.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    words = model.words.weight if isinstance(model.words, nn.Embedding) else None
    for parameter in model.parameters():
        rate = settings.embedding_learning_rate if parameter is words else settings.learning_rate
        parameter.requires_grad_(rate > 0)
        if rate > 0:
            decay = settings.weight_decay if parameter.ndim > 1 else 0.0
            groups.setdefault((rate, decay), []).append(parameter)
    return [{"params": p, "lr": rate, "weight_decay": decay} for (rate, decay), p in groups.items()]


def _optimizers(model: nn.Module, settings: FitSettings, mixed: bool) -> list[torch.optim.Optimizer]:
    """AdamW, and Muon for the matrices of an encoder's layers where they have a rate of their own."""
    groups = _parameter_groups(model, settings)
    if not settings.matrix_learning_rate:
        return [torch.optim.AdamW(groups, betas=(0.9, 0.999), eps=1e-8, fused=True)]
    of_layers = (one for name, one in model.named_parameters() if name.startswith("layers."))
    matrices = {id(one) for one in of_layers if one.ndim == 2}
    of_muon = [one for group in groups for one in group["params"] if id(one) in matrices]
    for group in groups:
        group["params"] = [one for one in group["params"] if id(one) not in matrices]
    dtype = torch.bfloat16 if mixed else torch.float32
    muon = Muon(of_muon, settings.matrix_learning_rate, settings.weight_decay, dtype)
    rest = [group for group in groups if group["params"]]
    return [torch.optim.AdamW(rest, betas=(0.9, 0.999), eps=1e-8, fused=True), muon]


def _schedule(total: int, warmup: int) -> Callable[[int], float]:
    return lambda step: min((step + 1) / max(1, warmup), max(0.0, (total - step) / max(1, total - warmup)))


def fit(
    model: nn.Module,
    rows: Sequence[Sequence[int]],
    loss: Loss,
    score: Score,
    settings: FitSettings,
    name: str,
    rate: str = "",
) -> list[Point]:
    """Train `model` in place and leave it at its best evaluation on the tuning tickets.

    Args:
        model: moved by the caller to the device to train on.
        rows: token ids of each training text.
        loss: (model, indices into rows, ids, mask) to a scalar.
        score: model to (loss, macro-F1) on the tuning tickets.
        settings: see `FitSettings`.
        name: of the progress bar and of error messages.
        rate: where the learning rate is set, if not in section `name` of params.yaml.

    Returns:
        The learning curve, one point an evaluation.

    Raises:
        TicketSentimentError: the loss became NaN or infinite; the message names the step.
    """
    deterministic(settings.seed)
    generator = torch.Generator().manual_seed(settings.seed)
    where = next(model.parameters()).device
    mixed = has_bfloat16(where)
    optimizers = _optimizers(model, settings, mixed)
    per_epoch = math.ceil(len(rows) / settings.batch_size)
    total = math.ceil(per_epoch * settings.epochs)
    course = _schedule(total, round(total * settings.warmup_share))
    schedules = [torch.optim.lr_scheduler.LambdaLR(one, course) for one in optimizers]
    every = math.ceil(per_epoch / settings.evaluations_per_epoch)  # steps; once more after the last step
    curve: list[Point] = []
    best: dict[str, Tensor] = {}
    best_macro_f1, since_best, step, running = -1.0, 0, 0, []

    def loss_of(one: nn.Module, part: list[int]) -> Tensor:
        ids, mask = (tensor.to(where) for tensor in pad([rows[i] for i in part]))
        with torch.autocast(where.type, torch.bfloat16, enabled=mixed):
            return loss(one, part, ids, mask)

    bar = tqdm(total=total, desc=name, unit="batch", mininterval=5)
    with bar, Replicas(model, settings.seed) as replicas:
        for _ in range(math.ceil(settings.epochs)):
            for indices in itertools.islice(
                bucketed_batches(rows, settings.batch_size, generator), total - step
            ):
                value = replicas.backward(loss_of, indices)
                step += 1
                if not math.isfinite(value):
                    rates = rate or f"{name}.learning_rate in params.yaml"
                    rates += f" (now {settings.learning_rate:g})"
                    if settings.matrix_learning_rate:
                        rates += f", or {name}.matrix_learning_rate (now {settings.matrix_learning_rate:g})"
                    raise TicketSentimentError(
                        f"{name}: the loss is {value} at step {step} of {total}; lower {rates}"
                    )
                nn.utils.clip_grad_norm_(model.parameters(), 1.0)
                replicas.all_cores()
                for optimizer, schedule in zip(optimizers, schedules, strict=True):
                    optimizer.step()
                    schedule.step()
                running.append(value)
                bar.update()
                if step % every and step != total:
                    continue
                tune_loss, macro_f1 = score(model)
                curve.append(Point(step, float(np.mean(running)), tune_loss, macro_f1))
                running = []
                bar.set_postfix(tune_macro_f1=f"{macro_f1:.3f}")
                since_best += 1
                if macro_f1 > best_macro_f1:
                    best_macro_f1, since_best = macro_f1, 0
                    best = {key: tensor.detach().clone() for key, tensor in model.state_dict().items()}
                if since_best >= settings.patience:
                    break
            if since_best >= settings.patience:
                break
    model.load_state_dict(best)
    model.eval()
    return curve

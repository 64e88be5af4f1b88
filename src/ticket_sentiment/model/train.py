"""Stage `train`: fine-tune the base encoder on the labelled tickets of the training months."""

import csv
from collections.abc import Sequence
from dataclasses import astuple, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ticket_sentiment.files import replacing, replacing_folder, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.classifier import (
    base_model_path,
    device,
    encode,
    load_base,
    load_tokenizer,
    predict_rows,
)
from ticket_sentiment.model.compact import from_dense, to_dense
from ticket_sentiment.model.data import LabelledTexts, read_texts
from ticket_sentiment.model.fit import FitSettings, Loss, Point, Score, deterministic, fit
from ticket_sentiment.params import Params

DENSE = Path("models/dense")
CURVE = Path("reports/training/learning_curve.csv")
EVALUATION_BATCH = 64


def class_weights(labels: np.ndarray, how: str) -> Tensor | None:
    """Weights of the classes in the loss: `balanced` is rows / (classes x rows of the class)."""
    if how == "none":
        return None
    counts = np.bincount(labels, minlength=len(LABELS))
    return torch.tensor(counts.sum() / (len(LABELS) * np.maximum(counts, 1)), dtype=torch.float32)


def macro_f1(labels: np.ndarray, predicted: np.ndarray) -> float:
    """Mean over the classes of F1 = 2 TP / (2 TP + FP + FN); a class without rows or hits counts 0."""
    scores = []
    for index in range(len(LABELS)):
        hits = np.sum((labels == index) & (predicted == index))
        denominator = np.sum(labels == index) + np.sum(predicted == index)
        scores.append(2 * hits / denominator if denominator else 0.0)
    return float(np.mean(scores))


def tuning_score(rows: Sequence[Sequence[int]], labels: np.ndarray) -> Score:
    """Cross-entropy and macro-F1 on tokenised tuning tickets, as a function of the model."""

    def score(model: nn.Module) -> tuple[float, float]:
        logits = predict_rows(model, rows, EVALUATION_BATCH)
        loss = F.cross_entropy(torch.from_numpy(logits), torch.from_numpy(labels)).item()
        return loss, macro_f1(labels, logits.argmax(axis=1))

    return score


def write_curve(path: Path, curve: Sequence[Point]) -> None:
    """A learning curve as CSV, one row an evaluation, for `dvc plots`."""
    with replacing(path) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow([field.name for field in fields(Point)])
        writer.writerows([point.step, *(f"{value:.6f}" for value in astuple(point)[1:])] for point in curve)


def _loss(labels: np.ndarray, weights: Tensor | None, where: torch.device) -> Loss:
    targets = torch.from_numpy(labels).to(where)
    weights = weights.to(where) if weights is not None else None

    def loss(model: nn.Module, indices: list[int], ids: Tensor, mask: Tensor) -> Tensor:
        return F.cross_entropy(model(ids, mask), targets[indices], weight=weights)

    return loss


def train_dense(params: Params, train: LabelledTexts, tune: LabelledTexts, folder: Path) -> list[Point]:
    """Fine-tune and write the dense model into `folder`, in the Hugging Face format.

    It is trained as a compact module, which computes the same function with less work (the last layer
    only for the token that is read), and written back.

    Returns:
        The learning curve.
    """
    settings = params.train
    deterministic(settings.seed)
    source = base_model_path(settings.base_model)
    dense = load_base(settings.base_model)
    tokenizer = load_tokenizer(source)
    where = device()
    model = from_dense(dense).to(where)
    tuning = tune.sample(settings.evaluation_rows, settings.seed)
    curve = fit(
        model,
        encode(tokenizer, train.texts, settings.max_length),
        _loss(train.labels, class_weights(train.labels, settings.class_weights), where),
        tuning_score(encode(tokenizer, tuning.texts, settings.max_length), tuning.labels),
        FitSettings(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            embedding_learning_rate=settings.embedding_learning_rate,
            weight_decay=settings.weight_decay,
            warmup_share=settings.warmup_share,
            evaluations_per_epoch=settings.evaluations_per_epoch,
            patience=settings.patience,
            seed=settings.seed,
        ),
        "train",
    )
    logits = predict_rows(model, encode(tokenizer, tune.texts, settings.max_length), EVALUATION_BATCH)
    to_dense(model, dense)
    best = max(curve, key=lambda point: point.macro_f1)
    with replacing_folder(folder) as temporary:
        dense.save_pretrained(temporary)
        tokenizer.no_truncation()
        tokenizer.save(str(temporary / "tokenizer.json"))
        write_json(
            temporary / "training.json",
            {
                "base_model": settings.base_model,
                "best_step": best.step,
                "max_length": settings.max_length,
                "parameters": sum(parameter.numel() for parameter in dense.parameters()),
                "temperature": fit_temperature(logits, tune.labels),
                "tune_macro_f1": macro_f1(tune.labels, logits.argmax(axis=1)),
            },
        )
    return curve


def main(params: Params) -> None:
    """Read the prepared tickets, write models/dense and its learning curve."""
    curve = train_dense(params, read_texts("train"), read_texts("tune"), DENSE)
    write_curve(CURVE, curve)

"""Stage `train`: fine-tune the base encoder on the labelled tickets of the training months."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.numpy import save_file
from scipy.special import softmax
from sklearn.metrics import f1_score
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional as F

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, write_json
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
from ticket_sentiment.model.compact import CompactClassifier, from_dense, to_dense
from ticket_sentiment.model.data import DENSE, TUNING, LabelledTexts, read_texts
from ticket_sentiment.model.fit import (
    EVALUATION_BATCH,
    FitSettings,
    Loss,
    Point,
    deterministic,
    fit,
    tuning_score,
    write_curve,
)
from ticket_sentiment.params import Params, Train

CURVE = Path("reports/training/learning_curve.csv")


def class_weights(labels: np.ndarray, how: str) -> Tensor | None:
    """Weights of the classes in the loss: `balanced` is rows / (classes x rows of the class)."""
    if how == "none":
        return None
    counts = np.bincount(labels, minlength=len(LABELS))
    return torch.tensor(counts.sum() / (len(LABELS) * np.maximum(counts, 1)), dtype=torch.float32)


def fit_settings(settings: Train) -> FitSettings:
    """What the training loop needs of section `train`."""
    names = [field.name for field in fields(FitSettings) if hasattr(settings, field.name)]
    return FitSettings(**{name: getattr(settings, name) for name in names})


def label_loss(labels: np.ndarray, settings: Train, where: torch.device) -> Loss:
    """Cross-entropy with the true labels, weighted as section `train` says."""
    targets = torch.from_numpy(labels).to(where)
    weights = class_weights(labels, settings.class_weights)
    weights = weights.to(where) if weights is not None else None

    def loss(model: nn.Module, indices: list[int], ids: Tensor, mask: Tensor) -> Tensor:
        return F.cross_entropy(model(ids, mask), targets[indices], weight=weights)

    return loss


def save_dense(
    folder: Path,
    dense: nn.Module,
    model: CompactClassifier,
    tokenizer: Tokenizer,
    tune: LabelledTexts,
    curve: Sequence[Point],
    facts: Mapping[str, Any],
) -> None:
    """Write a dense model into `folder`, in the Hugging Face format, with training.json and TUNING.

    Args:
        folder: takes the place of what lies there.
        dense: gets the weights.
        model: the compact form of it, which was trained.
        tokenizer: of both.
        tune: the tuning tickets; they calibrate it, and what it scores on them is kept.
        curve: of the training.
        facts: further fields of training.json; `max_length`, to which texts are cut, is one of them.
    """
    logits = predict_rows(model, encode(tokenizer, tune.texts, facts["max_length"]), EVALUATION_BATCH)
    temperature = fit_temperature(logits, tune.labels)
    to_dense(model, dense)
    with replacing_folder(folder) as temporary:
        dense.save_pretrained(temporary)
        tokenizer.no_truncation()
        tokenizer.save(str(temporary / "tokenizer.json"))
        said = softmax(logits / temperature, axis=1).astype(np.float32)
        save_file({"probabilities": said}, temporary / TUNING)
        write_json(
            temporary / "training.json",
            {
                **facts,
                "best_step": max(curve, key=lambda point: point.macro_f1).step,
                "temperature": temperature,
                "tune_macro_f1": float(f1_score(tune.labels, logits.argmax(axis=1), average="macro")),
            },
        )


def train_dense(params: Params, train: LabelledTexts, tune: LabelledTexts, folder: Path) -> list[Point]:
    """Fine-tune and write the dense model into `folder`, in the Hugging Face format.

    It is trained as a compact module, which computes the same function with less work (the last layer
    only for the token that is read), and written back.

    Returns:
        The learning curve.

    Raises:
        TicketSentimentError: the base model knows no texts as long as `train.max_length`.
    """
    settings = params.train
    deterministic(settings.seed)
    source = base_model_path(settings.base_model)
    dense = load_base(settings.base_model)
    tokenizer = load_tokenizer(source)
    where = device()
    model = from_dense(dense).to(where)
    if settings.max_length > model.config.positions:
        raise TicketSentimentError(
            f"train.max_length in params.yaml is {settings.max_length}, and {settings.base_model} knows "
            f"texts of {model.config.positions} tokens at most: lower it, or take another train.base_model"
        )
    tuning = tune.sample(settings.evaluation_rows, settings.seed)
    curve = fit(
        model,
        encode(tokenizer, train.texts, settings.max_length),
        label_loss(train.labels, settings, where),
        tuning_score(encode(tokenizer, tuning.texts, settings.max_length), tuning.labels),
        fit_settings(settings),
        "train",
    )
    facts = {
        "base_model": settings.base_model,
        "max_length": settings.max_length,
        "parameters": sum(parameter.numel() for parameter in dense.parameters()),
    }
    save_dense(folder, dense, model, tokenizer, tune, curve, facts)
    return curve


def main(params: Params) -> None:
    """Read the prepared tickets, write models/dense and its learning curve."""
    curve = train_dense(params, read_texts("train"), read_texts("tune"), DENSE)
    write_curve(CURVE, curve)

"""The points of the search: each a real bundle, made from one seed and scored on tune and holdout."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer

from ticket_sentiment.gates.metrics import confusion_matrix, expected_calibration_error, macro_f1
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.builds import Builder
from ticket_sentiment.model.calibration import fit_temperature
from ticket_sentiment.model.classifier import (
    base_model_path,
    device,
    encode,
    load_base,
    load_dense,
    load_tokenizer,
    predict_logits,
)
from ticket_sentiment.model.compact import CompactClassifier, from_dense
from ticket_sentiment.model.compress import ask, compress, store_answers, whole
from ticket_sentiment.model.data import read_said
from ticket_sentiment.model.fit import deterministic, fit, tuning_score
from ticket_sentiment.model.frontier import Kind
from ticket_sentiment.model.runtime import Runtime, softmax
from ticket_sentiment.model.structure import Importance, limit_length, prune_structure
from ticket_sentiment.model.train import fit_settings, label_loss, train_dense
from ticket_sentiment.model.vocabulary import can_be_cut
from ticket_sentiment.params import Params, Shape
from ticket_sentiment.search.tables import Tables

BUNDLE_BYTES = 200_000_000  # a bundle and what it is made with are far smaller
# A small encoder as one would train it without a teacher: two layers of the width of BERT-Tiny.
SCRATCH_HIDDEN, SCRATCH_HEADS, SCRATCH_FFN, SCRATCH_LAYERS = 128, 2, 512, 2
SCRATCH_EPOCHS, SCRATCH_LEARNING_RATE = 8, 1.0e-3


@dataclass(frozen=True)
class Job:
    """One point for one seed."""

    seed: int
    kind: Kind
    name: str
    shape: Shape

    @property
    def folder(self) -> str:
        """Where its result lies, below the search's folder."""
        return f"seed-{self.seed}/{self.name}"


@dataclass(frozen=True)
class Result:
    """What a point gave for one seed."""

    tune_macro_f1: float
    macro_f1: float
    calibration_error: float
    bytes: int
    shape: dict[str, int]
    seconds: float = 0.0

    def timed(self, seconds: float) -> "Result":
        """The same with what it took to make."""
        return replace(self, seconds=seconds)

    def as_json(self) -> dict[str, Any]:
        """result.json."""
        return asdict(self)


def seeded(params: Params, seed: int) -> Params:
    """The same knobs with another seed, for the dense model and for the compressed one."""
    return params.model_copy(
        update={
            "train": params.train.model_copy(update={"seed": seed}),
            "prune": params.prune.model_copy(update={"seed": seed}),
        }
    )


def _macro_f1(logits: NDArray, labels: NDArray) -> float:
    return float(macro_f1(confusion_matrix(labels, logits.argmax(axis=1))))


def _shape(model: CompactClassifier, tokenizer: Tokenizer, asked: Shape) -> dict[str, int]:
    """What the model really has: a shape may ask for more than there is, or for what cannot be cut."""
    config = model.config
    return {
        "layers": config.layers,
        "heads": max(config.heads),
        "ffn": max(config.ffn),
        "embedding_bytes": config.embedding_parts,
        "min_token_count": asked.min_token_count if can_be_cut(tokenizer) else 0,
    }


def _result(
    logits: Mapping[str, NDArray], tables: Tables, temperature: float, size: int, shape: dict[str, int]
) -> Result:
    return Result(
        tune_macro_f1=_macro_f1(logits["tune"], tables["tune"].labels),
        macro_f1=_macro_f1(logits["holdout"], tables["holdout"].labels),
        calibration_error=expected_calibration_error(
            softmax(logits["holdout"] / temperature), tables["holdout"].labels
        ),
        bytes=size,
        shape=shape,
    )


def bytes_of(job: Job, tables: Tables, params: Params) -> int:
    """What a job needs on the disk: a dense model and its answers (logits fp32, states fp16), or a bundle."""
    if job.kind != "dense":
        return BUNDLE_BYTES
    model = from_dense(load_base(params.train.base_model))
    texts = len(tables["train"].texts) + len(tables["unlabelled"].texts)
    answers = texts * (1 + params.prune.varied_copies)
    of_answer = 4 * len(LABELS) + 2 * model.config.layers * model.config.hidden
    return 4 * sum(parameter.numel() for parameter in model.parameters()) + answers * of_answer


def make_dense(job: Job, tables: Tables, params: Params, folder: Path) -> Result:
    """Fine-tune the dense model of this seed, score it in torch, and keep what it says as a teacher."""
    own = seeded(params, job.seed)
    train_dense(own, tables["train"], tables["tune"], folder / "dense")
    store_answers(ask(own, folder / "dense", tables), folder / "answers.safetensors")
    model, tokenizer = load_dense(folder / "dense"), load_tokenizer(folder / "dense")
    logits = {
        name: predict_logits(model, tokenizer, tables[name].texts, params.train.max_length, 32)
        for name in ("tune", "holdout")
    }
    np.savez(folder / "logits.npz", **logits)
    temperature = fit_temperature(logits["tune"], tables["tune"].labels)
    size = sum(file.stat().st_size for file in (folder / "dense").iterdir())
    return _result(logits, tables, temperature, size, _shape(from_dense(model), tokenizer, job.shape))


def _bundle(
    job: Job,
    model: CompactClassifier,
    tokenizer: Tokenizer,
    tables: Tables,
    params: Params,
    folder: Path,
    said: NDArray[np.float32] | None = None,
) -> Result:
    """Write the int8 bundle, calibrated on what a dense model says, and score it as it is served."""
    builder = Builder(model, tokenizer, params, tables.sha256)
    bundle = builder.calibrated(folder / "bundle", "int8", tables["tune"], said)
    runtime = Runtime(bundle)
    logits = {name: runtime.logits(tables[name].texts) for name in ("tune", "holdout")}
    np.savez(folder / "logits.npz", **logits)
    shape = _shape(model, tokenizer, job.shape)
    return _result(logits, tables, bundle.manifest.temperature, bundle.size_bytes, shape)


def make_compressed(job: Job, tables: Tables, params: Params, teacher: Path, folder: Path) -> Result:
    """The dense model cut to the job's shape and distilled; kind `dense_int8`: the dense model itself.

    Args:
        job: seed and shape.
        tables: what is learnt from and scored.
        params: knobs; the seed is the job's.
        teacher: what `make_dense` wrote.
        folder: gets the bundle.
    """
    own = seeded(params, job.seed)
    dense = ask(own, teacher / "dense", tables, teacher / "answers.safetensors")
    student = (
        whole(dense, own) if job.kind == "dense_int8" else compress(dense, job.shape, tables["tune"], own)
    )
    said = read_said(teacher / "dense")
    return _bundle(job, student.model, student.tokenizer, tables, own, folder, said)


def _learn(
    model: CompactClassifier,
    tokenizer: Tokenizer,
    tables: Tables,
    params: Params,
    name: str = "train",
    rate: str = "",
    **changes: Any,
) -> CompactClassifier:
    """Train a model on labels alone, as the dense one is; `name` and `rate` are as of `fit`."""
    train, tune, length = tables["train"], tables["tune"], params.train.max_length
    tuning = tune.sample(params.train.evaluation_rows, params.train.seed)
    fit(
        model.to(device()),
        encode(tokenizer, train.texts, length),
        label_loss(train.labels, params.train, device()),
        tuning_score(encode(tokenizer, tuning.texts, length), tuning.labels),
        replace(fit_settings(params.train), **changes),
        name,
        rate,
    )
    return model.cpu()


def _base(params: Params) -> tuple[CompactClassifier, Tokenizer]:
    """The base model before any training, and its tokenizer."""
    base_model = params.train.base_model
    return from_dense(load_base(base_model)), load_tokenizer(base_model_path(base_model))


def make_dropped(job: Job, tables: Tables, params: Params, folder: Path) -> Result:
    """The plain alternative: only the lower layers of the base model, fine-tuned on the labels, in int8."""
    own = seeded(params, job.seed)
    deterministic(job.seed)
    base, tokenizer = _base(own)
    config = base.config
    every = Importance(
        torch.ones(config.layers, max(config.heads)), torch.ones(config.layers, max(config.ffn))
    )
    layers = range(min(job.shape.layers, config.layers))
    model = prune_structure(base, every, layers, max(config.heads), max(config.ffn))
    limit_length(model, own.train.max_length)
    return _bundle(job, _learn(model, tokenizer, tables, own), tokenizer, tables, own, folder)


def make_scratch(job: Job, tables: Tables, params: Params, folder: Path) -> Result:
    """The plain alternative: a small encoder from random weights, trained on the labels, in int8."""
    own = seeded(params, job.seed)
    deterministic(job.seed)
    base, tokenizer = _base(own)
    config = replace(
        base.config,
        hidden=SCRATCH_HIDDEN,
        head_size=SCRATCH_HIDDEN // SCRATCH_HEADS,
        heads=(SCRATCH_HEADS,) * SCRATCH_LAYERS,
        ffn=(SCRATCH_FFN,) * SCRATCH_LAYERS,
        positions=own.train.max_length,
    )
    model = CompactClassifier(config)
    for parameter in model.parameters():
        if parameter.ndim > 1:
            torch.nn.init.normal_(parameter, std=0.02)
    _learn(
        model,
        tokenizer,
        tables,
        own,
        job.name,
        "SCRATCH_LEARNING_RATE in ticket_sentiment/search/points.py",
        epochs=SCRATCH_EPOCHS,
        learning_rate=SCRATCH_LEARNING_RATE,
        embedding_learning_rate=SCRATCH_LEARNING_RATE,
        patience=SCRATCH_EPOCHS * own.train.evaluations_per_epoch,
    )
    return _bundle(job, model, tokenizer, tables, own, folder)

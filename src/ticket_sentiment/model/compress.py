"""One point of the frontier: the dense model cut to a shape, which then learns from the dense one again."""

import hashlib
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import save_file
from tokenizers import Tokenizer

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, write_json
from ticket_sentiment.model.augment import SHORTEST, varied
from ticket_sentiment.model.classifier import device, encode, load_dense, load_tokenizer
from ticket_sentiment.model.compact import CompactClassifier, from_dense, save_compact
from ticket_sentiment.model.data import LabelledTexts
from ticket_sentiment.model.distill import TeacherAnswers, ask_teacher, distillation_loss
from ticket_sentiment.model.embedding import product_quantize
from ticket_sentiment.model.fit import FitSettings, Point, deterministic, fit, tuning_score
from ticket_sentiment.model.structure import (
    Importance,
    limit_length,
    lowest_and_last,
    measure_importance,
    prune_structure,
)
from ticket_sentiment.model.vocabulary import cut_vocabulary, kept_tokens
from ticket_sentiment.params import Params, Shape


@dataclass(frozen=True)
class Teacher:
    """The dense model and all that is asked of it once, whatever the shapes that learn from it."""

    model: CompactClassifier
    tokenizer: Tokenizer
    importance: Importance
    texts: list[str]  # of the training months and before, labelled or not, and what was made of them
    labels: NDArray[np.int64]  # -1 where there is none
    rows: list[list[int]]  # token ids of the texts
    answers: TeacherAnswers


@dataclass(frozen=True)
class Student:
    """A compressed model in torch."""

    model: CompactClassifier
    tokenizer: Tokenizer
    layers: list[int]  # the teacher's that are kept
    curve: list[Point]


def ask(
    params: Params, dense: Path, tables: Mapping[str, LabelledTexts], stored: Path | None = None
) -> Teacher:
    """Load the dense model, measure what matters in it, and let it answer all training texts.

    Args:
        params: sections `prune` and `train` are read.
        dense: folder of stage `train`.
        tables: `train` and `unlabelled`; the teacher also speaks on texts without a label.
        stored: what `store_answers` wrote for the same, instead of asking again.
    """
    deterministic(params.prune.seed)
    model, tokenizer = from_dense(load_dense(dense)).to(device()), load_tokenizer(dense)
    train, unlabelled = tables["train"], tables["unlabelled"]
    texts = train.texts + unlabelled.texts
    made = varied(texts, params.prune.varied_copies, params.prune.seed)
    labels = np.concatenate([train.labels, unlabelled.labels, np.full(len(made), -1)])
    texts += made
    rows = encode(tokenizer, texts, params.train.max_length)
    if stored is not None:
        kept, asked = _load_answers(stored)
        if asked != _digest(rows):
            raise TicketSentimentError(f"{stored} answers other texts: remove its folder and run again")
        importance = Importance(kept["heads"], kept["ffn"])
        answers = TeacherAnswers(kept["logits"], kept["states"])
        return Teacher(model, tokenizer, importance, texts, labels, rows, answers)
    sample = train.sample(params.prune.importance_rows, params.prune.seed)
    importance = measure_importance(
        model, encode(tokenizer, sample.texts, params.train.max_length), sample.labels.tolist()
    )
    _tell_if_few(len(made), params.prune.varied_copies * (len(texts) - len(made)))
    return Teacher(model, tokenizer, importance, texts, labels, rows, ask_teacher(model, rows))


def _tell_if_few(made: int, wanted: int) -> None:
    if 2 * made < wanted:
        print(
            f"prune.varied_copies: only {made} of {wanted} texts are made, as most tickets have fewer than "
            f"{SHORTEST} words: distillation is as much shorter; a higher prune.effort makes it longer",
            flush=True,
        )


def store_answers(teacher: Teacher, path: Path) -> None:
    """What was asked of the teacher, for other processes that compress the same dense model."""
    parts = {
        "heads": teacher.importance.heads,
        "ffn": teacher.importance.ffn,
        "logits": teacher.answers.logits,
        "states": teacher.answers.states,
    }
    about = {"asked": _digest(teacher.rows)}
    save_file({name: tensor.contiguous() for name, tensor in parts.items()}, path, about)


def _digest(rows: Sequence[Sequence[int]]) -> str:
    """What the teacher was asked, in its order."""
    digest = hashlib.sha256()
    for row in rows:
        digest.update(array("i", [*row, -1]).tobytes())
    return digest.hexdigest()


def _load_answers(path: Path) -> tuple[dict[str, torch.Tensor], str]:
    with safe_open(path, "pt") as stored:
        return {name: stored.get_tensor(name) for name in stored.keys()}, stored.metadata()["asked"]  # noqa: SIM118


def shrink(teacher: Teacher, shape: Shape, params: Params) -> tuple[Student, list[list[int]]]:
    """Cut layers, heads, neurons, positions and vocabulary: the student, and the texts in its token ids."""
    layers = lowest_and_last(teacher.model.config.layers, shape.layers)
    student = prune_structure(teacher.model.cpu(), teacher.importance, layers, shape.heads, shape.ffn)
    student.dropout = 0.0  # the teacher answered without it; with 0.1 a student lost another point
    limit_length(student, params.train.max_length)
    tokenizer, rows = teacher.tokenizer, teacher.rows
    kept = kept_tokens(tokenizer, rows, shape.min_token_count)
    if kept is not None:
        student, tokenizer = cut_vocabulary(student, tokenizer, kept)
        rows = encode(tokenizer, teacher.texts, params.train.max_length)
    if shape.embedding_bytes:
        if student.config.hidden % shape.embedding_bytes:
            raise TicketSentimentError(
                f"search.shapes: {shape.name}: embedding_bytes must divide the hidden size "
                f"{student.config.hidden} of {params.train.base_model}"
            )
        counts = torch.bincount(
            torch.tensor([token for row in rows for token in row]), minlength=student.config.vocabulary
        )
        student.words = product_quantize(
            student.words.weight.data, counts, shape.embedding_bytes, params.prune.seed
        )
        student.config = replace(student.config, embedding_parts=shape.embedding_bytes)
    return Student(student, tokenizer, layers, []), rows


def compress(teacher: Teacher, shape: Shape, tune: LabelledTexts, params: Params) -> Student:
    """Cut to `shape` and distil; the student is left at its best evaluation on the tuning tickets.

    Every shape learns for about as long: a small one needs more epochs, and they cost less.
    """
    settings, train = params.prune, params.train
    deterministic(settings.seed)
    where = device()
    student, rows = shrink(teacher, shape, params)
    tuning = tune.sample(train.evaluation_rows, settings.seed)
    dearer = teacher.model.config.multiplications / student.model.config.multiplications
    curve = fit(
        student.model.to(where),
        rows,
        distillation_loss(teacher.answers, student.layers, teacher.labels, settings, where),
        tuning_score(encode(student.tokenizer, tuning.texts, train.max_length), tuning.labels),
        FitSettings(
            epochs=settings.effort * dearer,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            embedding_learning_rate=0.0,
            weight_decay=train.weight_decay,
            warmup_share=train.warmup_share,
            evaluations_per_epoch=train.evaluations_per_epoch,
            patience=settings.patience,
            seed=settings.seed,
            matrix_learning_rate=settings.matrix_learning_rate,
        ),
        "prune",
    )
    return Student(student.model.cpu(), student.tokenizer, student.layers, curve)


def whole(teacher: Teacher, params: Params) -> Student:
    """The dense model itself: what is released, in int8, when no shape stays inside the budget."""
    config = teacher.model.config
    layers = list(range(config.layers))
    model = prune_structure(
        teacher.model.cpu(), teacher.importance, layers, max(config.heads), max(config.ffn)
    )
    limit_length(model, params.train.max_length)
    return Student(model, teacher.tokenizer, layers, [])


def save_student(student: Student, folder: Path, **facts: object) -> None:
    """Write architecture.json, model.safetensors, tokenizer.json and pruning.json as a whole.

    Args:
        student: what is written.
        folder: takes the place of what lies there.
        **facts: further fields of pruning.json.
    """
    with replacing_folder(folder) as temporary:
        save_compact(student.model, temporary)
        student.tokenizer.no_truncation()
        student.tokenizer.save(str(temporary / "tokenizer.json"), pretty=False)
        write_json(
            temporary / "pruning.json",
            {"layers": student.layers, "vocabulary": student.model.config.vocabulary, **facts},
        )

"""Stages `hotfix-train` and `hotfix-prune`: the champion learns the corrected tickets and keeps the rest.

Both its models go on from where they are. Beside the corrected tickets they see a replay of training tickets
whose target is what they answer themselves, so that only what the corrections ask for changes (Li and Hoiem
2016, "Learning without Forgetting"; Buzzega et al. 2020, "Dark Experience for General Continual Learning").
First the dense model learns the corrections; then the pruned one, from their labels and from what the dense
one now says about varied forms of them. At last the change of the weights is gone back as far as the
corrections stay learnt (Ilharco et al. 2022, "Patching open-vocabulary models by interpolating weights").
Shapes stay as they are.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from ticket_sentiment.files import read_json
from ticket_sentiment.model.augment import varied
from ticket_sentiment.model.classifier import device, encode, load_dense, load_tokenizer, predict_rows
from ticket_sentiment.model.compact import CompactClassifier, from_dense, load_compact
from ticket_sentiment.model.compress import Student, save_student
from ticket_sentiment.model.data import DENSE, PRUNED, LabelledTexts, read_texts
from ticket_sentiment.model.distill import TeacherAnswers, ask_teacher, distillation_loss
from ticket_sentiment.model.fit import (
    EVALUATION_BATCH,
    FitSettings,
    Point,
    Score,
    deterministic,
    fit,
    tuning_score,
    write_curve,
)
from ticket_sentiment.model.prune import attempt
from ticket_sentiment.model.train import save_dense
from ticket_sentiment.params import Params

State = dict[str, Tensor]

CHAMPION = Path("champion")  # its dense and pruned model, as the flow fetched them
DENSE_CURVE = Path("reports/training/learning_curve.csv")
PRUNED_CURVE = Path("reports/training/distillation_curve.csv")
STEPS = 20  # in which the change of the weights is gone back
SURE = 8.0  # logit of a corrected label above the others: 96 % at distillation temperature 2


def fit_settings(params: Params) -> FitSettings:
    """What the training loop needs of section `hotfix`; what it does not say is as in section `train`."""
    settings, train = params.hotfix, params.train
    return FitSettings(
        epochs=settings.epochs,
        batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        embedding_learning_rate=0.0,
        weight_decay=train.weight_decay,
        warmup_share=train.warmup_share,
        evaluations_per_epoch=1,
        patience=settings.epochs,
        seed=settings.seed,
    )


def replayed(params: Params) -> list[str]:
    """What the model must go on answering as it does: a draw of the training months, earlier corrections."""
    texts = read_texts("train").texts + read_texts("unlabelled").texts
    table = LabelledTexts(texts, np.full(len(texts), -1))
    return table.sample(params.hotfix.replay_rows, params.hotfix.seed).texts + read_texts("earlier").texts


def score_of_both(
    rows: list[list[int]], labels: NDArray, corrected: list[list[int]], right: NDArray
) -> Score:
    """Macro-F1 on tuning tickets and corrected ones together, where each kind counts about half.

    On the tuning tickets alone the best evaluation would be the one before anything was corrected.
    """
    times = max(1, round(len(rows) / len(corrected)))
    return tuning_score(rows + corrected * times, np.concatenate([labels, np.tile(right, times)]))


def with_labels(answers: TeacherAnswers, labels: NDArray) -> TeacherAnswers:
    """Answers in which each text that has a label (not -1) is answered by it, surely."""
    logits, known = answers.logits.clone(), torch.from_numpy(np.flatnonzero(labels >= 0))
    logits[known] = SURE * torch.eye(logits.shape[1])[torch.from_numpy(labels)[known]]
    return TeacherAnswers(logits, answers.states)


def mixed(before: State, after: State, share: float) -> State:
    """Weights on the way from one model to the other; codes, which are no scale, are of the first."""
    return {
        name: torch.lerp(old, after[name], share) if old.is_floating_point() else old
        for name, old in before.items()
    }


def go_back(model: nn.Module, before: State, rows: list[list[int]], labels: NDArray, wanted: float) -> float:
    """Set the weights, in place, to the smallest share of their change that teaches enough.

    That is: enough of the rows that it answered wrong before are right, and enough of all. Many that were
    right before do not make up for the others.

    Args:
        model: after training.
        before: its weights before.
        rows: token ids of the corrected tickets.
        labels: their class numbers.
        wanted: share of them that must be right, and of those that were wrong before; where it is never
            reached, or none was wrong, the whole change stays.

    Returns:
        The share of the change.
    """
    after = {name: tensor.clone() for name, tensor in model.state_dict().items()}

    def right(step: int) -> NDArray[np.bool_]:
        model.load_state_dict(mixed(before, after, step / STEPS))
        return predict_rows(model, rows, EVALUATION_BATCH).argmax(axis=1) == labels

    wrong = ~right(0)
    for step in range(1, STEPS + 1):
        now = right(step)
        if wrong.any() and min(now[wrong].mean(), now.mean()) >= wanted:
            break
    return step / STEPS


def _learn(
    model: CompactClassifier,
    tokenizer: Tokenizer,
    lesson: LabelledTexts,
    answers: TeacherAnswers,
    layers: Sequence[int],
    params: Params,
) -> list[Point]:
    """Train in place on texts and what is to be answered, then go back as far as the corrections allow."""
    settings, train, where = params.hotfix, params.train, device()
    model.to(where).dropout = 0.0  # the answers to be kept were given without
    before = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    corrected, tuning = read_texts("corrected"), read_texts("tune")
    tuning = tuning.sample(train.evaluation_rows, settings.seed)
    rows = encode(tokenizer, corrected.texts, train.max_length)
    aims = params.prune.model_copy(
        update={"hidden_weight": settings.hidden_weight, "label_weight": settings.label_weight}
    )
    curve = fit(
        model,
        encode(tokenizer, lesson.texts, train.max_length),
        distillation_loss(with_labels(answers, lesson.labels), layers, lesson.labels, aims, where),
        score_of_both(
            encode(tokenizer, tuning.texts, train.max_length), tuning.labels, rows, corrected.labels
        ),
        fit_settings(params),
        "hotfix",
    )
    share = go_back(model, before, rows, corrected.labels, settings.aim)
    print(
        f"hotfix: {share:.0%} of the change of the weights are kept for {settings.aim:.0%} of the corrections"
    )
    return curve


def lesson_of(params: Params, *unlabelled: list[str]) -> LabelledTexts:
    """The corrected tickets, each `hotfix.copies` times, and texts whose label nobody said."""
    corrected, copies = read_texts("corrected"), params.hotfix.copies
    others = [text for texts in unlabelled for text in texts]
    labels = [np.tile(corrected.labels, copies), np.full(len(others), -1)]
    return LabelledTexts(corrected.texts * copies + others, np.concatenate(labels))


def correct_dense(params: Params, champion: Path, folder: Path) -> list[Point]:
    """Teach the champion's dense model the corrected tickets and write it into `folder`.

    Returns:
        The learning curve; its macro-F1 is that of `score_of_both`.
    """
    deterministic(params.hotfix.seed)
    dense, tokenizer, length = load_dense(champion), load_tokenizer(champion), params.train.max_length
    model = from_dense(dense).to(device())
    lesson = lesson_of(params, replayed(params))
    answers = ask_teacher(model, encode(tokenizer, lesson.texts, length))
    curve = _learn(model, tokenizer, lesson, answers, range(model.config.layers), params)
    facts = read_json(champion / "training.json")
    save_dense(folder, dense, model, tokenizer, read_texts("tune"), curve, facts)
    return curve


def correct_pruned(params: Params, champion: Path, dense: Path) -> Student:
    """Teach the champion's pruned model the corrected tickets.

    It learns their labels, and what the corrected dense model says about varied forms of them.

    Args:
        params: sections `hotfix`, `prune` and `train` are read.
        champion: folder of its pruned model.
        dense: folder of the corrected dense model.
    """
    settings, length = params.hotfix, params.train.max_length
    deterministic(settings.seed)
    student, tokenizer = load_compact(champion), load_tokenizer(champion)
    layers = read_json(champion / "pruning.json")["layers"]
    teacher, its_tokenizer = from_dense(load_dense(dense)).to(device()), load_tokenizer(dense)
    forms = varied(read_texts("corrected").texts, settings.varied_copies, settings.seed)
    replay = replayed(params)
    lesson = lesson_of(params, forms, replay)
    answers = ask_teacher(teacher, encode(its_tokenizer, lesson.texts, length))
    own = predict_rows(student, encode(tokenizer, replay, length), EVALUATION_BATCH)
    answers.logits[-len(replay) :] = torch.from_numpy(own)
    curve = _learn(student, tokenizer, lesson, answers, layers, params)
    return Student(student.cpu(), tokenizer, layers, curve)


def main_dense(params: Params) -> None:
    """Stage `hotfix-train`: write models/dense and its learning curve."""
    write_curve(DENSE_CURVE, correct_dense(params, CHAMPION / "dense", DENSE))


def main_pruned(params: Params) -> None:
    """Stage `hotfix-prune`: write models/pruned and its learning curve."""
    champion = CHAMPION / "pruned"
    student = correct_pruned(params, champion, DENSE)
    shape = read_json(champion / "pruning.json")["attempts"][-1]["shape"]
    dense_macro_f1 = read_json(DENSE / "training.json")["tune_macro_f1"]
    found = attempt(shape, student, dense_macro_f1, read_texts("tune"), params)
    print(found.line())
    save_student(student, PRUNED, attempts=[asdict(found)])
    write_curve(PRUNED_CURVE, student.curve)

"""Distillation: the pruned model learns to answer as the dense one does.

Logits after Hinton et al. 2015 ("Distilling the Knowledge in a Neural Network"); the first token's hidden
states after Sun et al. 2019 ("Patient Knowledge Distillation for BERT Model Compression"), which is the
token the label is read off. The teacher runs once over the tickets: what it says is kept, so an epoch costs
only the student.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from tqdm.auto import tqdm

from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.classifier import has_bfloat16, sorted_batches
from ticket_sentiment.model.compact import CompactClassifier
from ticket_sentiment.model.fit import Loss
from ticket_sentiment.params import Prune

TEACHER_BATCH = 64


@dataclass(frozen=True)
class TeacherAnswers:
    """What the dense model said: logits [texts, labels]; first-token states [texts, layers, hidden], fp16."""

    logits: Tensor
    states: Tensor


def ask_teacher(teacher: CompactClassifier, rows: Sequence[Sequence[int]]) -> TeacherAnswers:
    """Logits and the first token's state after each layer, for every text."""
    where, config = next(teacher.parameters()).device, teacher.config
    logits = torch.empty((len(rows), len(LABELS)))
    states = torch.empty((len(rows), config.layers, config.hidden), dtype=torch.half)
    teacher.eval()
    batches = sorted_batches(rows, TEACHER_BATCH)
    total = -(-len(rows) // TEACHER_BATCH)
    mixed = torch.autocast(where.type, torch.bfloat16, enabled=has_bfloat16(where))
    with torch.inference_mode(), mixed:
        for indices, ids, mask in tqdm(batches, total=total, desc="teacher", unit="batch", mininterval=5):
            hidden = teacher.states(ids.to(where), mask.to(where))
            logits[indices] = teacher.classify(hidden[-1]).float().cpu()
            states[indices] = torch.stack([layer[:, 0] for layer in hidden[1:]], dim=1).half().cpu()
    return TeacherAnswers(logits, states)


def distillation_loss(
    answers: TeacherAnswers,
    layers: Sequence[int],
    labels: np.ndarray,
    settings: Prune,
    where: torch.device,
) -> Loss:
    """KL divergence of the softened answers + hidden states + a little of the true label, where known.

    Args:
        answers: the teacher's, for the rows that are trained on.
        layers: the teacher's that the student keeps; its own states are held against theirs.
        labels: class numbers of the same rows, -1 where there is no label.
        settings: temperature and weights.
        where: the device of the student.
    """
    temperature = settings.distillation_temperature
    soft = F.softmax(answers.logits / temperature, dim=-1).to(where)
    kept = torch.tensor(list(layers))
    targets = torch.from_numpy(labels).to(where)

    def loss(model: nn.Module, indices: list[int], ids: Tensor, mask: Tensor) -> Tensor:
        hidden = model.states(ids, mask)
        logits = model.classify(hidden[-1])
        total = (
            F.kl_div(F.log_softmax(logits / temperature, dim=-1), soft[indices], reduction="batchmean")
            * temperature**2
        )
        theirs = answers.states[indices][:, kept].to(where).float()
        ours = torch.stack([layer[:, 0] for layer in hidden[1:]], dim=1)
        # Mean over texts and units, sum over layers.
        total = total + settings.hidden_weight * F.mse_loss(ours.float(), theirs) * ours.shape[1]
        known = targets[indices]
        if settings.label_weight and bool((known >= 0).any()):
            total = total + settings.label_weight * F.cross_entropy(logits, known, ignore_index=-1)
        return total

    return loss

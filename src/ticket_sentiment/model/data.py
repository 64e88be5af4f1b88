"""Where the stages of the model lie, and what they read of a prepared table: texts and class numbers."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray
from safetensors.numpy import load_file

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABEL_TO_ID

PREPARED = Path("data/prepared")
DENSE = Path("models/dense")
PRUNED = Path("models/pruned")
TUNING = "tuning.safetensors"  # in the dense model's folder: what it says of the tuning tickets


@dataclass(frozen=True)
class LabelledTexts:
    """Texts and their class numbers, -1 where there is no label."""

    texts: list[str]
    labels: NDArray[np.int64]

    def sample(self, rows: int, seed: int) -> "LabelledTexts":
        """At most `rows` rows, drawn without replacement, in table order."""
        if rows >= len(self.texts):
            return self
        chosen = np.sort(np.random.default_rng(seed).choice(len(self.texts), rows, replace=False))
        return LabelledTexts([self.texts[i] for i in chosen], self.labels[chosen])


def read_said(dense: Path = DENSE) -> NDArray[np.float32]:
    """What a dense model says of the tuning tickets: calibrated probabilities in their order, [rows, labels].

    Raises:
        TicketSentimentError: the file is missing: the model is of an older release.
    """
    path = dense / TUNING
    if not path.is_file():
        raise TicketSentimentError(f"{path} is missing: run `dvc repro -f -s train`")
    return load_file(path)["probabilities"]


def read_texts(name: str, folder: Path = PREPARED) -> LabelledTexts:
    """A table that stage `prepare` made: `train`, `tune`, `holdout` or `unlabelled`.

    Raises:
        TicketSentimentError: the table is missing.
    """
    path = folder / f"{name}.parquet"
    if not path.is_file():
        raise TicketSentimentError(f"{path} is missing: run `dvc repro prepare`")
    table = pq.read_table(path, columns=["text", "label"])
    labels = [LABEL_TO_ID.get(label, -1) for label in table.column("label").to_pylist()]
    return LabelledTexts(table.column("text").to_pylist(), np.array(labels, dtype=np.int64))

"""How models answer the same texts: a bundle as it is served, and the dense model."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.model.runtime import Runtime, softmax

HOLDOUT = Path("data/prepared/holdout.parquet")
DENSE = Path("models/dense")
CPU_BUNDLE = Path("models/release/cpu")
CHAMPION = Path("models/champion/bundle")
BATCH = 64  # of the dense model; its answers do not depend on it


@dataclass(frozen=True)
class Scored:
    """A model's probabilities for the holdout, [rows, labels], and those before temperature scaling."""

    probabilities: NDArray
    uncalibrated: NDArray | None = None

    @property
    def predicted(self) -> NDArray[np.int64]:
        """Class indices, [rows]."""
        return self.probabilities.argmax(axis=1)

    def only(self, rows: NDArray[np.bool_]) -> "Scored":
        """Its answers to some rows of the holdout."""
        raw = self.uncalibrated
        return Scored(self.probabilities[rows], None if raw is None else raw[rows])


def score_bundle(path: Path, texts: Sequence[str]) -> tuple[str, Scored]:
    """The digest of a bundle, and its answers.

    Raises:
        TicketSentimentError: the bundle does not verify, or it answers with something that is no number.
    """
    bundle = load_bundle(path)
    return bundle.digest, calibrated(
        path, Runtime(bundle).logits_of_table(texts), bundle.manifest.temperature
    )


def score_dense(folder: Path, texts: Sequence[str], max_length: int) -> Scored:
    """The answers of the dense model, at the temperature of its training.json."""
    # Here, not above: the rest of this module can then be used without waiting for torch.
    from ticket_sentiment.model.classifier import load_dense, load_tokenizer, predict_logits

    temperature = read_json(folder / "training.json").get("temperature")
    if not isinstance(temperature, float) or not temperature > 0:
        raise TicketSentimentError(
            f"{folder / 'training.json'}: temperature: expected a number above 0: run `dvc repro -f -s train`"
        )
    logits = predict_logits(load_dense(folder), load_tokenizer(folder), texts, max_length, BATCH)
    return calibrated(folder, logits, temperature)


def calibrated(path: Path, logits: NDArray, temperature: float) -> Scored:
    """Probabilities with and without the temperature; refuses logits that are not finite."""
    if not np.isfinite(logits).all():
        raise TicketSentimentError(
            f"{path}: the model's answers are not finite: its training or conversion has failed; "
            "run `dvc repro -f -s train`"
        )
    logits = logits.astype(np.float64)
    return Scored(softmax(logits / temperature), softmax(logits))

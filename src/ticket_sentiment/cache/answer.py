"""What the cache keeps of an answer: what the model said, and nothing that settings decide.

Whether an answer abstains, and which arm gave it, is decided at each request: thresholds and shares change
while answers stay cached.
"""

import json
import math
import re
from dataclasses import dataclass

from ticket_sentiment.labels import LABELS

BACKEND = "[A-Za-z0-9_]{1,64}"  # a pattern: it is a label of metrics, whoever names it


@dataclass(frozen=True, slots=True)
class Answer:
    """One model's answer to one text. Immutable: every hit hands out the same object.

    Attributes:
        label: one of LABELS.
        probabilities: calibrated, in the order of LABELS.
        backend: what computed it.
    """

    label: str
    probabilities: tuple[float, float, float]
    backend: str

    @property
    def confidence(self) -> float:
        """The highest probability."""
        return max(self.probabilities)


def encode(answer: Answer, key: str) -> str:
    """JSON that also names the key it answers, so that a reply meant for another request is noticed."""
    return json.dumps(
        {"key": key, "label": answer.label, "probabilities": answer.probabilities, "backend": answer.backend},
        separators=(",", ":"),
        allow_nan=False,
    )


def decode(text: str | bytes, key: str) -> Answer:
    """The answer that `encode` wrote.

    Raises:
        ValueError: it is none, or answers another key. The message holds nothing of it.
    """
    try:
        raw = json.loads(text)
        label, backend = raw["label"], raw["backend"]
        negative, neutral, positive = map(float, raw["probabilities"])
        whole = (
            raw["key"] == key
            and label in LABELS
            and re.fullmatch(BACKEND, backend) is not None
            and math.isclose(negative + neutral + positive, 1, abs_tol=0.001)
            and min(negative, neutral, positive) >= 0
        )
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        whole = False
    if not whole:
        raise ValueError("not an answer to this key")
    return Answer(label, (negative, neutral, positive), backend)

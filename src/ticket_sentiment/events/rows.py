"""From an event to the row that keeps it.

What a caller can get wrong is refused here, one event at a time: a database that refuses a row refuses its
batch, and finding the row costs some twenty transactions. Whatever else is wrong is left to that.
"""

import math
from typing import Any

from ticket_sentiment.events.types import Exposure, Failure, Prediction, storable
from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.shape import Shape, shape


def prediction_row(event: Prediction, writer: str, sequence: int, store_text: bool) -> dict[str, Any]:
    """A row of `predictions`.

    Args:
        event: what happened.
        writer: the process's own name, which with `sequence` is the row's key.
        sequence: of the event in this process.
        store_text: whether the text is kept. It is masked here once more, whatever the caller did.

    Raises:
        ValueError: an identifier that cannot be stored, or a number that is none.
    """
    if not all(storable(text) for text in (event.request_id, event.ticket_id, event.channel) if text):
        raise ValueError("an identifier or the channel holds a NUL or half a surrogate pair")
    if not math.isfinite(sum(event.probabilities) + event.confidence + event.latency_ms):
        raise ValueError("a probability, the confidence or the latency is no number")
    return {
        "writer": writer,
        "sequence": sequence,
        "at": event.at,
        "request_id": event.request_id,
        "ticket_id": event.ticket_id,
        "customer": event.customer,
        "arm": event.arm,
        "epoch": event.epoch,
        "bundle_digest": event.bundle_digest,
        "model_version": event.model_version,
        "label": event.label,
        **{f"p_{label}": value for label, value in zip(LABELS, event.probabilities, strict=True)},
        "confidence": event.confidence,
        "abstain": event.abstain,
        "cached": event.cached,
        "backend": event.backend,
        "latency_ms": event.latency_ms,
        "shadow": event.shadow,
        "text": clean(event.text) if store_text and event.text else None,
        "unit": event.unit,
        "channel": clean(event.channel) if event.channel else None,  # as of collected tickets
        # Taken here, where no request waits; the text need not be kept for it.
        **(dict.fromkeys(Shape.__annotations__) if event.text is None else shape(event.text)),
    }


def exposure_row(event: Exposure) -> dict[str, Any]:
    """A row of `exposures`."""
    return {"epoch": event.epoch, "unit": event.unit, "arm": event.arm, "at": event.at}


def failure_row(event: Failure, writer: str, sequence: int) -> dict[str, Any]:
    """A row of `failures`; its key is made as that of a prediction."""
    return {
        "writer": writer,
        "sequence": sequence,
        "at": event.at,
        "request_id": event.request_id,
        "unit": event.unit,
        "arm": event.arm,
        "epoch": event.epoch,
        "code": event.code,
    }

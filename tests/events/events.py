"""Events for tests, and what child processes do with a store. Importable in a new process."""

import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from ticket_sentiment.events.changes import Change, Look
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Exposure, Feedback, Prediction
from ticket_sentiment.rollout.state import RolloutState

NOON = datetime(2026, 11, 1, 12, tzinfo=UTC)
DIGEST, OTHER = "a" * 64, "b" * 64

PREDICTION = Prediction(
    at=NOON,
    request_id="r-1",
    ticket_id="T-1",
    customer="0123456789abcdef",
    arm="challenger",
    epoch=3,
    bundle_digest=DIGEST,
    model_version="7",
    label="positive",
    probabilities=(0.125, 0.25, 0.625),
    confidence=0.625,
    abstain=False,
    cached=True,
    backend="cpu",
    latency_ms=1.5,
    shadow=False,
    text="my number is +44 20 7946 0958, thanks",
)
EXPOSURE = Exposure(at=NOON, unit="0123456789abcdef", arm="champion", epoch=3)
STATE = RolloutState(
    epoch=1, salt="first", champion=DIGEST, challenger=OTHER, challenger_share=0.05, shadow=True, since=NOON
)


def prediction(**changes: Any) -> Prediction:
    return PREDICTION._replace(**changes)


def feedback(event_id: str, label: str = "negative", minutes: int = 0, **changes: Any) -> Feedback:
    made = Feedback(NOON + timedelta(minutes=minutes), "T-1", "agent", event_id, label)
    return made._replace(**changes)


def state(epoch: int, share: float | None, salt: str = "first") -> RolloutState:
    """A state with a challenger at a share, or (None) without one."""
    since = NOON + timedelta(hours=epoch)
    if share is None:
        return RolloutState(epoch, salt, DIGEST, None, 0.0, False, since)
    return RolloutState(epoch, salt, DIGEST, OTHER, share, True, since)


def change(action: str = "start", **changes: Any) -> Change:
    """One that fits a state with a challenger, unless `rollout=None`."""
    made = Change(NOON, action, "rollout flow", "Because.", 0, 1, False, "6", "7", "c" * 64, "5")
    if changes.get("rollout", 1) is None:
        made = replace(made, rollout=None, challenger_version=None)
    return replace(made, **changes)


def look(epoch: int = 1, number: int = 1, **changes: Any) -> Look:
    made = Look(epoch, number, NOON, "wait", ("Too early.",), ({"name": "errors", "estimate": 0.1},), True)
    return replace(made, **changes)


def open_only(url: str) -> bool:
    """Opens a store, as a worker that starts."""
    store = EventStore(url, 10, False)
    ready = store.available
    store.close(1)
    return ready


def race(url: str, number: int) -> bool:
    """Tries to make the second state; each process another one."""
    store = EventStore(url, 10, False)
    try:
        return store.set_rollout_state(replace(STATE, epoch=2, salt=f"by {number}"), 1)
    finally:
        store.close(1)


def give_feedback_for_ever(url: str) -> None:
    """Prints the number of each feedback once it is acknowledged."""
    store = EventStore(url, 10, False)
    number = 0
    while True:
        store.feedback(feedback(str(number)))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()
        number += 1


if __name__ == "__main__":
    give_feedback_for_ever(sys.argv[1])

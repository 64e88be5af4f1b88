"""What the ledger keeps: why a state of the rollout came to be, and each look at the evidence."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal, get_args

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import MAX_IDENTIFIER, storable
from ticket_sentiment.rollout.state import RolloutState

Action = Literal["start", "advance", "promote", "rollback", "stop", "adopt"]
ACTIONS: tuple[Action, ...] = get_args(Action)
MAX_REASON = 2000
MAX_STEP = 1000
_BEGINS, _GOES_ON, _ENDS = {"start"}, {"advance"}, {"promote", "rollback", "stop"}


def _refuse(key: str, expected: str) -> None:
    raise TicketSentimentError(f"rollout change: {key}: expected {expected}; nothing was changed")


def _check_text(key: str, value: str | None, longest: int) -> None:
    if not isinstance(value, str) or not 0 < len(value) <= longest or not storable(value):
        _refuse(key, f"1 to {longest} characters of plain text")


@dataclass(frozen=True, slots=True)
class Change:
    """Who made a state, and why.

    Attributes:
        at: when it was decided, with a time zone.
        action: start (a challenger in shadow), advance (a larger share), promote (the challenger is the
            champion), rollback, stop (no decision was possible: the champion stays), adopt (what was found
            elsewhere, such as an alias that a person moved).
        actor: for example `rollout flow`, `person via MLflow`, `command line`, `hotfix flow`.
        reason: a sentence.
        step: index into `rollout.steps` of params.yaml; 0 is shadow.
        rollout: epoch at which the rollout began; None when none is on.
        hotfix: whether it is the rollout of a hotfix.
        champion_version: of the registry.
        challenger_version: of the registry; None when none is on trial.
        previous_champion: digest of the bundle that a rollback goes to; None when there is none.
        previous_version: its version.

    Raises:
        TicketSentimentError: on construction, when a field is not as it should be; the message names it.
    """

    at: datetime
    action: Action
    actor: str
    reason: str
    step: int
    rollout: int | None
    hotfix: bool
    champion_version: str
    challenger_version: str | None
    previous_champion: str | None
    previous_version: str | None

    def __post_init__(self) -> None:
        if self.at.utcoffset() is None:
            _refuse("at", "a time with a time zone")
        if self.action not in ACTIONS:
            _refuse("action", f"one of {', '.join(ACTIONS)}")
        _check_text("reason", self.reason, MAX_REASON)
        for key in ("actor", "champion_version"):
            _check_text(key, getattr(self, key), MAX_IDENTIFIER)
        for key in ("challenger_version", "previous_champion", "previous_version"):
            if (value := getattr(self, key)) is not None:
                _check_text(key, value, MAX_IDENTIFIER)
        if type(self.step) is not int or not 0 <= self.step <= MAX_STEP:
            _refuse("step", f"a whole number from 0 to {MAX_STEP}")
        if self.rollout is not None and (type(self.rollout) is not int or self.rollout < 1):
            _refuse("rollout", "the epoch of a state, or none")
        if (self.previous_champion is None) != (self.previous_version is None):
            _refuse("previous_version", "one where there is a previous_champion, and only there")


@dataclass(frozen=True, slots=True)
class Entry:
    """A state and why it came to be; without a `change` it was set by `EventStore.set_rollout_state`."""

    state: RolloutState
    change: Change | None

    @property
    def on(self) -> bool:
        """Whether a rollout is on that the ledger knows of."""
        return self.change is not None and self.change.rollout is not None

    @property
    def told(self) -> str:
        """Who did what, for an error: `rollback by command line, epoch 7`."""
        if self.change is None:
            return f"a state without a note of who set it, epoch {self.state.epoch}"
        return f"{self.change.action} by {self.change.actor}, epoch {self.state.epoch}"


class LedgerConflict(TicketSentimentError):
    """Another change came first: read the ledger and decide again.

    Attributes:
        winner: what is in force instead; None where nothing was ever set.
    """

    def __init__(self, expected_epoch: int, winner: Entry | None) -> None:
        self.winner = winner
        found = winner.told if winner else "that no state was ever set"
        super().__init__(
            f"rollout change: made for epoch {expected_epoch}, but the ledger has {found}: "
            "nothing was changed; read it and decide again"
        )


def following(before: Entry | None, state: RolloutState, change: Change) -> Entry:
    """The entry that a change makes after `before`; within a rollout its times are never earlier.

    A clock that jumped back must not turn the steps of a rollout round: by them their length is measured.
    What begins or ends one has its own time: a clock that was once ahead must not hold up rollouts to come.

    Raises:
        TicketSentimentError: the change does not fit its state, or what was before.
    """
    if (change.rollout is None) != (state.challenger is None):
        _refuse("rollout", "an epoch while a challenger is on trial, and only then")
    if (change.challenger_version is None) != (state.challenger is None):
        _refuse("challenger_version", "one while a challenger is on trial, and only then")
    if change.action in _BEGINS and change.rollout != state.epoch:
        _refuse("rollout", f"{state.epoch}, the epoch that it begins with")
    if change.action in _ENDS and change.rollout is not None:
        _refuse("rollout", f"none, which {change.action} ends")
    if change.rollout is not None and change.rollout != state.epoch:
        _check_same_rollout(before, state, change)
    elif change.action in _GOES_ON:
        _refuse("rollout", "the epoch at which the rollout that goes on began")
    if change.action == "promote" and (before is None or state.champion != before.state.challenger):
        _refuse("champion", "the bundle that was on trial, which promote makes the champion")
    if before is None or change.rollout in (None, state.epoch):
        return Entry(state, change)
    earliest = max(before.state.since, before.change.at if before.change else before.state.since)
    return Entry(
        replace(state, since=max(state.since, before.state.since)),
        replace(change, at=max(change.at, earliest)),
    )


def _check_same_rollout(before: Entry | None, state: RolloutState, change: Change) -> None:
    """A rollout has one champion, challenger and salt: else its epochs could not be counted together."""
    if before is None or before.change is None or before.change.rollout != change.rollout:
        _refuse("rollout", f"{state.epoch} for a new one, or the epoch at which the one that is on began")
    assert before is not None
    for key in ("champion", "challenger", "salt"):
        if getattr(state, key) != getattr(before.state, key):
            _refuse(key, "that of the rollout that is on, which began with it; start a new one for another")


@dataclass(frozen=True, slots=True)
class Look:
    """One look of the controller at the evidence, also one that changed nothing.

    Attributes:
        epoch: of the state in force at the look.
        number: from 1 in that epoch.
        at: with a time zone.
        action: what was decided.
        reasons: sentences.
        guardrails: as the decision gives them: fields by name, of which the numbers may be infinite (kept as
            None), but never NaN.
        fresh: whether the challenger was heard since the look before.
        silent: whether nobody was heard, neither champion nor challenger; of no look before version 3 of the
            schema.

    Raises:
        TicketSentimentError: on construction, when a field is not as it should be; the message names it.
    """

    epoch: int
    number: int
    at: datetime
    action: str
    reasons: tuple[str, ...]
    guardrails: tuple[Mapping[str, Any], ...]
    fresh: bool
    silent: bool = False

    def __post_init__(self) -> None:
        for key in ("epoch", "number"):
            if type(getattr(self, key)) is not int or getattr(self, key) < 1:
                raise TicketSentimentError(f"rollout look: {key}: expected a whole number from 1")
        if self.at.utcoffset() is None:
            raise TicketSentimentError("rollout look: at: expected a time with a time zone")
        if not self.action or not storable(self.action + "".join(self.reasons)):
            raise TicketSentimentError("rollout look: action, reasons: expected plain text")

    def guardrails_json(self) -> str:
        """As JSON text.

        Raises:
            TicketSentimentError: a number is NaN, or something is no plain value.
        """
        return _json([_plain(dict(item), f"guardrails[{n}]") for n, item in enumerate(self.guardrails)])

    def reasons_json(self) -> str:
        """As JSON text."""
        return _json(list(self.reasons))


def _json(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False)
    if not storable(text):
        raise TicketSentimentError("rollout look: guardrails: expected plain text")
    return text


def _plain(value: Any, where: str) -> Any:
    """What JSON can say; infinity, as of a bound before the first label, is said as none."""
    if isinstance(value, float):
        if math.isnan(value):
            raise TicketSentimentError(
                f"rollout look: {where}: is NaN; a look that is no number is not kept: see what decided so"
            )
        return None if math.isinf(value) else float(value)
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, Mapping):
        return {str(key): _plain(item, f"{where}.{key}") for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, f"{where}[{n}]") for n, item in enumerate(value)]
    raise TicketSentimentError(
        f"rollout look: {where}: expected numbers and text, not {type(value).__name__}"
    )

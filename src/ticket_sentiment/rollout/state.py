"""What is being rolled out to whom: one immutable row, of which the one with the highest epoch counts."""

import re
from dataclasses import dataclass
from datetime import datetime

from ticket_sentiment.errors import TicketSentimentError

MAX_SALT_BYTES = 64  # the longest key of BLAKE2b
_DIGEST = re.compile(r"[0-9a-f]{64}")


def _refuse(key: str, expected: str) -> None:
    raise TicketSentimentError(f"rollout state: {key}: expected {expected}; correct it and set it again")


@dataclass(frozen=True, slots=True)
class RolloutState:
    """One state of the rollout. Every change is a new state with the next epoch.

    Attributes:
        epoch: 1 for the first state, then one more for each change.
        salt: of the assignment. It stays the same while one challenger ramps up, so that nobody changes
            arms twice; a new challenger gets a new one, so that it does not meet the same customers.
        champion: digest of the bundle that answers by default, 64 hex digits.
        challenger: digest of the bundle under trial; None when there is none.
        challenger_share: of the customers whom the challenger answers, 0 to 1.
        shadow: whether the challenger also scores what the champion answers, unseen.
        since: when this state began, with a time zone.

    Raises:
        TicketSentimentError: on construction, when a field is out of range; the message names it.
    """

    epoch: int
    salt: str
    champion: str
    challenger: str | None
    challenger_share: float
    shadow: bool
    since: datetime

    def __post_init__(self) -> None:
        if not isinstance(self.epoch, int) or isinstance(self.epoch, bool) or self.epoch < 1:
            _refuse("epoch", "a whole number from 1")
        if not self.salt or len(self.salt.encode("utf-8", "replace")) > MAX_SALT_BYTES:
            _refuse("salt", f"1 to {MAX_SALT_BYTES} bytes of text")
        if not _DIGEST.fullmatch(self.champion):
            _refuse("champion", "a bundle's digest, 64 hex digits")
        if self.challenger is not None and not _DIGEST.fullmatch(self.challenger):
            _refuse("challenger", "a bundle's digest, 64 hex digits, or none")
        if not 0 <= self.challenger_share <= 1:  # also refuses NaN
            _refuse("challenger_share", "a share from 0 to 1")
        if self.challenger is None and (self.challenger_share > 0 or self.shadow):
            _refuse("challenger", "a bundle's digest where challenger_share is above 0 or shadow is on")
        if self.since.utcoffset() is None:
            _refuse("since", "a time with a time zone")

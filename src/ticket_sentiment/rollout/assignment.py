"""Which arm answers a ticket: a salted hash of the customer, without memory and the same in every process.

Sticky: equal customer and salt give an equal bucket. Monotone: the challenger has the buckets below its
share, so that a customer whom it has at 5 % it has at 25 %. Another salt deals the buckets anew.
"""

import hashlib
from typing import Literal

from ticket_sentiment.rollout.state import RolloutState

Arm = Literal["champion", "challenger"]
ARMS: tuple[Arm, Arm] = ("champion", "challenger")
_BUCKETS = 2**64


def unit(customer_id: str | None, ticket_id: str | None) -> str | None:
    """What is assigned as a whole: a customer, else a ticket; None when neither is known.

    The kinds are kept apart: customer 7 and ticket 7 are two units. It names a person: never store it
    (`ticket_sentiment.tickets.privacy.pseudonym` makes of it what an exposure carries).
    """
    if customer_id:
        return f"customer:{customer_id}"
    if ticket_id:
        return f"ticket:{ticket_id}"
    return None


def bucket(name: str, salt: str) -> int:
    """0 to 2**64 - 1, uniform over units: BLAKE2b (RFC 7693) of the unit with the salt as its key."""
    digest = hashlib.blake2b(
        name.encode("utf-8", "replace"), digest_size=8, key=salt.encode("utf-8", "replace")
    ).digest()
    return int.from_bytes(digest, "big")


def assign(customer_id: str | None, ticket_id: str | None, state: RolloutState) -> Arm:
    """The arm of a customer; without one, of the ticket; without either, the champion.

    Args:
        customer_id: of `tickets.privacy.known_customer`. It is compared byte for byte: "A7" is not "a7".
        ticket_id: counts only where there is no customer.
        state: gives the salt and the challenger's share. At 0 nobody is in the challenger, at 1 everybody.
    """
    if state.challenger is None or state.challenger_share <= 0:
        return "champion"
    name = unit(customer_id, ticket_id)
    if name is None:
        return "champion"
    return "challenger" if bucket(name, state.salt) < state.challenger_share * _BUCKETS else "champion"

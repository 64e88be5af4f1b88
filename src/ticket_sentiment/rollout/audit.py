"""Which tickets a person labels whatever the model said: a salted hash of the ticket, without memory.

People correct what they see and think wrong, so that labels from feedback depend on the answer they judge
(verification bias). A sample with a known probability, drawn whatever the answer, does not: each of its
tickets stands for 1 / share of all (Horvitz and Thompson 1952, "A Generalization of Sampling Without
Replacement From a Finite Universe").
"""

import hashlib

_BUCKETS = 2**64
_PERSON = b"audit"  # deals otherwise than the assignment does, even with its salt: see RFC 7693, 2.1


def audited(ticket_id: str, salt: str, share: float) -> bool:
    """Whether a ticket belongs to the audit: the same in every process, and growing with the share.

    Args:
        ticket_id: as in the tickets. It is compared byte for byte: " 7" is not "7".
        salt: 1 to 64 bytes of text; another one draws another sample.
        share: of all tickets, 0 to 1: the probability of each to be drawn, independent of the others and of
            its arm. What a smaller share draws, a larger one draws, too.

    Raises:
        ValueError: the salt is longer than BLAKE2b's longest key.
    """
    digest = hashlib.blake2b(
        ticket_id.encode("utf-8", "replace"),
        digest_size=8,
        key=salt.encode("utf-8", "replace"),
        person=_PERSON,
    ).digest()
    return int.from_bytes(digest, "big") < share * _BUCKETS

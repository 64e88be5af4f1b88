import math
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import pytest

from tests.rollout.test_state import STATE
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.audit import audited

TICKETS = [f"T-{number}" for number in range(20_000)]
GOLDEN = ["T-38", "T-40", "T-82", "T-83", "T-87", "T-90", "T-91", "T-92", "T-96"]
GOLDEN_OTHER_SALT = ["T-0", "T-46", "T-57", "T-73", "T-75", "T-9"]


def drawn(share: float, salt: str = "s", tickets=TICKETS) -> set[str]:
    return {ticket for ticket in tickets if audited(ticket, salt, share)}


@pytest.mark.parametrize("share", [0.001, 0.02, 0.25, 0.9])
@pytest.mark.parametrize("salt", ["s", "audit-1", "ß" * 32])
def test_each_ticket_is_drawn_with_the_share_as_probability(share, salt):
    deviation = math.sqrt(len(TICKETS) * share * (1 - share))
    assert abs(len(drawn(share, salt)) - share * len(TICKETS)) < 4 * deviation


def test_it_is_the_same_in_every_process_and_version():
    """Golden vectors: a change of these breaks the probability that past months were drawn with."""
    assert sorted(drawn(0.05, tickets=TICKETS[:100])) == GOLDEN
    assert sorted(drawn(0.05, salt="t", tickets=TICKETS[:100])) == GOLDEN_OTHER_SALT
    code = (
        "from ticket_sentiment.rollout.audit import audited;"
        "print(*sorted(t for t in (f'T-{n}' for n in range(100)) if audited(t, 's', 0.05)))"
    )
    for seed in ("0", "1"):
        other = subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert other.stdout.split() == GOLDEN


def test_a_larger_share_draws_what_a_smaller_one_drew():
    before = set()
    for share in (0.0, 0.01, 0.02, 0.5, 1.0):
        now = drawn(share)
        assert before <= now
        before = now
    assert drawn(0.0) == set()
    assert drawn(1.0) == set(TICKETS)


@pytest.mark.parametrize("name", ["ticket:T-{}", "customer:T-{}"])
def test_it_says_nothing_about_the_arm_although_the_salt_is_the_same(name):
    """Chi-square of the two-by-two table, one degree of freedom (three: the margins are chance, too).

    The ids are as the assignment hashes them: only the personalisation keeps the two apart.
    """
    state = replace(STATE, challenger_share=0.5, salt="s")
    numbers = range(len(TICKETS))
    ids = (lambda number: (f"T-{number}", None)) if name.startswith("c") else (lambda n: (None, f"T-{n}"))
    table = Counter(
        (assign(*ids(number), state), audited(name.format(number), "s", 0.5)) for number in numbers
    )
    expected = len(TICKETS) / 4
    assert len(table) == 4
    assert sum((count - expected) ** 2 / expected for count in table.values()) < 16.27


def test_any_text_is_an_id_and_a_salt_has_64_bytes():
    for ticket in ("", "half \ud83d", "\0", "x" * 10_000, "票"):
        assert audited(ticket, "s", 1.0)
    spaced = [f" {ticket}" for ticket in TICKETS[:200]]
    assert {ticket[1:] for ticket in drawn(0.5, tickets=spaced)} != drawn(0.5, tickets=TICKETS[:200])
    with pytest.raises(ValueError):
        audited("1", "x" * 65, 0.5)

import math
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import chisquare

from tests.rollout.test_state import STATE
from ticket_sentiment.rollout.assignment import assign, bucket, unit

GOLDEN = [5203388259307307352, 17028977856987759536, 5061215522164389725]
GOLDEN_CHALLENGED = ["customer-41", "customer-42", "customer-59"]
CUSTOMERS = [f"customer-{number}" for number in range(20_000)]


def challenged(share: float, salt: str = "s", customers=CUSTOMERS) -> set[str]:
    state = replace(STATE, challenger_share=share, salt=salt)
    return {customer for customer in customers if assign(customer, None, state) == "challenger"}


def chi_square(observed: list[int], expected: float) -> float:
    return sum((count - expected) ** 2 / expected for count in observed)


@pytest.mark.parametrize("share", [0.01, 0.05, 0.25, 0.5, 0.9])
@pytest.mark.parametrize("salt", ["s", "2026-11", "ß"])
def test_the_share_is_met_within_chance(share, salt):
    deviation = math.sqrt(len(CUSTOMERS) * share * (1 - share))
    assert abs(len(challenged(share, salt)) - share * len(CUSTOMERS)) < 4 * deviation


@pytest.mark.parametrize("name", [str, "c{:012d}".format, "{}@example.com".format])
def test_buckets_are_uniform_for_ids_of_every_shape(name):
    """Chi-square over 100 cells, 99 degrees of freedom: above 148.2 in one of a thousand."""
    cells = Counter(bucket(unit(name(number), None), "s") * 100 >> 64 for number in range(20_000))
    assert chi_square([cells[cell] for cell in range(100)], 200) < 148.2


def test_a_million_ids_are_uniform_and_two_salts_independent():
    """Chi-square over 1,000 cells, then over the 32 x 32 table of two salts: p above 0.001."""
    names = [f"customer:{number}" for number in range(1_000_000)]
    first = np.array([bucket(name, "first") for name in names], dtype=np.uint64)
    assert chisquare(np.bincount((first >> 32) * 1000 >> 32, minlength=1000)).pvalue > 0.001
    second = np.array([bucket(name, "second") for name in names[:300_000]], dtype=np.uint64)
    pairs = (first[:300_000] >> 59) * 32 + (second >> 59)
    assert chisquare(np.bincount(pairs, minlength=1024)).pvalue > 0.001


def test_a_ramp_moves_nobody_back_and_forth():
    before = set()
    for share in (0.0, 0.05, 0.1, 0.25, 0.5, 0.9, 1.0):
        now = challenged(share)
        assert before <= now
        before = now
    assert now == set(CUSTOMERS)


def test_salts_deal_anew_and_are_independent():
    """Chi-square of the two-by-two table, one degree of freedom: above 10.83 in one of a thousand."""
    first, second = challenged(0.5, "first"), challenged(0.5, "second")
    both, total = len(first & second), len(CUSTOMERS)
    table = [both, len(first) - both, len(second) - both, total - len(first | second)]
    assert chi_square(table, total / 4) < 16.27  # three: the margins are chance, too
    assert first != second


def test_it_is_the_same_in_every_process_and_version():
    """Golden vectors: a change of these moves customers of running rollouts."""
    assert [bucket("customer:1", "s"), bucket("ticket:1", "s"), bucket("customer:1", "t")] == GOLDEN
    assert sorted(challenged(0.05, customers=CUSTOMERS[:60])) == GOLDEN_CHALLENGED
    code = "from ticket_sentiment.rollout.assignment import bucket; print(bucket('customer:1', 's'))"
    for seed in ("0", "1"):
        other = subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        )
        assert int(other.stdout) == GOLDEN[0]


def test_a_customer_goes_before_a_ticket_and_neither_is_the_champion():
    half = replace(STATE, challenger_share=0.5)
    for customer in CUSTOMERS[:200]:
        assert {assign(customer, f"T-{number}", half) for number in range(5)} == {
            assign(customer, None, half)
        }
    tickets = Counter(assign(None, f"T-{number}", half) for number in range(2000))
    assert 850 < tickets["challenger"] < 1150
    assert all(assign("", f"T-{n}", half) == assign(None, f"T-{n}", half) for n in range(50))
    everybody = replace(STATE, challenger_share=1.0)
    assert assign(None, None, everybody) == assign("", "", everybody) == "champion"


def test_customer_7_and_ticket_7_are_two_units():
    assert len({unit("7", None), unit(None, "7"), unit("8", None)}) == 3
    assert unit("7", "9") == unit("7", None)
    assert unit(None, None) is None


def test_without_a_challenger_or_share_everybody_has_the_champion():
    none = replace(STATE, challenger=None, challenger_share=0.0, shadow=False)
    zero = replace(STATE, challenger_share=0.0)
    for customer in CUSTOMERS[:500]:
        assert assign(customer, None, none) == assign(customer, None, zero) == "champion"


def test_any_text_is_an_id():
    for customer in ("half \ud83d", "\0", "x" * 10_000, "顧客"):
        assert assign(customer, None, STATE) in ("champion", "challenger")
    assert unit(" 7", None) != unit("7", None)

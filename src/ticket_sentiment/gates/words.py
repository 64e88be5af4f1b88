"""Numbers as a support lead reads them, the same in the gate's reasons, the report and the summary."""

import math
from collections.abc import Iterable

from ticket_sentiment.gates.evidence_types import Estimate

MOST_DIGITS = 6


def number(value: float, digits: int = 2) -> str:
    """Rounded, with thousands separated; never "-0.00"."""
    return f"{round(value, digits) + 0.0:,.{digits}f}"


def share(value: float, digits: int = 0) -> str:
    """0.714 as "71 %"."""
    return f"{number(100 * value, digits)} %"


def measure(estimate: Estimate, digits: int = 3) -> str:
    """ "0.714 (0.696 to 0.731)": the number and its 95 % interval."""
    low, high = number(estimate.low, digits), number(estimate.high, digits)
    return f"{number(estimate.value, digits)} ({low} to {high})"


def between(estimate: Estimate, digits: int = 0) -> str:
    """ "71 % (69 to 73)": the share and its 95 % interval."""
    low, high = number(100 * estimate.low, digits), number(100 * estimate.high, digits)
    return f"{share(estimate.value, digits)} ({low} to {high})"


def telling(value: float, limit: float, digits: int = 0) -> int:
    """How many digits, at least `digits`, show on which side of a limit a number lies: 1 for 39.6 and 40."""
    if math.isclose(value, limit):
        return digits
    while digits < MOST_DIGITS and round(value, digits) == round(limit, digits):
        digits += 1
    return digits


def beside(value: float, limit: float, digits: int = 0) -> tuple[str, str]:
    """A number and its limit, with the digits that tell them apart."""
    digits = telling(value, limit, digits)
    return number(value, digits), number(limit, digits)


def shares(value: float, limit: float, digits: int = 0) -> tuple[str, str]:
    """The same of two shares."""
    digits = telling(100 * value, 100 * limit, digits)
    return share(value, digits), share(limit, digits)


def points(value: Estimate | float, sign: bool = True, digits: int = 1) -> str:
    """0.012 as "+1.2 points", hundredths of macro-F1 or of a share; an estimate with its interval."""
    if isinstance(value, Estimate):
        low, high = (f"{_hundredths(bound, True, digits)}" for bound in (value.low, value.high))
        return f"{_hundredths(value.value, sign, digits)} points ({low} to {high})"
    return f"{_hundredths(value, sign, digits)} points"


def _hundredths(value: float, sign: bool, digits: int) -> str:
    rounded = round(100 * value, digits) + 0.0
    return f"{rounded:+.{digits}f}".replace("-", "−") if sign else f"{rounded:.{digits}f}"


def months(values: Iterable[str]) -> str:
    """One month as it is, more as "2026-01 to 2026-08"."""
    ordered = sorted(values)
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"


def times(value: float) -> str:
    """3.42 as "3.4 times"."""
    return f"{number(value, 1)} times"


def bytes_in_words(value: float) -> str:
    """Bytes as megabytes."""
    return f"{number(value / 1e6, 1)} MB"


def dollars(value: float) -> str:
    """US dollars with two digits that count: "$0.0013", "$0.80", "$12.00"."""
    digits = 2 if value >= 0.1 else min(8, 1 - math.floor(math.log10(value)))
    return f"${value:,.{digits}f}"

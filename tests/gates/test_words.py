import pytest

from ticket_sentiment.gates.evidence_types import Estimate
from ticket_sentiment.gates.words import (
    beside,
    between,
    bytes_in_words,
    dollars,
    measure,
    months,
    number,
    points,
    share,
    times,
)


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (number(1234.5), "1,234.50"),
        (number(-0.001), "0.00"),
        (share(0.714), "71 %"),
        (share(0.9990, 2), "99.90 %"),
        (points(0.0124), "+1.2 points"),
        (points(-0.0124), "−1.2 points"),
        (points(-0.0001), "+0.0 points"),
        (points(0.038, sign=False), "3.8 points"),
        (points(Estimate(value=0.02, low=-0.01, high=0.05)), "+2.0 points (−1.0 to +5.0)"),
        (measure(Estimate(value=0.7144, low=0.6, high=0.8)), "0.714 (0.600 to 0.800)"),
        (between(Estimate(value=0.714, low=0.694, high=0.731)), "71 % (69 to 73)"),
        (points(0.0196, digits=2), "+1.96 points"),
        (beside(39.6, 40), ("39.6", "40.0")),
        (beside(39.4, 40), ("39", "40")),
        (beside(40, 40), ("40", "40")),
        (beside(2.997, 3, 1), ("2.997", "3.000")),
        (beside(0.1 + 0.2, 0.3, 1), ("0.3", "0.3")),
        (months(["2026-10"]), "2026-10"),
        (months(["2026-03", "2026-01"]), "2026-01 to 2026-03"),
        (times(3.42), "3.4 times"),
        (bytes_in_words(6_240_000), "6.2 MB"),
        (dollars(12), "$12.00"),
        (dollars(0.8048), "$0.80"),
        (dollars(0.00128), "$0.0013"),
        (dollars(0.0000291), "$0.000029"),
        (dollars(1e-12), "$0.00000000"),
    ],
)
def test_numbers_as_a_person_reads_them(made, expected):
    assert made == expected

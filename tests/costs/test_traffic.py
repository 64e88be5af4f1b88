"""Traffic profiles, and that a malformed file is refused by row and column."""

from pathlib import Path

import pytest

from ticket_sentiment.costs.traffic import SHAPES, read_traffic
from ticket_sentiment.errors import TicketSentimentError


def csv_of(folder: Path, counts: list, head: str = "hour,tickets") -> str:
    path = folder / "profile.csv"
    path.write_text("\n".join([head, *(f"{hour},{count}" for hour, count in enumerate(counts))]) + "\n")
    return str(path)


@pytest.mark.parametrize("name", SHAPES)
def test_a_shape_is_a_week_and_brings_the_day_s_tickets(name: str):
    traffic = read_traffic(name, 2_000)
    assert len(traffic.shares) == 168 and traffic.shares.sum() == pytest.approx(1)
    assert traffic.per_second().sum() * 3600 / 7 == pytest.approx(2_000)


def test_flat_is_flat_and_an_office_is_busiest_on_a_weekday_s_noon():
    assert read_traffic("flat", 86_400).per_second() == pytest.approx([1.0] * 168)
    load = read_traffic("office", 1_000).per_second()
    assert load[12] == load.max() and load[3] == pytest.approx(load[12] / 10)
    assert load[5 * 24 + 12] == pytest.approx(0.3 * load[12])  # Saturday
    assert read_traffic("flat", 1).busiest_day == pytest.approx(1)
    assert read_traffic("office", 1).busiest_day == pytest.approx(7 / 5.6)  # two days at 30 %


def test_a_day_s_counts_repeat_and_are_the_traffic(tmp_path: Path):
    traffic = read_traffic(csv_of(tmp_path, [0] * 12 + [100] * 12), None)
    assert traffic.tickets_per_day == 1_200
    assert traffic.per_second()[24 + 12] == pytest.approx(100 / 3600)


def test_a_week_s_counts_are_seven_days(tmp_path: Path):
    path = csv_of(tmp_path, [7.0] * 168)
    assert read_traffic(path, None).tickets_per_day == 168
    assert read_traffic(path, 24.0).per_second()[0] == pytest.approx(1 / 3600)  # scaled to what is said


@pytest.mark.parametrize(
    ("counts", "head", "message"),
    [
        ([1] * 23, "hour,tickets", r"23 rows, expected 24 .* or 168"),
        ([1] * 5 + ["many"] + [1] * 18, "hour,tickets", r"row 7: column tickets: many, expected a number"),
        ([1] * 5 + [-1] + [1] * 18, "hour,tickets", r"row 7: column tickets: -1"),
        ([1] * 5 + ["nan"] + [1] * 18, "hour,tickets", r"row 7: column tickets: nan"),
        ([1] * 24, "time,tickets", r"row 2: column hour: None, expected 0"),
        ([0] * 24, "hour,tickets", r"column tickets: all 0"),
    ],
)
def test_a_malformed_file_is_named_by_row_and_column(tmp_path: Path, counts: list, head: str, message: str):
    with pytest.raises(TicketSentimentError, match=message):
        read_traffic(csv_of(tmp_path, counts, head), None)


def test_a_missing_file_and_a_missing_number_are_named():
    with pytest.raises(
        TicketSentimentError, match=r"costs\.profile: offise is missing: give a CSV, or one of flat"
    ):
        read_traffic("offise", 2_000)
    with pytest.raises(TicketSentimentError, match=r"costs\.tickets_per_day: needed"):
        read_traffic("flat", None)

"""The first lines answer a support lead's question, whatever the case is."""

from pathlib import Path

import pytest

from tests.support.costs import plain_case
from ticket_sentiment.costs.command import report
from ticket_sentiment.costs.summary import WIDTH, cost_summary
from ticket_sentiment.costs.words import short, span, usd, ways


@pytest.mark.parametrize(
    ("value", "words"),
    [(0.0231, "0.0231"), (4630.2, "4,630"), (81_200_000, "81.2 million"), (1.15e9, "1.15 billion"),
     (2000, "2,000"), (0, "0")],
)  # fmt: skip
def test_three_digits_count(value: float, words: str):
    assert short(value) == words


def test_dollars_and_machines():
    assert [usd(value) for value in (None, 0, 0.000043, 3.2, 9.999, 1195.4)] == [
        "–", "$0", "$0.000043", "$3.20", "$10", "$1,195",
    ]  # fmt: skip
    assert (span([2, 2]), span([2, 14])) == ("2", "2 to 14")


def test_what_is_paid_on_what_and_otherwise(tmp_path: Path):
    answer = report(plain_case(tmp_path))["answer"]
    assert answer["title"] == "86,400 tickets a day cost $147 a month on 2 c7i.large, on demand"
    assert answer["lines"][0] == (
        "Otherwise it would be $70 as spot, $97 reserved for a year, $1,192 on 2 g6.xlarge (GPU, on demand), "
        "$0.12 as one run a night instead of at once."
    )
    assert answer["lines"][1] == (
        "Below 778 million tickets a day serving on g6.xlarge alone is not cheaper, however fast "
        "(700 million to 855 "
        "million over "
        "the measured speeds; 432 million to 1.9 billion over the ways to buy both); above, only "
        "one that does "
        "more than 9,017 tickets a second."
    )
    assert "At this traffic they save nothing: 2 machines run for either" in answer["lines"][3]


def test_with_a_gpu_s_speed_and_much_traffic(tmp_path: Path):
    case = plain_case(tmp_path, gpu_tickets_per_second=20_000.0, tickets_per_day=11_000 * 86_400.0)
    found = report(case)
    lines = found["answer"]["lines"]
    assert lines[1] == (
        "Serving on a g6.xlarge that does 20,000 tickets a second alone is cheaper from 778 million "
        "tickets a day (700 "
        "million to 855 "
        "million over the measured speeds; 432 million to never over the ways to buy both)."
    )
    assert "2 c7i.large and, in 168 hours of the week, up to 1 g6.xlarge" in lines[2]
    assert "10.0 times" not in lines[3] and "a month" in lines[3]
    assert ways(found).startswith("Cheapest to answer at once: c7i.large, spot, $")


def test_the_traffic_is_named_as_it_was_asked(tmp_path: Path):
    found = report(plain_case(tmp_path, tickets_per_day=1_234_567.0))
    assert found["answer"]["title"].startswith("1,234,567 tickets a day cost ")


def test_a_mix_without_a_gpu_says_whose_speed_was_taken(tmp_path: Path):
    assumed, given = (
        report(plain_case(tmp_path, **known))["answer"]["lines"][2]
        for known in ({}, {"gpu_tickets_per_second": 2_000.0})
    )
    assert "with one of the assumed speed: the cheapest mix holds none" in assumed
    assert "assumed" not in given and "holds none" in given


def test_a_gpu_that_is_too_slow_is_never_cheaper(tmp_path: Path):
    found = report(plain_case(tmp_path, gpu_tickets_per_second=2_000.0))
    assert found["answer"]["lines"][1].endswith("is not cheaper at any traffic.")


def test_a_gpu_that_no_speed_would_make_cheaper_is_said_to_be_never(tmp_path: Path):
    # 40 machines of either kind run always; 40 GPUs cost as much as 361 CPUs, and the most traffic takes 232
    answer = report(plain_case(tmp_path, min_replicas=40))["answer"]
    assert answer["lines"][1].startswith(
        "Serving on g6.xlarge alone is not cheaper at any traffic, however fast (never over the measured "
        "speeds; "
    )


def test_a_dense_model_that_misses_the_objective_is_said_to(tmp_path: Path):
    found = report(plain_case(tmp_path).changed(objective_ms=15.0))
    assert "cannot answer within 15 ms at any load" in found["answer"]["lines"][3]


def test_the_summary_is_one_screen_and_says_what_it_rests_on(tmp_path: Path):
    text = cost_summary(report(plain_case(tmp_path)))
    lines = text.splitlines()
    assert lines[0].split(maxsplit=1) == [
        "Cost",
        "86,400 tickets a day cost $147 a month on 2 c7i.large, on demand.",
    ]
    assert len(lines) <= 36 and max(map(len, lines)) <= WIDTH
    for words in (
        "99 % of the answers within 100 ms",
        "a processor, 2 cores, 2026-11",
        "2026-07-20",
        "assumed",
    ):
        assert words in text

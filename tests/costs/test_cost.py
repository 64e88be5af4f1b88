"""The cost formulas against figures worked out by hand."""

import datetime
import json
from pathlib import Path

import pytest

import ticket_sentiment.costs
from ticket_sentiment.costs.cost import (
    Speed,
    cost_report,
    rule_of_thumb_tokens,
    usd_per_million_tokens,
    usd_per_thousand_tickets,
)
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Costs

COSTS = Costs(
    prices=str(Path(ticket_sentiment.costs.__file__).parent / "prices.yaml"),
    cpu_instance="c7i.large",  # 0.08925 USD an hour, 2 vCPUs
    gpu_instance="g6.xlarge",  # 0.8048 USD an hour
    utilisation=0.5,
    max_price_age_days=180,
)
SPEEDS = {
    "cpu_bundle": Speed(tickets_per_second=500, tokens_per_second=10_000, chars_per_second=45_000),
    "dense_torch_fp32": Speed(tickets_per_second=50, tokens_per_second=1_000, chars_per_second=4_500),
}
TODAY = datetime.date(2026, 11, 22)


def test_a_million_tokens():
    # 1,000 tokens/s * 3,600 s * 0.5 = 1.8 million tokens an hour; 0.36 USD / 1.8 = 0.20 USD a million
    assert usd_per_million_tokens(0.36, 1_000, 0.5) == pytest.approx(0.20)


def test_a_thousand_tickets():
    # 10 tickets/s * 3,600 s * 1.0 = 36 thousand an hour; 0.36 USD / 36 = 0.01 USD a thousand
    assert usd_per_thousand_tickets(0.36, 10, 1.0) == pytest.approx(0.01)


def test_half_the_utilisation_is_twice_the_cost():
    assert usd_per_million_tokens(0.1, 700, 0.3) == pytest.approx(2 * usd_per_million_tokens(0.1, 700, 0.6))


def test_the_rule_of_thumb():
    assert rule_of_thumb_tokens(37.5) == 10


def test_the_report_against_a_hand_calculation():
    report = cost_report(SPEEDS, "cpu_bundle", COSTS, TODAY)
    # two sessions: 20,000 tokens/s * 3,600 * 0.5 = 36 million an hour; 0.08925 / 36
    assert report["per_million_tokens_tokenizer"]["cpu_bundle"] == pytest.approx(0.08925 / 36)
    assert report["per_million_tokens_tokenizer"]["dense_torch_fp32"] == pytest.approx(0.08925 / 3.6)
    # 45,000 characters/s are 12,000 tokens/s by the rule of thumb: 43.2 million an hour
    assert report["per_million_tokens_rule_of_thumb"]["cpu_bundle"] == pytest.approx(0.08925 / 43.2)
    # 1,000 tickets/s * 3,600 * 0.5 = 1,800 thousand an hour
    assert report["per_thousand_tickets"]["cpu_bundle"] == pytest.approx(0.08925 / 1_800)
    # 0.8048 / 0.08925 = 9.0174 times the price, so 9.0174 times 1,000 tickets/s
    assert report["gpu"]["break_even_tickets_per_second"] == pytest.approx(9_017.4, abs=0.1)
    assert (report["price_date"], report["vcpus"], report["utilisation"]) == ("2026-07-20", 2, 0.5)
    assert "session on each vCPU" in report["assumptions"][0]
    assert report["warnings"] == []
    json.dumps(report, allow_nan=False)


def test_old_prices_are_marked():
    report = cost_report(SPEEDS, "cpu_bundle", COSTS, datetime.date(2027, 7, 20))
    assert [line.split()[3] for line in report["warnings"]] == ["c7i.large", "g6.xlarge"]
    assert "365 days ago" in report["warnings"][0]


def test_an_instance_without_a_price_is_refused():
    with pytest.raises(
        TicketSentimentError, match=r"costs\.gpu_instance: h900\.large is not in the price table"
    ):
        cost_report(SPEEDS, "cpu_bundle", COSTS.model_copy(update={"gpu_instance": "h900.large"}), TODAY)

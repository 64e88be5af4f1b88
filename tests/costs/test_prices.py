"""The price table: what it holds, and that a wrong row is refused by name."""

import datetime
from pathlib import Path

import pytest
import yaml

import ticket_sentiment.costs
from ticket_sentiment.costs.prices import Price, find_price, load_prices
from ticket_sentiment.errors import TicketSentimentError

ROOT = Path(__file__).parents[2]
SHIPPED = Path(ticket_sentiment.costs.__file__).parent / "prices.yaml"
ROW = {
    "instance": "c9.large", "cloud": "aws", "region": "us-east-1", "vcpus": 2, "memory_gib": 4, "gpu": None,
    "usd_per_hour": 0.1, "source": "a price list", "checked": datetime.date(2026, 7, 20),
    "spot_saving": 0.6, "spot_checked": "2025-07",
}  # fmt: skip


def written(folder: Path, *rows: dict) -> Path:
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump({"prices": list(rows)}))
    return path


def test_the_shipped_table_loads_and_every_row_is_dated_and_sourced():
    prices = load_prices(SHIPPED)
    assert prices["c7i.large"].usd_per_hour == 0.08925
    assert prices["c7i.large"].checked == datetime.date(2026, 7, 20)
    assert prices["g6.xlarge"].gpu == "L4"
    assert prices["c7i.large"].usd_per_hour_spot == pytest.approx(0.030345)  # 66 % off
    assert prices["c8i.xlarge"].usd_per_hour_spot is None  # not found in the source, so not made up


def test_the_instances_of_params_yaml_have_a_price():
    section = yaml.safe_load((ROOT / "params.yaml").read_text())["costs"]
    prices = load_prices(ROOT / section["prices"])
    for key in ("cpu_instance", "gpu_instance"):
        assert find_price(prices, section[key], f"costs.{key}").usd_per_hour > 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"usd_per_houre": 1.0}, r"prices\.0\.usd_per_houre: is not a known key"),
        ({"usd_per_hour": 0.0}, r"prices\.0\.usd_per_hour: Input should be greater than 0"),
        ({"usd_per_hour": "cheap"}, r"prices\.0\.usd_per_hour: "),
        ({"checked": "last summer"}, r"prices\.0\.checked: "),
        ({"source": ""}, r"prices\.0\.source: "),
        ({"spot_checked": None}, r"prices\.0: .*spot_saving and spot_checked go together"),
    ],
)
def test_a_wrong_row_is_named(tmp_path: Path, change: dict, message: str):
    with pytest.raises(TicketSentimentError, match=message):
        load_prices(written(tmp_path, ROW | change))


def test_a_missing_key_is_named(tmp_path: Path):
    with pytest.raises(TicketSentimentError, match=r"prices\.0\.checked: Field required"):
        load_prices(written(tmp_path, {key: value for key, value in ROW.items() if key != "checked"}))


def test_two_rows_for_one_instance_are_refused(tmp_path: Path):
    with pytest.raises(TicketSentimentError, match=r"c9\.large is listed twice"):
        load_prices(written(tmp_path, ROW, ROW))


def test_a_missing_or_broken_file_is_named(tmp_path: Path):
    with pytest.raises(TicketSentimentError, match=r"prices\.yaml is missing"):
        load_prices(tmp_path / "prices.yaml")
    (tmp_path / "prices.yaml").write_text("prices: [")
    with pytest.raises(TicketSentimentError, match=r"prices\.yaml is not valid YAML"):
        load_prices(tmp_path / "prices.yaml")


def test_an_unknown_instance_is_refused_with_the_key_that_asked_for_it():
    with pytest.raises(
        TicketSentimentError, match=r"costs\.cpu_instance: c9\.metal is not in the price table.*c7i"
    ):
        find_price(load_prices(SHIPPED), "c9.metal", "costs.cpu_instance")


def test_a_price_warns_from_the_day_after_its_limit():
    price = Price(**ROW)
    assert price.age_warning(datetime.date(2026, 8, 19), max_age_days=30) is None  # 30 days
    assert "31 days ago (2026-07-20)" in price.age_warning(datetime.date(2026, 8, 20), max_age_days=30)

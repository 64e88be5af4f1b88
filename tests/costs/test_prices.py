"""The price table: what it holds, and that a wrong row is refused by name."""

import datetime
from pathlib import Path

import pytest
import yaml

import ticket_sentiment.costs
from ticket_sentiment.costs.prices import (
    Price,
    PriceTable,
    age_warnings,
    find_price,
    load_prices,
    write_prices,
)
from ticket_sentiment.errors import TicketSentimentError

ROOT = Path(__file__).parents[2]
SHIPPED = Path(ticket_sentiment.costs.__file__).parent / "prices.yaml"
ROW = {
    "instance": "c9.large", "cloud": "aws", "region": "us-east-1", "vcpus": 2, "memory_gib": 4.0, "gpu": None,
    "usd_per_hour": 0.1, "source": "a price list", "checked": datetime.date(2026, 7, 20),
    "spot_saving": 0.6, "spot_checked": "2025-07", "reserved_saving": None, "reserved_checked": None,
}  # fmt: skip
SHIPPED_RAW = yaml.safe_load(SHIPPED.read_text())
REST = {key: SHIPPED_RAW[key] for key in ("reserved", "services")}


def written(folder: Path, *rows: dict, **rest: dict) -> Path:
    path = folder / "prices.yaml"
    path.write_text(yaml.safe_dump({"prices": list(rows), **REST, **rest}))
    return path


def row(name: str) -> Price:
    return find_price(load_prices(SHIPPED), name, "costs.cpu_instance")


def test_the_shipped_table_loads_and_every_row_is_dated_and_sourced():
    assert row("c7i.large").usd_per_hour == 0.08925
    assert row("c7i.large").checked == datetime.date(2026, 7, 20)
    assert row("g6.xlarge").gpu == "L4"
    assert row("c7i.large").usd_per_hour_spot == pytest.approx(0.030345)  # 66 % off
    assert row("c8i.xlarge").usd_per_hour_spot is None  # not found in the source, so not made up


def test_the_shipped_file_is_what_an_update_writes(tmp_path: Path):
    """So the differences of an update are those of prices, and the comment at its head stays."""
    path = tmp_path / "prices.yaml"
    path.write_text(SHIPPED.read_text())
    write_prices(load_prices(path), path)
    assert path.read_text() == SHIPPED.read_text()
    assert path.read_text().startswith("# What machines and services cost")


def test_an_hour_in_each_way_to_buy_by_hand():
    table = PriceTable.model_validate({"prices": [ROW], **REST})
    price = table.prices[0]
    assert table.hourly(price, "on_demand") == 0.1
    assert table.hourly(price, "spot") == pytest.approx(0.04)
    assert table.hourly(price, "spot", spot_fallback=0.25) == pytest.approx(0.75 * 0.04 + 0.25 * 0.1)
    assert table.hourly(price, "reserved") == pytest.approx(0.062)  # the table's 38 %
    own = price.model_copy(update={"reserved_saving": 0.5})
    assert table.hourly(own, "reserved") == pytest.approx(0.05)
    assert table.hourly(price.model_copy(update={"spot_saving": None}), "spot") is None


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
        ({"reserved_saving": 0.3}, r"prices\.0: .*reserved_saving and reserved_checked go together"),
        ({"usd_per_hour": float("inf")}, r"prices\.0\.usd_per_hour: "),
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
    rest = {"reserved": REST["reserved"] | {"checked": "2026-08"}}
    rest["services"] = {name: one | {"checked": "2026-08"} for name, one in REST["services"].items()}
    table = PriceTable.model_validate({"prices": [ROW | {"spot_saving": None, "spot_checked": None}], **rest})

    def warned(day: int) -> list[str]:
        return age_warnings(table, table.prices, datetime.date(2026, 8, day), max_age_days=30)

    assert warned(19) == []  # 30 days
    assert warned(20) == ["Prices of machines older than 30 days, check them again: c9.large (2026-07-20)."]


def test_savings_and_services_are_warned_of_by_the_earliest_day_they_can_mean():
    table = PriceTable.model_validate({"prices": [ROW], **REST})
    (line,) = age_warnings(table, table.prices, datetime.date(2026, 11, 26), max_age_days=180)
    assert "spot savings (2025-07)" in line and "disks (2026)" in line and "storage" not in line
    assert "reserved savings" not in line
    row = ROW | {"reserved_saving": 0.3, "reserved_checked": datetime.date(2019, 1, 1)}
    table = PriceTable.model_validate({"prices": [row], **REST})
    (line,) = age_warnings(table, table.prices, datetime.date(2026, 11, 26), max_age_days=180)
    assert "reserved savings (2019-01-01)" in line


def test_a_day_may_be_written_as_a_person_writes_it(tmp_path: Path):
    """YAML makes a date of 2026-12-01 and a number of 2026."""
    services = {name: one | {"checked": datetime.date(2026, 12, 1)} for name, one in REST["services"].items()}
    services["disk_gb_month"] |= {"checked": 2026}
    row = ROW | {"spot_checked": datetime.date(2026, 12, 1)}
    table = load_prices(written(tmp_path, row, services=services))
    assert "checked: 2026\n" in (tmp_path / "prices.yaml").read_text()
    assert (table.services.disk_gb_month.checked, table.services.transfer_gb.checked) == (
        "2026",
        "2026-12-01",
    )
    assert table.prices[0].spot_checked == "2026-12"


@pytest.mark.parametrize(
    ("name", "change", "message"),
    [
        ("disk_gb_month", {"usd": -1.0}, r"services\.disk_gb_month\.usd"),
        ("disk_gb_month", {"checked": "spring"}, r"services\.disk_gb_month\.checked"),
        ("disk_gb_month", {"checked": "2026-02-30"}, r"services\.disk_gb_month\.checked: .*day"),
        ("disk_gb_month", {"checked": True}, r"services\.disk_gb_month\.checked"),
        ("transfer_gb", {"source": ""}, r"services\.transfer_gb\.source"),
        ("transfer_gb", {"dollars": 1.0}, r"services\.transfer_gb\.dollars: is not a known key"),
    ],
)
def test_a_wrong_service_is_named(tmp_path: Path, name: str, change: dict, message: str):
    services = REST["services"] | {name: REST["services"][name] | change}
    with pytest.raises(TicketSentimentError, match=message):
        load_prices(written(tmp_path, ROW, services=services))

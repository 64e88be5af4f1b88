"""Newer prices from AWS's price list in both of its formats; what is wrong with one changes nothing."""

import csv
import datetime
import http.server
import json
import threading
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.costs import PRICES
from ticket_sentiment.costs.price_list import HEAD_LINES, read_price_list
from ticket_sentiment.costs.prices import find_price, load_prices
from ticket_sentiment.costs.update import update_prices
from ticket_sentiment.errors import TicketSentimentError

PUBLISHED = "2026-12-01T10:00:00Z"
PLAIN = {
    "operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used",
    "regionCode": "us-east-1", "vcpu": "2", "memory": "4 GiB",
}  # fmt: skip
YEAR = {"LeaseContractLength": "1yr", "OfferingClass": "standard", "PurchaseOption": "No Upfront"}
COLUMNS = [
    "SKU", "TermType", "Unit", "PricePerUnit", "Currency", "LeaseContractLength", "PurchaseOption",
    "OfferingClass", "Instance Type", "vCPU", "Memory", "Operating System", "Tenancy", "Pre Installed S/W",
    "CapacityStatus", "Region Code",
]  # fmt: skip
TERM = ("LeaseContractLength", "PurchaseOption", "OfferingClass")


def offers() -> list[dict[str, Any]]:
    """Two instances of the table, one with a reservation, and offers that are something else."""
    large, gpu = PLAIN | {"instanceType": "c7i.large"}, PLAIN | {"instanceType": "g6.xlarge"}
    return [
        {"attributes": large, "usd": "0.0900000000"},
        {"attributes": large, "usd": "0.0600", "year": YEAR},
        {"attributes": large, "usd": "0.0400", "year": YEAR | {"LeaseContractLength": "3yr"}},
        {"attributes": large, "usd": "0.0500", "year": YEAR | {"PurchaseOption": "All Upfront"}},
        {"attributes": large | {"operatingSystem": "Windows"}, "usd": "0.1800"},
        {"attributes": large | {"tenancy": "Dedicated"}, "usd": "0.1000"},
        {"attributes": large | {"regionCode": "eu-west-1"}, "usd": "0.1100"},
        {"attributes": gpu, "usd": "0.8048"},
        {"attributes": PLAIN | {"instanceType": "x99.huge"}, "usd": "9.0"},
    ]


def as_json(path: Path, found: list[dict[str, Any]], published: str = PUBLISHED) -> Path:
    products, terms = {}, {"OnDemand": {}, "Reserved": {}}
    for number, offer in enumerate(found):
        sku = f"SKU{number}"
        products[sku] = {"sku": sku, "productFamily": "Compute Instance", "attributes": offer["attributes"]}
        term = {
            "termAttributes": offer.get("year", {}),
            "priceDimensions": {
                f"{sku}.1": {"unit": "Hrs", "pricePerUnit": {"USD": offer["usd"]}},
                f"{sku}.2": {"unit": "Quantity", "pricePerUnit": {"USD": "0"}},
            },
        }
        terms["Reserved" if "year" in offer else "OnDemand"][sku] = {f"{sku}.t": term}
    raw = {"offerCode": "AmazonEC2", "publicationDate": published, "products": products, "terms": terms}
    path.write_text(json.dumps(raw))
    return path


def as_csv(path: Path, found: list[dict[str, Any]], published: str = PUBLISHED) -> Path:
    head = [
        ["FormatVersion", "v1.0"], ["Disclaimer", "as it is"], ["Publication Date", published],
        ["Version", "1"], ["OfferCode", "AmazonEC2"],
    ]  # fmt: skip
    assert len(head) == HEAD_LINES
    with path.open("w", newline="") as stream:
        writer = csv.writer(stream, quoting=csv.QUOTE_ALL)
        writer.writerows([*head, COLUMNS])
        for number, offer in enumerate(found):
            one, year = offer["attributes"], offer.get("year", {})
            writer.writerow(
                [
                    f"SKU{number}", "Reserved" if year else "OnDemand", "Hrs", offer["usd"], "USD",
                    *(year.get(key, "") for key in TERM),
                    one["instanceType"], one["vcpu"], one["memory"], one["operatingSystem"], one["tenancy"],
                    one["preInstalledSw"], one["capacitystatus"], one["regionCode"],
                ]
            )  # fmt: skip
    return path


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "table" / "prices.yaml"
    path.parent.mkdir()
    path.write_text(PRICES.read_text())
    return path


@pytest.mark.parametrize("write", [as_json, as_csv])
def test_a_price_list_renews_what_it_holds_and_shows_it(tmp_path: Path, table: Path, write):
    said = update_prices(str(write(tmp_path / "list", offers())), table)
    assert (
        "c7i.large: $0.08925 (2026-07-20) → $0.09 (2026-12-01), +0.8%, reserved_saving none → 33%"
        in said.splitlines()
    )
    assert "g6.xlarge: $0.8048 (2026-07-20) → $0.8048 (2026-12-01)" in said.splitlines()
    assert "g5.xlarge in us-east-1 is not in the list: its price of 2026-07-20 stays" in said
    after = load_prices(table)
    large = find_price(after, "c7i.large", "costs.cpu_instance")
    assert (large.usd_per_hour, large.checked) == (0.09, datetime.date(2026, 12, 1))
    assert large.reserved_saving == pytest.approx(1 / 3, abs=1e-4)
    assert large.source == "AWS price list of AmazonEC2, published 2026-12-01"
    assert find_price(after, "g5.xlarge", "costs.gpu_instance").checked == datetime.date(2026, 7, 20)
    assert table.read_text().startswith("# What machines and services cost")
    assert [path.name for path in table.parent.iterdir()] == ["prices.yaml"]


def test_the_same_list_again_changes_nothing(tmp_path: Path, table: Path):
    source = str(as_csv(tmp_path / "list.csv", offers()))
    update_prices(source, table)
    before = table.read_bytes()
    assert "nothing has changed" in update_prices(source, table)
    assert table.read_bytes() == before


def edited(place: int, **changes: Any) -> list[dict[str, Any]]:
    found = offers()
    found[place] |= changes
    return found


@pytest.mark.parametrize("write", [as_json, as_csv])
@pytest.mark.parametrize(
    ("found", "published", "message"),
    [
        (
            offers(),
            "2026-07-01T00:00:00Z",
            r"published 2026-07-01, but the price of c7i\.large is of 2026-07-20",
        ),
        (edited(0, usd="cheap"), PUBLISHED, r"no price list of AmazonEC2 .*ValueError"),
        (edited(0, usd="-1"), PUBLISHED, r"no price list of AmazonEC2 .*price -1"),
        (edited(0, usd="NaN"), PUBLISHED, r"no price list of AmazonEC2 .*price NaN"),
        (edited(7, attributes=offers()[0]["attributes"]), PUBLISHED, r"c7i\.large in us-east-1 has 2 prices"),
        (edited(1, usd="0.095"), PUBLISHED, r"c7i\.large: reserved for a year at 0\.095, on demand at 0\.09"),
        (offers()[8:], PUBLISHED, r"none of the instances of the price table is in it: another region"),
        (offers(), "tomorrow", r"no price list of AmazonEC2"),
    ],
)
def test_what_is_wrong_changes_nothing(tmp_path: Path, table: Path, write, found, published, message):
    before = table.read_bytes()
    with pytest.raises(TicketSentimentError, match=message) as caught:
        update_prices(str(write(tmp_path / "list", found, published)), table)
    assert "\n" not in str(caught.value)
    assert table.read_bytes() == before


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"offerCode": "AmazonS3"}', "a,b\n1,2\n", "\x00\xff", "{"])
def test_what_is_no_price_list_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "list"
    path.write_text(text)
    with pytest.raises(TicketSentimentError, match="this is no price list of AmazonEC2"):
        read_price_list(path, "list")


def test_a_table_takes_the_place_of_the_table_when_it_is_in_order(tmp_path: Path, table: Path):
    raw = yaml.safe_load(PRICES.read_text())
    raw["prices"] = raw["prices"][:2]
    raw["prices"][0]["usd_per_hour"] = 0.1
    raw["services"]["transfer_gb"] |= {"usd": 0.05, "checked": "2026-12-01"}
    other = tmp_path / "other.yaml"
    other.write_text(yaml.safe_dump(raw))
    said = update_prices(str(other), table).splitlines()
    assert "c7i.large: $0.08925 (2026-07-20) → $0.1 (2026-07-20), +12.0%" in said
    assert "transfer_gb: $0.09 (2026) → $0.05 (2026-12-01)" in said and "g6.xlarge: gone" in said
    assert len(load_prices(table).prices) == 2

    raw["prices"][1]["usd_per_hour"] = 0
    other.write_text(yaml.safe_dump(raw))
    before = table.read_bytes()
    with pytest.raises(
        TicketSentimentError, match=r"other\.yaml: prices\.1\.usd_per_hour: .*stays as it was"
    ):
        update_prices(str(other), table)
    assert table.read_bytes() == before


def test_an_address_is_fetched_and_one_that_is_not_there_is_named(tmp_path: Path, table: Path, monkeypatch):
    as_csv(tmp_path / "index.csv", offers())
    monkeypatch.setenv("no_proxy", "127.0.0.1")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *given, **more):
            super().__init__(*given, directory=str(tmp_path), **more)

        def do_GET(self):
            if self.path != "/broken.csv":
                return super().do_GET()
            whole = (tmp_path / "index.csv").read_bytes()
            self.send_response(200)
            self.send_header("Content-Length", str(len(whole)))
            self.end_headers()
            self.wfile.write(whole[: len(whole) * 2 // 3])

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Quiet) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        with pytest.raises(TicketSentimentError, match=r"cannot be had .*404.*download it and give the file"):
            update_prices(f"{address}/no.csv", table)
        before = table.read_bytes()
        with pytest.raises(TicketSentimentError, match=r"cannot be had .*it broke off after .* of .* bytes"):
            update_prices(f"{address}/broken.csv", table)
        assert table.read_bytes() == before
        assert "c7i.large: $0.08925" in update_prices(f"{address}/index.csv", table)
        server.shutdown()
    with pytest.raises(TicketSentimentError, match=r"nowhere\.csv is no file"):
        update_prices(str(tmp_path / "nowhere.csv"), table)

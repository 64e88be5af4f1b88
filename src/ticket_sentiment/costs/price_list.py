"""AWS's price list of EC2, as JSON or CSV, read down to the prices that a price table holds.

Format: "Reading the service price list files", AWS Billing user guide. A product is one instance type with
one operating system, tenancy and licence; what is wanted is plain Linux on shared hardware.
"""

import csv
import datetime
import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError

HEAD_LINES = 5  # of the CSV: what the file is, before its column names
PLAIN = {"operatingSystem": "Linux", "tenancy": "Shared", "preInstalledSw": "NA", "capacitystatus": "Used"}
COLUMNS = {  # attribute of the JSON: column of the CSV
    "operatingSystem": "Operating System",
    "tenancy": "Tenancy",
    "preInstalledSw": "Pre Installed S/W",
    "capacitystatus": "CapacityStatus",
    "instanceType": "Instance Type",
    "regionCode": "Region Code",
}
YEAR = {"LeaseContractLength": "1yr", "OfferingClass": "standard", "PurchaseOption": "No Upfront"}


@dataclass(frozen=True)
class Offer:
    """What one hour of a plain instance costs."""

    instance: str
    region: str
    term: str  # OnDemand | Reserved: one year, standard, nothing upfront
    usd_per_hour: float


@dataclass(frozen=True)
class PriceList:
    """Offers of a published list; each (instance, region, term) is there once."""

    published: datetime.date
    offers: dict[tuple[str, str, str], float]


def read_price_list(path: Path, where: str) -> PriceList:
    """Read a price list.

    Args:
        path: of the file.
        where: file or address that it came from, for messages.

    Raises:
        TicketSentimentError: it is neither, or a price in it is missing, malformed or there twice.
    """
    with path.open("rb") as stream:
        first = stream.read(64).lstrip(b"\xef\xbb\xbf \r\n\t")[:1]
    try:
        published, offers = _json(path) if first == b"{" else _csv(path)
        found: defaultdict[tuple[str, str, str], set[float]] = defaultdict(set)
        for offer in offers:
            if offer.usd_per_hour > 0:  # a reservation's upfront part, and what is free, have none
                found[(offer.instance, offer.region, offer.term)].add(offer.usd_per_hour)
    except (KeyError, ValueError, TypeError, AttributeError, csv.Error) as error:
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise TicketSentimentError(
            f"{where}: this is no price list of AmazonEC2 in AWS's JSON or CSV format ({reason})"
        ) from None
    for (instance, region, term), prices in found.items():
        if len(prices) > 1:
            raise TicketSentimentError(
                f"{where}: {instance} in {region} has {len(prices)} prices for {term}: "
                f"{sorted(prices)}, expected one"
            )
    return PriceList(published, {key: prices.pop() for key, prices in found.items()})


def _date(text: str) -> datetime.date:
    return datetime.datetime.fromisoformat(text.replace("Z", "+00:00")).date()


def _json(path: Path) -> tuple[datetime.date, Iterator[Offer]]:
    raw = json.loads(path.read_text(encoding="utf-8-sig"))
    if raw["offerCode"] != "AmazonEC2":
        raise ValueError(f"offerCode {raw['offerCode']}")
    return _date(raw["publicationDate"]), _json_offers(raw)


def _json_offers(raw: Mapping[str, Any]) -> Iterator[Offer]:
    for sku, product in raw["products"].items():
        attributes = product["attributes"]
        if not _is_plain(attributes):
            continue
        for term in ("OnDemand", "Reserved"):
            for offer in raw["terms"].get(term, {}).get(sku, {}).values():
                if term == "Reserved" and not _is_year(offer["termAttributes"]):
                    continue
                for price in offer["priceDimensions"].values():
                    if price["unit"] == "Hrs":
                        yield _offer(attributes, term, price["pricePerUnit"]["USD"])


def _csv(path: Path) -> tuple[datetime.date, Iterator[Offer]]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        head = dict(row[:2] for row in islice(csv.reader(stream), HEAD_LINES))
    if head["OfferCode"] != "AmazonEC2":
        raise ValueError(f"OfferCode {head['OfferCode']}")
    return _date(head["Publication Date"]), _csv_offers(path)


def _csv_offers(path: Path) -> Iterator[Offer]:
    """Line by line: the list of one region is larger than most memories."""
    with path.open(encoding="utf-8-sig", newline="") as stream:
        for row in csv.DictReader(islice(stream, HEAD_LINES, None)):
            attributes = {name: row[column] for name, column in COLUMNS.items()}
            if not _is_plain(attributes) or row["Unit"] != "Hrs" or row["Currency"] != "USD":
                continue
            if row["TermType"] == "OnDemand" or (row["TermType"] == "Reserved" and _is_year(row)):
                yield _offer(attributes, row["TermType"], row["PricePerUnit"])


def _is_plain(attributes: Mapping[str, Any]) -> bool:
    return bool(attributes.get("instanceType")) and all(
        attributes.get(name) == value for name, value in PLAIN.items()
    )


def _is_year(term: Mapping[str, Any]) -> bool:
    return all(term.get(name) == value for name, value in YEAR.items())


def _offer(attributes: Mapping[str, Any], term: str, usd: str) -> Offer:
    value = float(usd)
    if not 0 <= value < float("inf"):
        raise ValueError(f"{attributes['instanceType']}: price {usd}")
    return Offer(attributes["instanceType"], attributes["regionCode"], term, value)

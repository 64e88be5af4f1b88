"""`ticket-sentiment cost --update-prices`: newer prices into the price table, shown, checked, "
"written as a whole."""

import shutil
import tempfile
import urllib.error
import urllib.request
from http.client import HTTPException
from pathlib import Path
from typing import Any

from ticket_sentiment.costs.price_list import PriceList, read_price_list
from ticket_sentiment.costs.prices import Price, PriceTable, load_prices, read_table, write_prices
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.yaml_files import parse_yaml

TIMEOUT_S = 60
REMEDY = "correct it; the price table stays as it was"


def update_prices(source: str, path: Path) -> str:
    """Bring the price table up to date.

    Args:
        source: file or http(s) address of AWS's price list of EC2 (CSV or JSON), or of a price table like
            ours (.yaml), which takes its place.
        path: of the price table.

    Returns:
        What has changed, a line each.

    Raises:
        TicketSentimentError: the source cannot be had, is malformed, or is older than the table; nothing is
            written.
    """
    before = load_prices(path)
    with tempfile.TemporaryDirectory() as folder:
        file = _fetched(source, Path(folder))
        if Path(source.partition("?")[0]).suffix in (".yaml", ".yml"):
            after = _table(file, source)
            kept = {row.instance for row in after.prices}
            notes = [f"{row.instance}: gone" for row in before.prices if row.instance not in kept]
        else:
            after, notes = merged(before, read_price_list(file, source), source)
    lines = differences(before, after)
    if after != before:
        write_prices(after, path)
    said = f"nothing has changed: {path} stays as it is" if after == before else f"{path} is written"
    return "\n".join([*lines, *notes, said])


def _fetched(source: str, folder: Path) -> Path:
    if not source.startswith(("http://", "https://")):
        if not Path(source).is_file():
            raise TicketSentimentError(
                f"--update-prices: {source} is no file: give a file or an https address"
            )
        return Path(source)
    target = folder / "list"
    try:
        with urllib.request.urlopen(source, timeout=TIMEOUT_S) as answer, target.open("wb") as stream:
            shutil.copyfileobj(answer, stream)
            promised = answer.headers.get("Content-Length")
            if promised and stream.tell() < int(promised):
                raise OSError(f"it broke off after {stream.tell():,} of {int(promised):,} bytes")
    except (urllib.error.URLError, TimeoutError, OSError, HTTPException) as error:
        raise TicketSentimentError(
            f"--update-prices: {source} cannot be had ({error}): download it and give the file"
        ) from None
    return target


def _table(file: Path, source: str) -> PriceTable:
    return read_table(parse_yaml(file.read_bytes(), source, REMEDY), source, REMEDY)


def merged(table: PriceTable, found: PriceList, source: str) -> tuple[PriceTable, list[str]]:
    """The table with the prices of a list, and a line for each row that the list does not hold.

    Raises:
        TicketSentimentError: the list is older than a row that it would change, or holds none of the rows.
    """
    rows, absent = [], []
    for row in table.prices:
        usd = found.offers.get((row.instance, row.region, "OnDemand"))
        if usd is None:
            rows.append(row)
            absent.append(
                f"{row.instance} in {row.region} is not in the list: its price of {row.checked} stays"
            )
            continue
        if found.published < row.checked:
            raise TicketSentimentError(
                f"{source}: published {found.published}, but the price of {row.instance} is of "
                f"{row.checked}: get a "
                "newer list"
            )
        rows.append(_renewed(row, usd, found))
    if len(absent) == len(rows):
        raise TicketSentimentError(
            f"{source}: none of the instances of the price table is in it: another region?"
        )
    raw = table.model_dump() | {"prices": [row.model_dump() for row in rows]}
    return read_table(raw, source, REMEDY), absent


def _renewed(row: Price, usd: float, found: PriceList) -> Price:
    changes: dict[str, Any] = {
        "usd_per_hour": usd,
        "checked": found.published,
        "source": f"AWS price list of AmazonEC2, published {found.published}",
    }
    reserved = found.offers.get((row.instance, row.region, "Reserved"))
    if reserved is not None:
        if not 0 < reserved < usd:
            raise TicketSentimentError(
                f"{row.instance}: reserved for a year at {reserved}, on demand at {usd}: expected "
                f"less. {REMEDY}"
            )
        changes |= {"reserved_saving": round(1 - reserved / usd, 4), "reserved_checked": found.published}
    return row.model_copy(update=changes)


def differences(before: PriceTable, after: PriceTable) -> list[str]:
    """A line for each row or entry that is new or has changed."""
    old = {row.instance: row for row in before.prices}
    lines = []
    for row in after.prices:
        was = old.get(row.instance)
        if was is None:
            lines.append(f"{row.instance}: new, ${row.usd_per_hour:g} an hour ({row.checked})")
        elif was != row:
            lines.append(f"{row.instance}: {_changed(was, row)}")
    if before.reserved != after.reserved:
        lines.append(f"reserved: {before.reserved.saving:.0%} → {after.reserved.saving:.0%} saved")
    for name in type(after.services).model_fields:
        then, now = getattr(before.services, name), getattr(after.services, name)
        if then != now:
            lines.append(f"{name}: ${then.usd:g} ({then.checked}) → ${now.usd:g} ({now.checked})")
    return lines


def _changed(was: Price, row: Price) -> str:
    part = f"${was.usd_per_hour:g} ({was.checked}) → ${row.usd_per_hour:g} ({row.checked})"
    if was.usd_per_hour != row.usd_per_hour:
        part += f", {row.usd_per_hour / was.usd_per_hour - 1:+.1%}"
    for name in ("spot_saving", "reserved_saving"):
        then, now = getattr(was, name), getattr(row, name)
        if then != now:
            words = ["none" if value is None else f"{value:.0%}" for value in (then, now)]
            part += f", {name} {' → '.join(words)}"
    return part

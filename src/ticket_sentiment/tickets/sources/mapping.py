"""The source's columns and labels turned into ours, row by row, each problem named by its row."""

import logging
import math
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, time, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Tickets
from ticket_sentiment.tickets.privacy import clean, known_customer
from ticket_sentiment.tickets.schema import NO_CHANNEL
from ticket_sentiment.tickets.sources.raw import RawTable

logger = logging.getLogger(__name__)

_FLOAT = re.compile(r"\d+\.0")
FIELDS = ("ticket_id", "customer_id", "created_at", "channel", "text", "label")
REQUIRED = ("ticket_id", "created_at", "text")
# "2026-03-31 17:05:00 UTC" and "... +0200", as many programs write a time
_ZONE = re.compile(r"(?<=\d) +(?:UTC|GMT|([+-]\d\d:?\d\d))$")
# With its columns slipped by one an export has texts and customers' names where labels and ids should be, and
# messages go into logs and alerts. So a value is shown only where it is most likely neither:
MAX_LABELS = 20  # an unknown label, in a column of no more different values
MANY_ROWS = 5  # ... and in so many rows at least
ID = re.compile(r"(?=[^0-9]*[0-9])[A-Za-z0-9#:_.-]{1,40}")  # an id, with a digit and without white space


def map_rows(tables: list[RawTable], tickets: Tickets) -> pd.DataFrame:
    """All rows of a source as tickets, text still as it was written.

    Returns:
        ticket_id, customer_id, created_at (UTC), channel, text, label, label_source, and where the row
        was: `file`, `row`. Empty text is the empty string.

    Raises:
        TicketSentimentError: a column is missing, an id, date or label is missing or not understood, or a
            ticket id comes twice; the message names file, row, column and the key of params.yaml, and no
            value that may be a text or a name.
    """
    zone = _zone(tickets.timezone)
    frames = [_map_table(table, tickets, zone) for table in tables]
    frame = pd.concat(frames, ignore_index=True)
    frame["created_at"] = pd.to_datetime(frame["created_at"], utc=True).astype("datetime64[us, UTC]")
    _refuse_duplicates(frame)
    return frame


def _zone(name: str) -> tzinfo:
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise TicketSentimentError(
            f"tickets.timezone: {name!r} is no known time zone: expected a name such as UTC or Europe/Berlin"
        ) from None


def _map_table(table: RawTable, tickets: Tickets, zone: tzinfo) -> pd.DataFrame:
    names = {} if table.identity else tickets.columns
    columns = {field: _column(table, field, names) for field in FIELDS}
    labels = {} if table.identity else tickets.labels
    readers: dict[str, Callable[[Any], Any]] = {
        "ticket_id": _required_text,
        "customer_id": _customer,
        "created_at": lambda value: _instant(value, zone),
        "channel": lambda value: clean(cell_text(value)) or NO_CHANNEL,
        "text": lambda value: value if isinstance(value, str) else cell_text(value),
        "label": lambda value: _label(value, labels, columns["label"][1]),
    }
    mapped: dict[str, list[Any]] = {}
    for field, (column, values) in columns.items():
        mapped[field] = []
        for number, value in zip(table.numbers, values, strict=True):
            try:
                mapped[field].append(readers[field](_plain(value)))
            except ValueError as error:
                raise TicketSentimentError(f"{table.name} row {number}: column {column}: {error}") from None
    frame = pd.DataFrame(mapped, dtype=object)
    if not table.identity and mapped["ticket_id"] and all(map(_FLOAT.fullmatch, mapped["ticket_id"])):
        logger.warning(
            "%s: every ticket_id ends in .0, as where numbers were read as decimals: feedback under the ids "
            "that people know will not find these tickets; export them as whole numbers or text", table.name,
        )  # fmt: skip
    if not table.identity:
        frame["customer_id"] = pd.Series(_whole(mapped["customer_id"]), dtype=object)
    sources = [None if label is None else table.label_source for label in mapped["label"]]
    frame["label_source"] = pd.Series(sources, dtype=object)
    return frame.assign(file=table.name, row=list(table.numbers))


def _column(table: RawTable, field: str, names: dict[str, str]) -> tuple[str, list[Any]]:
    wanted = names.get(field)
    name = wanted or field
    if name in table.columns:
        return name, table.values(name)
    if wanted is None and field not in REQUIRED:
        return name, [None] * len(table.numbers)
    raise TicketSentimentError(
        f"{table.name}: column {name!r} is missing ({table.has([*FIELDS, *names.values()])}): "
        f"set tickets.columns.{field} in params.yaml to the column that holds it"
    )


def _plain(value: Any) -> Any:
    """A value that can be one cell; text may come as its bytes, as some writers of Parquet leave it."""
    if isinstance(value, bytes | bytearray | memoryview):
        try:
            return bytes(value).decode()
        except UnicodeDecodeError:
            raise ValueError("holds bytes that are no UTF-8: make text of them in the export") from None
    if isinstance(value, dict | list | tuple | set):
        raise ValueError(
            "holds nested values, of which it may be a person's name: export the one that is meant as a "
            "column of its own"
        )
    return value


def _missing(value: Any) -> bool:
    return value is None or value is pd.NaT or (isinstance(value, float) and math.isnan(value))


def cell_text(value: Any) -> str:
    """A cell as text: missing is empty, 7.0 (an integer column with gaps) is 7."""
    if _missing(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip()


def _customer(value: Any) -> str | None:
    text = cell_text(value)
    return known_customer(text)


def _whole(customers: list[str | None]) -> list[str | None]:
    """8.0 is customer 8, where every id of a table is so: a gap makes decimals of a month's whole numbers."""
    known = [one for one in customers if one is not None]
    if not known or not all(map(_FLOAT.fullmatch, known)):
        return customers
    return [None if one is None else one.removesuffix(".0") for one in customers]


def _required_text(value: Any) -> str:
    text = cell_text(value)
    if not text:
        raise ValueError("is empty, every ticket needs an id: correct the export")
    return text.encode("utf-8", "replace").decode()  # JSON can carry half of a surrogate pair


def _instant(value: Any, zone: tzinfo) -> datetime:
    if _missing(value) or value == "":
        raise ValueError("is empty, every ticket needs a date: correct the export")
    if isinstance(value, pd.Timestamp):
        value = value.to_pydatetime(warn=False)
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(_ZONE.sub(lambda found: found[1] or "Z", value.strip()))
        except ValueError:
            raise ValueError(
                f"{_kind(value)} is no date: expected ISO 8601, "
                "e.g. 2026-03-31 17:05:00 or 2026-03-31T17:05:00Z"
            ) from None
    elif isinstance(value, date) and not isinstance(value, datetime):
        value = datetime.combine(value, time())
    elif not isinstance(value, datetime):
        raise ValueError(f"{_kind(value)} is no date: expected ISO 8601 or a timestamp column")
    aware = value if value.tzinfo else value.replace(tzinfo=zone)
    try:
        instant = aware.astimezone(UTC)
    except OverflowError:
        raise ValueError("is a date outside the calendar: correct the export") from None
    if not 1970 <= instant.year <= 2200:
        raise ValueError(f"{instant.year} is no year of a ticket: correct the export")
    return instant


def _label(value: Any, mapping: dict[str, Any], column: Sequence[Any]) -> str | None:
    text = cell_text(value)
    if not text:
        return None
    found = mapping.get(text, text)
    if found is None:
        return None
    if found not in LABELS:
        raise ValueError(
            f"label {_shown_label(value, column)} is unknown: add it to tickets.labels in params.yaml "
            f"as one of {', '.join(LABELS)} (or null, where it means none), or correct tickets.columns.label"
        )
    return str(found)


def _kind(value: Any) -> str:
    """A value for a message, without itself."""
    if isinstance(value, str):
        return f"a text of {len(value.strip())} characters"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return "a number"
    return f"a value of type {type(value).__name__}"


def _shown_label(value: Any, column: Sequence[Any]) -> str:
    """A label by itself where the column holds labels: few different values, this one in many rows."""
    rows, text = Counter(map(cell_text, column)), cell_text(value)
    if len(rows) <= MAX_LABELS and rows[text] >= MANY_ROWS:
        return repr(clean(text)[:30])
    return f"({_kind(value)})"


def _shown_id(text: str) -> str | None:
    return text if ID.fullmatch(text) and clean(text) == text else None


def _refuse_duplicates(frame: pd.DataFrame) -> None:
    again = frame[frame["ticket_id"].duplicated()]
    if again.empty:
        return
    second = again.iloc[0]
    first = frame[frame["ticket_id"] == second["ticket_id"]].iloc[0]
    shown = _shown_id(second["ticket_id"])
    which = repr(shown) if shown else f"({_kind(second['ticket_id'])})"
    ids = ", ".join(_first(again["ticket_id"], 5))
    raise TicketSentimentError(
        f"{second['file']} row {second['row']}: ticket_id {which} was already in "
        f"{first['file']} row {first['row']} ({len(again)} duplicate ids in all{f': {ids}' if ids else ''}): "
        "export each ticket once"
    )


def _first(values: pd.Series, count: int) -> Iterator[str]:
    return filter(None, map(_shown_id, values.drop_duplicates().iloc[:count]))

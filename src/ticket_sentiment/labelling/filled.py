"""A filled queue read back: a spreadsheet's CSV, or what Label Studio exports as JSON or JSON-MIN.

Label Studio's shapes: https://labelstud.io/guide/export (a task with `data` and `annotations`, or one flat
record for each annotation with the name of the choice as a key).
"""

import csv
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, NoReturn

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labelling.formats import CONTROL, require_format, unescaped
from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.spreadsheet import delimiter_of


@dataclass(frozen=True)
class Filled:
    """A label that a person filled in.

    Attributes:
        where: file and row, for messages.
        ticket_id: of the ticket.
        label: one of LABELS.
        at: when it was given; None where the file does not say. Of a day without a time its last second:
            as its first one it would be from before a ticket of that day, and not count.
        mark: what tells this label from another of the same ticket in the tool it comes from; may be empty.
        all_day: whether `at` stands for a day.
        text: of the ticket, as the file has it; empty where it has none.
    """

    where: str
    ticket_id: str
    label: str
    at: datetime | None
    mark: str
    all_day: bool = False
    text: str = ""


def read_filled(path: Path, zone: tzinfo = UTC) -> tuple[list[Filled], int]:
    """All labels of a file, and how many of its tickets have none yet.

    Args:
        path: ends in .csv or .json.
        zone: of a CSV's times without an offset.

    Raises:
        TicketSentimentError: the file cannot be read, or a row is not as it should be; the message names
            file, row and key, and never shows a value.
    """
    reader = _read_json if require_format(path) == "json" else _read_csv
    try:
        content = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is not there: name a file that people have filled in") from None
    except UnicodeDecodeError as error:
        raise TicketSentimentError(
            f"{path} is not UTF-8 (byte {error.start}): save it as CSV UTF-8, or export it again"
        ) from None
    rows = list(reader(content, path, zone))
    filled = [row for row in rows if row is not None]
    _refuse_contradictions(filled)
    return filled, len(rows) - len(filled)


def _refuse(where: str, key: str, problem: str) -> NoReturn:
    raise TicketSentimentError(f"{where}: {key}: {problem}; nothing of the file was imported")


def _label(value: Any, where: str, key: str) -> str | None:
    """A label, whatever its case; None for an empty cell."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    found = value.strip().lower() if isinstance(value, str) else None
    if found not in LABELS:
        _refuse(where, key, f"expected one of {', '.join(LABELS)}, or nothing")
    return found


def _id(value: Any, where: str) -> str:
    if not isinstance(value, str) or not value:
        _refuse(where, "ticket_id", "expected the id as the queue has it: correct it")
    return value


def _time(value: Any, zone: tzinfo, where: str, key: str) -> datetime | None:
    if value is None or value == "":
        return None
    try:
        at = datetime.fromisoformat(value.strip())
        at = at if at.tzinfo else at.replace(tzinfo=zone)
        return at.astimezone(UTC)
    except (ValueError, AttributeError, OverflowError):
        _refuse(where, key, "expected a time such as 2026-03-31 17:05 or 2026-03-31T17:05:00Z, or nothing")


def _is_day(value: str | None) -> bool:
    try:
        return bool(date.fromisoformat((value or "").strip()))
    except ValueError:
        return False


def _read_csv(content: str, path: Path, zone: tzinfo) -> Iterator[Filled | None]:
    delimiter = delimiter_of(content.split("\n", 1)[0])
    reader = csv.reader(io.StringIO(content, newline=""), delimiter=delimiter, strict=True)
    try:
        rows = list(reader)
    except csv.Error as error:
        raise TicketSentimentError(
            f"{path} line {reader.line_num}: is no CSV ({error}): save it again; nothing of it was imported"
        ) from None
    header = [name.strip().lower() for name in rows[0]] if rows else []
    for name in ("ticket_id", "label"):
        if header.count(name) != 1:
            raise TicketSentimentError(
                f"{path} row 1: column {name}: is there {header.count(name)} times, expected once: take the "
                "file that `ticket-sentiment label-queue` wrote, with `label` filled in"
            )
    for number, cells in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in cells):
            continue
        where = f"{path} row {number}"
        if len(cells) != len(header):
            _refuse(
                where, "columns", f"{len(cells)} cells, the header has {len(header)}: save the file again"
            )
        row = dict(zip(header, cells, strict=True))
        label = _label(row["label"], where, "label")
        if label is None:
            yield None
            continue
        at = _time(row.get("labelled_at"), zone, where, "labelled_at")
        all_day = _is_day(row.get("labelled_at"))
        if at and all_day:
            at += timedelta(days=1, seconds=-1)
        id_, text = _id(unescaped(row["ticket_id"]), where), unescaped(row.get("text", ""))
        yield Filled(where, id_, label, at, "", all_day, text)


def _read_json(content: str, path: Path, zone: tzinfo) -> Iterator[Filled | None]:
    try:
        tasks = json.loads(content)
    except (ValueError, RecursionError) as error:
        reason = error.msg if isinstance(error, json.JSONDecodeError) else type(error).__name__
        raise TicketSentimentError(f"{path} is no JSON ({reason}): export it again") from None
    if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
        raise TicketSentimentError(f"{path}: expected a list of tasks: export it as JSON or JSON-MIN")
    for number, task in enumerate(tasks, start=1):
        where = f"{path} task {number}"
        if "data" in task or "annotations" in task:
            yield from _annotated(task, where)
        else:
            yield _record(task, where)


def _annotated(task: dict[str, Any], where: str) -> Iterator[Filled | None]:
    """A task of Label Studio's JSON: one label for each annotation that was not skipped."""
    data, annotations = task.get("data"), task.get("annotations")
    if not isinstance(data, dict):
        _refuse(where, "data", "expected an object: export it as JSON or JSON-MIN")
    if not isinstance(annotations, list) or not all(isinstance(one, dict) for one in annotations):
        _refuse(where, "annotations", "expected a list of objects: export it as JSON or JSON-MIN")
    found = 0
    for annotation in annotations:
        key = "annotations.result"
        results = annotation.get("result")
        if not isinstance(results, list) or not all(isinstance(one, dict) for one in results):
            _refuse(where, key, "expected a list of objects: export it as JSON or JSON-MIN")
        if annotation.get("was_cancelled") or not results:
            continue
        values = [one.get("value") for one in results if one.get("from_name") == CONTROL]
        if len(values) != 1:
            _refuse(where, key, f"expected one choice named {CONTROL}: label with docs/label-studio.xml")
        choices = values[0].get("choices") if isinstance(values[0], dict) else None
        label = _choice(choices, where, key)
        if label is not None:
            found += 1
            yield _labelled(data, label, annotation, annotation.get("id"), where, "annotations.updated_at")
    if not found:
        yield None


def _record(record: dict[str, Any], where: str) -> Filled | None:
    """A record of JSON-MIN: one annotation."""
    choices = record.get(CONTROL)
    label = _choice([choices] if isinstance(choices, str) else choices, where, CONTROL)
    if label is None:
        return None
    return _labelled(record, label, record, record.get("annotation_id"), where, "updated_at")


def _choice(choices: Any, where: str, key: str) -> str | None:
    if choices is None or choices == []:
        return None
    if not isinstance(choices, list) or len(choices) != 1:
        _refuse(where, key, "expected one choice: label with docs/label-studio.xml")
    return _label(choices[0], where, key)


def _labelled(
    data: dict[str, Any], label: str, said: dict[str, Any], mark: Any, where: str, key: str
) -> Filled:
    at = _time(said.get("updated_at") or said.get("created_at"), UTC, where, key)
    text = data.get("text")
    return Filled(
        where,
        _id(data.get("ticket_id"), where),
        label,
        at,
        "" if mark is None else str(mark),
        text=text if isinstance(text, str) else "",
    )


def _refuse_contradictions(filled: list[Filled]) -> None:
    """Two labels of one ticket that nothing tells apart: neither is the later one."""
    first: dict[tuple[str, datetime | None, str], Filled] = {}
    for row in filled:
        other = first.setdefault((row.ticket_id, row.at, row.mark), row)
        if other.label != row.label:
            before = other.where.rsplit(" ", 2)[-2:]
            _refuse(
                row.where, "label", f"is not that of {' '.join(before)} for the same ticket: keep one of them"
            )

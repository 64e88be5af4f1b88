"""Filled queues read back; exports/ holds files in the shape that Label Studio documents for its exports."""

import csv
import json
import logging
import xml.etree.ElementTree as ET
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pandas as pd
import pytest

from tests.events.events import NOON, feedback
from tests.support.params import params_file
from ticket_sentiment.cli import main as cli
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.feedback.database import NoEventDatabase
from ticket_sentiment.labelling.filled import read_filled
from ticket_sentiment.labelling.formats import CONTROL, write_queue
from ticket_sentiment.labelling.intake import import_labels
from ticket_sentiment.labelling.queue import make_queue
from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.schema import COLUMNS, TICKETS, write_tickets

ROOT = Path(__file__).parents[2]
EXPORTS = Path(__file__).parent / "exports"
VARIABLE = "TICKET_SENTIMENT_EVENTS_URL"
NOW = datetime(2026, 11, 3, 9, tzinfo=UTC)
QUERY = "SELECT ticket_id, source, label FROM feedback ORDER BY ticket_id, at"


TEXTS = ("It broke after a week.", "When is my invoice due?", "Thanks!", "Great.", "text of T-5")


@pytest.fixture
def known(answered):
    for number, text in enumerate(TEXTS, start=1):
        answered(f"T-{number}", text=text)


@pytest.fixture
def take(url, params, tmp_path):
    def run(path, source="audit", now=NOW, changes=None):
        chosen = params.model_copy(update=changes or {})
        return import_labels(path, source, chosen, root=tmp_path, now=now, environ={VARIABLE: url})

    return run


@pytest.fixture
def stored(url, rows):
    return lambda: [tuple(row.values()) for row in rows(url, QUERY)]


def sheet(path: Path, *rows: dict[str, str], delimiter=",", encoding="utf-8-sig") -> Path:
    with path.open("w", encoding=encoding, newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


def filled(*labels: tuple[str, str]) -> list[dict[str, str]]:
    return [{"ticket_id": id_, "text": "…", "label": label, "labelled_at": ""} for id_, label in labels]


def test_a_spreadsheet_goes_out_and_comes_back(url, params, answered, store, take, stored, tmp_path):
    """Ids and texts that a spreadsheet would take for formulas among them."""
    names = ["=cmd|x", "+1", "T-1", "'=1", "ünïcode", "a,b;c"]
    for number, name in enumerate(names):
        answered(name, text=f'=1+1, "{name}"\nnext {number}')
    path = tmp_path / "queue.csv"
    queue = make_queue(params, root=tmp_path, now=NOON + timedelta(hours=1), environ={VARIABLE: url})
    write_queue(path, queue.rows)
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = list(csv.DictReader(stream))
    for number, row in enumerate(rows[:5]):
        row["label"] = ["negative", "Neutral", " positive ", "NEGATIVE", "neutral"][number]
    sheet(path, *rows, delimiter=";")  # as a German spreadsheet saves it
    result = take(path)
    assert (result.new, result.known, result.empty) == (5, 0, 1)
    ids = [row.ticket_id for row in queue.rows]
    expected = zip(ids, ["negative", "neutral", "positive", "negative", "neutral"], strict=False)
    assert sorted(stored()) == sorted((id_, "audit", label) for id_, label in expected)
    left = make_queue(params, root=tmp_path, now=NOON + timedelta(hours=1), environ={VARIABLE: url})
    assert [row.ticket_id for row in left.rows] == ids[5:], "what is labelled is not asked for again"


@pytest.mark.parametrize("name", ["label-studio.json", "label-studio-min.json"])
def test_both_exports_of_label_studio_are_read_alike(known, take, stored, name, url, rows):
    result = take(EXPORTS / name)
    assert (result.new, result.known) == (3, 0)
    assert result.empty == {"label-studio.json": 2, "label-studio-min.json": 1}[name]
    assert stored() == [
        ("T-1", "audit", "negative"), ("T-1", "audit", "neutral"), ("T-4", "audit", "positive")
    ]  # fmt: skip
    times = [str(row["at"]) for row in rows(url, "SELECT at FROM feedback ORDER BY ticket_id, at")]
    assert times[0].startswith("2026-11-02 08:16:08.728378") and times[1].startswith("2026-11-02 09:30")


def test_the_other_export_of_the_same_labels_adds_nothing(known, take, stored):
    take(EXPORTS / "label-studio.json")
    assert (take(EXPORTS / "label-studio-min.json").new, len(stored())) == (0, 3)


def test_a_task_goes_out_and_comes_back(url, params, answered, take, stored, tmp_path):
    """What Label Studio makes of our tasks: the data unchanged, an annotation beside it."""
    answered("T-1")
    queue = make_queue(params, root=tmp_path, now=NOON + timedelta(hours=1), environ={VARIABLE: url})
    write_queue(tmp_path / "queue.json", queue.rows)
    tasks = json.loads((tmp_path / "queue.json").read_text())
    example = json.loads((EXPORTS / "label-studio.json").read_text())[3]
    done = tmp_path / "done.json"
    done.write_text(json.dumps([example | tasks[0]]))
    assert take(done).new == 1
    assert stored() == [("T-1", "audit", "positive")]


def test_the_labelling_interface_offers_our_labels_by_the_name_that_is_read():
    root = ET.parse(ROOT / "docs/label-studio.xml").getroot()
    (choices,) = root.iter("Choices")
    assert choices.get("name") == CONTROL and choices.get("choice") == "single"
    assert tuple(choice.get("value") for choice in choices) == LABELS
    (text,) = root.iter("Text")
    assert text.get("value") == "$text" and choices.get("toName") == text.get("name")


def test_a_day_without_a_time_is_its_end_but_not_the_future(known, take, url, rows, tmp_path):
    """Its beginning is before a ticket of that day was written, and such labels do not count."""
    table = filled(("T-1", "negative"), ("T-2", "neutral"))
    for one, day in zip(table, ("2026-11-02", f"{NOW:%Y-%m-%d}"), strict=True):
        one["labelled_at"] = day
    path = sheet(tmp_path / "q.csv", *table)
    assert take(path).new == 2
    assert take(path, now=NOW + timedelta(minutes=5)).known == 2
    times = [str(row["at"])[:19] for row in rows(url, "SELECT at FROM feedback ORDER BY ticket_id")]
    assert times == ["2026-11-02 23:59:59", f"{NOW:%Y-%m-%d %H:%M:%S}"]
    table[1]["labelled_at"] = f"{NOW + timedelta(days=1):%Y-%m-%d}"
    with pytest.raises(TicketSentimentError, match="lies in the future"):
        take(sheet(path, *table))


def test_a_file_imported_twice_counts_once_and_a_correction_counts(known, take, stored, tmp_path):
    path = sheet(tmp_path / "q.csv", *filled(("T-1", "negative"), ("T-2", "neutral")))
    assert take(path).new == 2
    again = take(path, now=NOW + timedelta(hours=1))
    assert (again.new, again.known, again.outdone) == (0, 2, 0)
    sheet(path, *filled(("T-1", "positive"), ("T-2", "neutral")))
    assert take(path, now=NOW + timedelta(minutes=1)).new == 1
    assert stored()[:2] == [("T-1", "audit", "negative"), ("T-1", "audit", "positive")]
    sheet(path, *filled(("T-1", "negative")))
    back = take(path, now=NOW + timedelta(minutes=2))
    assert (back.new, back.outdone) == (0, 1)
    assert "fill in labelled_at" in back.line(path)
    rows = filled(("T-1", "negative"))
    rows[0]["labelled_at"] = "2026-11-03 09:02"
    assert take(sheet(path, *rows), now=NOW + timedelta(minutes=2)).new == 1
    assert stored()[2] == ("T-1", "audit", "negative")


@pytest.mark.parametrize("time", ["2026-11-02", "2026-11-02 14:30"])
def test_a_correction_with_the_same_time_counts_and_comes_back_no_more(
    known, take, url, rows, tmp_path, time
):
    """A day is stored as its end, a minute as its beginning: both labels have the same time."""
    names = [f"T-{number}" for number in range(1, 6)]

    def sheet_of(label):
        table = [row | {"labelled_at": time} for row in filled(*((name, label) for name in names))]
        return sheet(tmp_path / f"{label}.csv", *table)

    first, second = sheet_of("negative"), sheet_of("positive")
    assert take(first).new == 5 and take(second).new == 5
    last = "SELECT label FROM feedback ORDER BY ticket_id, at DESC, source DESC, event_id DESC"
    assert [row["label"] for row in rows(url, last)][::2] == ["positive"] * 5
    again = take(second)
    assert (again.new, again.known, again.outdone) == (0, 5, 0)
    assert take(first).outdone == 5


def test_a_label_of_another_source_does_not_outdo_one(known, take, store, tmp_path):
    path = sheet(tmp_path / "q.csv", *filled(("T-1", "negative")))
    take(path)
    store.feedback(feedback("e-1", "positive", at=NOW + timedelta(minutes=5)))
    assert take(path, now=NOW + timedelta(hours=1)).outdone == 0


def test_a_time_without_an_offset_is_of_the_zone_of_the_tickets(tmp_path):
    rows = filled(("T-1", "negative"), ("T-2", "negative"))
    rows[0]["labelled_at"], rows[1]["labelled_at"] = "2026-07-01 12:00", "2026-07-01T12:00:00Z"
    first, second = read_filled(sheet(tmp_path / "q.csv", *rows), ZoneInfo("Europe/Berlin"))[0]
    assert (first.at, second.at) == (
        datetime(2026, 7, 1, 10, tzinfo=UTC), datetime(2026, 7, 1, 12, tzinfo=UTC)
    )  # fmt: skip


def test_a_ticket_that_was_only_collected_is_known(store, take, stored, tmp_path):
    frame = pd.DataFrame([("C-1", None, NOON, "chat", "x", None, None)], columns=list(COLUMNS))
    write_tickets(tmp_path / TICKETS / "2026-11.parquet", frame.astype({"created_at": "datetime64[us, UTC]"}))
    assert take(sheet(tmp_path / "q.csv", *filled(("C-1", "negative")))).new == 1


BAD_ROWS = {
    "another label": (
        {"label": "canary"},
        r"q\.csv row 3: label: expected one of negative, neutral, positive",
    ),
    "no id": ({"ticket_id": ""}, r"row 3: ticket_id: expected the id"),
    "an unknown id": ({"ticket_id": "canary"}, r"row 3: ticket_id: no ticket has this id .*such as 007 to 7"),
    "no time": ({"labelled_at": "canary"}, r"row 3: labelled_at: expected a time such as"),
    "the future": ({"labelled_at": "2100-01-01"}, r"row 3: feedback: at: lies in the future"),
    "long ago": ({"labelled_at": "1970-01-01"}, r"row 3: feedback: at: lies before the year 2000"),
    "twice": ({"ticket_id": "T-1"}, r"row 3: label: is not that of row 2 for the same ticket"),
    "a NUL": ({"ticket_id": "T-\0canary"}, r"row 3: feedback: ticket_id: holds a NUL"),
    "a long id": ({"ticket_id": "canary" * 50}, r"row 3: feedback: ticket_id: expected 1 to 200"),
}


@pytest.mark.parametrize("name", BAD_ROWS)
def test_a_bad_row_is_named_and_nothing_of_its_file_is_stored(known, take, stored, tmp_path, name):
    cells, message = BAD_ROWS[name]
    rows = filled(("T-1", "negative"), ("T-2", "neutral"), ("T-3", "positive"))
    rows[1] |= cells
    with pytest.raises(TicketSentimentError, match=message) as caught:
        take(sheet(tmp_path / "q.csv", *rows))
    assert "canary" not in str(caught.value)
    assert stored() == []


def test_a_database_that_fails_in_the_middle_keeps_none_of_the_file(known, take, stored, store, tmp_path):
    """The second label meets a stored event of its id with another label, as no real import does."""
    from ticket_sentiment.labelling import intake

    path = sheet(tmp_path / "q.csv", *filled(("T-1", "negative"), ("T-2", "neutral")))
    event = intake.event_id(read_filled(path)[0][1], "audit")
    store.feedback(feedback(event, "positive", ticket_id="T-2", source="audit", at=NOON))
    with pytest.raises(TicketSentimentError, match="came before with another label"):
        take(path)
    assert stored() == [("T-2", "audit", "positive")]


BAD_FILES = {
    "no header": ("q.csv", b"T-1,negative\r\n", r"row 1: column ticket_id: is there 0 times"),
    "two labels": ("q.csv", b"ticket_id,label,label\r\n", r"column label: is there 2 times"),
    "empty": ("q.csv", b"", r"row 1: column ticket_id"),
    "nothing filled in": ("q.csv", b"ticket_id,label\r\nT-1,\r\n", r"holds no label: fill in"),
    "a short row": ("q.csv", b"ticket_id,label,x\r\nT-1,negative\r\n", r"row 2: columns: 2 cells, .* has 3"),
    "Windows": (
        "q.csv",
        b"ticket_id,label\r\nT-\xfc,negative\r\n",
        r"is not UTF-8 \(byte 19\): save it as CSV",
    ),
    "an open quote": ("q.csv", b'ticket_id,label\r\n"T-1,negative\r\n', r"line \d: is no CSV"),
    "no JSON": ("q.json", b"[{", r"is no JSON"),
    "no list": ("q.json", b'{"a": 1}', r"expected a list of tasks"),
    "the queue itself": (
        "q.json",
        b'[{"data": {"ticket_id": "T-1"}}]',
        r"task 1: annotations: expected a list",
    ),
    "another choice": (
        "q.json",
        b'[{"data": {"ticket_id": "T-1"}, "annotations": [{"result": [{"from_name": "x", "value": {}}]}]}]',
        r"task 1: annotations\.result: expected one choice named sentiment: label with docs/label-studio",
    ),
    "two choices": ("q.json", b'[{"sentiment": {"choices": ["negative", "neutral"]}}]', r"task 1: sentiment"),
    "a choice of others": (
        "q.json",
        b'[{"ticket_id": "T-1", "sentiment": "canary"}]',
        r"task 1: sentiment: exp",
    ),
    "a number for an id": ("q.json", b'[{"ticket_id": 7, "sentiment": "negative"}]', r"task 1: ticket_id"),
    "another ending": ("q.xlsx", b"", r"ends in \.csv"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_file_is_named_with_its_remedy(tmp_path, params, monkeypatch, name):
    file, content, message = BAD_FILES[name]
    (tmp_path / file).write_bytes(content)
    with pytest.raises(TicketSentimentError, match=message) as caught:
        import_labels(tmp_path / file, "audit", params, environ={})
    assert file in str(caught.value) and "canary" not in str(caught.value)
    with pytest.raises(TicketSentimentError, match="is not there"):
        import_labels(tmp_path / "other.csv", "audit", params, environ={})


def test_a_source_that_would_not_count_is_refused_before_it_is_stored(take, params, tmp_path):
    strict = {"prepare": params.prepare.model_copy(update={"unknown_sources": "refuse"})}
    path = sheet(tmp_path / "q.csv", *filled(("T-1", "negative")))
    with pytest.raises(
        TicketSentimentError, match=r"--source: expected one of prepare\.label_sources \(audit"
    ):
        take(path, source="intern", changes=strict)


def test_no_database_is_made_for_an_import(params, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NoEventDatabase):
        import_labels(sheet(tmp_path / "q.csv", *filled(("T-1", "negative"))), "audit", params, environ={})
    assert not (tmp_path / "var").exists()


def test_the_command_prints_one_line_and_no_text(known, url, stored, tmp_path, monkeypatch, capsys, caplog):
    caplog.set_level(logging.DEBUG)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(VARIABLE, url)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    rows = [row | {"why": "canary"} for row in filled(("T-1", "negative"), ("T-2", ""))]
    rows[0]["labelled_at"] = "2026-11-02"
    sheet(tmp_path / "q.csv", *rows)
    assert cli(["label-import", "q.csv", "--source", "agent"]) == 0
    assert stored() == [("T-1", "agent", "negative")]
    printed = capsys.readouterr().out
    assert printed == "q.csv: 1 labels imported, 0 were there before; 1 tickets without a label\n"
    assert "canary" not in caplog.text


def test_a_column_that_was_sorted_alone_is_refused(known, take, stored, tmp_path):
    rows = [
        {"ticket_id": "T-1", "text": TEXTS[0], "label": "negative"},
        {"ticket_id": "T-2", "text": TEXTS[3], "label": "positive"},
    ]
    with pytest.raises(
        TicketSentimentError, match=r"q\.csv row 3: ticket_id: is that of a ticket with another"
    ):
        take(sheet(tmp_path / "q.csv", *rows))
    assert stored() == []


def test_a_text_that_a_spreadsheet_cut_or_changed_is_the_tickets(known, answered, take, tmp_path):
    answered("T-6", text="The router at [EMAIL] drops every evening – since May.")
    answered("T-7", text="这个产品太差了 退款")
    rows = [
        {
            "ticket_id": "T-6",
            "text": "The router at jane@x.io drops every evening ? since",
            "label": "negative",
        },
        {"ticket_id": "T-7", "text": "这个产品太差", "label": "negative"},
    ]
    assert take(sheet(tmp_path / "q.csv", *rows)).new == 2


def test_a_label_from_before_its_ticket_is_refused(known, take, stored, tmp_path):
    early = f"{NOON - timedelta(minutes=5):%Y-%m-%d %H:%M}"
    row = {"ticket_id": "T-1", "text": TEXTS[0], "label": "negative", "labelled_at": early}
    with pytest.raises(
        TicketSentimentError,
        match=r"q\.csv row 2: labelled_at: is before the ticket \(2026-11-01 12:00 UTC\)",
    ):
        take(sheet(tmp_path / "q.csv", row))
    assert stored() == []
    take(sheet(tmp_path / "q.csv", row | {"labelled_at": f"{early}-05:00"}))
    assert len(stored()) == 1

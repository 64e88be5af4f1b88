import json

import pandas as pd
import pyarrow.parquet as pq
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EARLIEST, MAX_CLOCK_SKEW, MAX_IDENTIFIER
from ticket_sentiment.files import sha256_tree
from ticket_sentiment.tickets import prepare, validate, validate_feedback
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_SCHEMA,
    FEEDBACK_TABLE,
    read_feedback,
    read_table,
    read_tickets,
    write_month,
    write_tickets,
)
from ticket_sentiment.tickets.validate_feedback import check_feedback


def labels(month: str, rows: int = 6) -> pd.DataFrame:
    """A sound month of labels for the tickets of the month before it in `conftest`."""
    at = pd.Timestamp(f"{month}-03", tz="UTC") + pd.to_timedelta(range(rows), unit="h")
    frame = pd.DataFrame(
        {
            "ticket_id": [f"2026-01-{index}" for index in range(rows)],
            "label": "neutral",
            "at": at,
            "received_at": at + pd.Timedelta(seconds=1),
            "source": "agent",
            "event_id": [f"{month}-{index}" for index in range(rows)],
            "served_arm": "champion",
            "served_digest": "a" * 64,
            "served_label": "positive",
        }
    )
    frame.loc[0, ["served_arm", "served_digest", "served_label"]] = None
    times = dict.fromkeys(("at", "received_at"), "datetime64[us, UTC]")
    return frame[FEEDBACK_SCHEMA.names].astype(times)


@pytest.fixture
def folder(tickets_folder):
    """Two sound months of labels beside four of tickets; the working directory holds data/."""
    for month in ("2026-02", "2026-03"):
        write_month(FEEDBACK / f"{month}.parquet", labels(month), FEEDBACK_TABLE)
    return tickets_folder.parent / "feedback"


def change(month, **cells):
    """Row 3 of a month's file, other cells."""
    path = FEEDBACK / f"{month}.parquet"
    frame = read_table(path, FEEDBACK_TABLE).to_pandas()
    for column, value in cells.items():
        frame.loc[2, column] = value
    write_month(path, frame, FEEDBACK_TABLE)


def failures():
    return [check for check in check_feedback(FEEDBACK) if not check["success"]]


def test_limits_are_those_of_the_event_store():
    assert validate_feedback.CLOCK_SKEW == MAX_CLOCK_SKEW
    assert validate_feedback.MAX_IDENTIFIER == MAX_IDENTIFIER
    assert validate_feedback.EARLIEST.year == EARLIEST


def test_sound_labels_pass_and_so_do_none(folder, tmp_path):
    assert failures() == []
    assert len({check["month"] for check in check_feedback(FEEDBACK)}) == 2
    assert list(check_feedback(tmp_path / "nothing")) == []
    assert len(read_feedback(tmp_path / "nothing")) == 0


MONTH = "2026-03"
BROKEN = {
    "no ticket": ({"ticket_id": None}, "without ticket_id"),
    "no time": ({"at": pd.NaT}, "without at"),
    "an empty source": ({"source": ""}, "source is not of 1 to 200 characters"),
    "a long event": ({"event_id": "canary" * 40}, "event_id is not of 1 to 200"),
    "another label": ({"label": "canary"}, "label is none of negative, neutral, positive"),
    "another served label": ({"served_label": "canary"}, "served_label is none of"),
    "another arm": ({"served_arm": "canary"}, "served_arm is none of champion, challenger"),
    "no digest": ({"served_digest": "canary"}, "served_digest is not 64 hex digits"),
    "before computers": ({"at": pd.Timestamp("1970-01-01", tz="UTC")}, "before the year 2000"),
    "from the future": ({"at": pd.Timestamp("2026-03-09", tz="UTC")}, "given later than received"),
    "twice": ({"event_id": "2026-03-1", "ticket_id": "2026-01-1"}, "come twice"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_row_is_named_with_file_row_key_and_remedy(folder, name):
    cells, sentence = BROKEN[name]
    change(MONTH, **cells)
    found = failures()
    assert {check["month"] for check in found} == {MONTH}
    (check,) = [check for check in found if sentence in check["sentence"]]
    assert "data/feedback/2026-03.parquet row " in check["sentence"]
    assert "3" in check["sentence"].split(":")[0].split("row ")[1].split(", ")
    assert "collect --replace feedback/2026-03" in check["sentence"]
    assert "canary" not in json.dumps(found)


def test_a_label_in_the_file_of_another_month_is_refused(folder):
    for day, when in (("2026-02-28T23:59:59", "before"), ("2026-04-01T00:00:00", "after")):
        at = pd.Timestamp(day, tz="UTC")
        write_month(FEEDBACK / f"{MONTH}.parquet", labels(MONTH), FEEDBACK_TABLE)
        change(MONTH, at=at, received_at=at)
        (check,) = failures()
        assert f"received {when} the month of the file" in check["sentence"]


def test_an_event_in_two_months_is_refused_in_both(folder):
    change(MONTH, event_id="2026-02-2")
    assert {check["month"] for check in failures()} == {"2026-02", "2026-03"}


def test_a_damaged_file_is_named(folder):
    path = FEEDBACK / "2026-02.parquet"
    pq.write_table(pq.read_table(path).drop_columns(["source"]), path)
    (check,) = failures()
    assert "2026-02.parquet: column source is missing: restore it with" in check["sentence"]
    assert "data/feedback.dvc" in check["sentence"]


@pytest.fixture
def relaxed(params):
    limits = {"min_rows": 50, "min_language_share": 0.5, "max_duplicate_share": 0.1}
    return params.model_copy(update={"validate_": params.validate_.model_copy(update=limits)})


def test_the_stage_refuses_broken_labels_and_shows_them_on_the_page(folder, relaxed):
    change(MONTH, label="canary")
    with pytest.raises(TicketSentimentError, match=r"data/feedback 2026-03: .*row 3: 1 labels whose label"):
        validate.main(relaxed)
    result = json.loads(validate.RESULT.read_text())
    assert (result["success"], result["feedback_sha256"]) == (False, sha256_tree(folder))
    assert [failure["table"] for failure in result["failures"]] == ["feedback"]
    assert "2026-03.parquet row 3" in validate.PAGE.read_text()
    with pytest.raises(TicketSentimentError, match="did not pass validation"):
        prepare.main(relaxed)


def test_a_month_without_own_labels_is_judged_and_learnt_with_those_of_people(folder, relaxed):
    """What an export lacks its agents may say: the check of labels is about what is learnt from."""
    path = folder.parent / "tickets/2026-01.parquet"
    tickets = read_tickets(path)
    said = labels("2026-02", len(tickets))
    said["ticket_id"], said["label"] = tickets["ticket_id"], tickets["label"]
    write_month(FEEDBACK / "2026-02.parquet", said, FEEDBACK_TABLE)
    (FEEDBACK / "2026-03.parquet").unlink()
    write_tickets(path, tickets.assign(label=None, label_source=None))
    validate.main(relaxed)
    assert json.loads(validate.RESULT.read_text())["months"]["2026-01"]["labelled"] == len(tickets)
    prepare.main(relaxed)
    split = json.loads((prepare.PREPARED / "split.json").read_text())
    assert split["feedback"]["added"] == split["feedback"]["labels"] == len(tickets)
    train = read_tickets(prepare.PREPARED / "train.parquet")
    assert set(train["label_source"]) == {"agent", "human"}


def test_labels_that_changed_after_validation_are_refused(folder, relaxed):
    validate.main(relaxed)
    change(MONTH, label="positive")
    with pytest.raises(TicketSentimentError, match=r"about other data than data/feedback now holds"):
        prepare.main(relaxed)

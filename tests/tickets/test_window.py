"""What a retraining reads of years of months: those that it uses, and of older ones what it has room for."""

import json

import pandas as pd
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.tickets import prepare, validate
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_SCHEMA,
    FEEDBACK_TABLE,
    month_files,
    read_tickets,
    write_month,
    write_tickets,
)
from ticket_sentiment.tickets.window import window

YEARS = ("2025-09", "2025-10", "2025-11", "2025-12")  # before the four months of `tickets_folder`


@pytest.fixture
def years(tickets_folder, month):
    for name in YEARS:
        write_tickets(tickets_folder / f"{name}.parquet", month(name))
    return tickets_folder


@pytest.fixture
def narrow(params, limits):
    """Four months are used, and of the older ones 150 tickets wanted: two months."""
    relaxed = limits.model_copy(update={"min_language_share": 0.5, "max_duplicate_share": 0.1})
    rules = params.prepare.model_copy(update={"train_months": 2, "max_unlabelled": 150})
    return params.model_copy(update={"validate_": relaxed, "prepare": rules})


def _rules(params, **values):
    return params.prepare.model_copy(update={"train_months": 2, "max_unlabelled": 150} | values)


def test_months_are_used_or_read_for_their_words_or_not_read(years, params):
    files = month_files(years)
    used, newer = ("2026-01", "2026-02", "2026-03", "2026-04"), YEARS[2:]
    found = window(files, _rules(params))
    assert (found.used, found.older, found.unread) == (used, newer, YEARS[:2])
    assert found.read == (*newer, *used)
    assert window(files, _rules(params, max_unlabelled=0)).older == ()
    assert window(files, _rules(params, max_unlabelled=120)).older == YEARS[3:], "one month is enough"
    assert window(files, _rules(params, max_unlabelled=10_000)).unread == ()
    everything = window(files, _rules(params, train_months=0))
    assert (everything.used, everything.older, everything.unread) == ((*YEARS, *used), (), ())
    assert window(files, None).used == (*YEARS, *used)


def test_tickets_of_customers_who_are_kept_for_later_splits_fill_no_place(years, params):
    """`prepare` leaves them out, and would be left with few."""
    regular = [f"customer-{number}" for number in range(120)]
    for name in ("2025-11", "2025-12", "2026-04"):
        path = years / f"{name}.parquet"
        write_tickets(path, read_tickets(path).assign(customer_id=regular))
    assert window(month_files(years), _rules(params, customers="apart")).older == YEARS
    assert window(month_files(years), _rules(params, customers="shared")).older == YEARS[2:]
    assert len({*regular, *read_tickets(years / "2025-09.parquet")["customer_id"]}) > len(regular)


def test_labels_of_months_that_are_read_for_their_words_are_nothing_to_stop_at(years, narrow):
    path = years / "2025-12.parquet"
    sound = read_tickets(path)
    texts = ["one and the same"] * 10 + list(sound["text"][10:])
    write_tickets(path, sound.assign(text=texts, label=["angry", "negative"] * 60))
    validate.main(narrow)


def test_a_damaged_file_counts_no_tickets_so_that_validate_names_it(years, params, narrow):
    (years / "2025-12.parquet").write_bytes(b"PAR1 no more")
    assert window(month_files(years), _rules(params)).older == YEARS[1:]
    with pytest.raises(TicketSentimentError, match=r"2025-12.parquet is not a whole Parquet file"):
        validate.main(narrow)


def test_nothing_is_asked_of_months_that_nothing_is_learnt_of(years, narrow):
    for name, passes in (("2025-12", False), ("2025-09", True)):
        path = years / f"{name}.parquet"
        sound = read_tickets(path)
        write_tickets(path, sound.assign(channel=None))
        if passes:
            validate.main(narrow)
        else:
            with pytest.raises(TicketSentimentError, match="2025-12: 120 rows have no channel"):
                validate.main(narrow)
        write_tickets(path, sound)
    result = json.loads(validate.RESULT.read_text())
    assert result["unread"] == ["2025-09", "2025-10"] and min(result["months"]) == "2025-11"
    page = " ".join(validate.PAGE.read_text().split())
    assert "Nothing is learnt of the 2 months up to 2025-10" in page


def test_labels_are_asked_only_of_months_whose_labels_are_learnt(years, narrow):
    bare = {path: read_tickets(path).assign(label=None, label_source=None) for path in years.glob("2025-1*")}
    for path, table in bare.items():
        write_tickets(path, table)
    validate.main(narrow)
    months = json.loads(validate.RESULT.read_text())["months"]
    assert months["2025-12"]["signal"] is None and months["2026-01"]["signal"] > 0.8
    rows = validate.PAGE.read_text().split("<h2>Every expectation</h2>")[1].split("<tr>")
    signal = next(row for row in rows if "not_be_null</code> <code>signal" in row)
    assert signal.count("<td></td>") == 2, "of the two months read for their words"
    oldest = read_tickets(years / "2026-01.parquet")
    few = oldest["label"].where(oldest.index < 29)
    write_tickets(years / "2026-01.parquet", oldest.assign(label=few))
    with pytest.raises(TicketSentimentError, match=r"2026-01: .* need 30 tickets with text and label"):
        validate.main(narrow)


def test_labels_of_older_months_have_no_say_in_those_that_are_used(years, narrow):
    for path in years.glob("2025-1*"):
        write_tickets(path, read_tickets(path).assign(label="negative"))
    validate.main(narrow)


def test_an_old_month_that_is_served_as_the_newest_is_found_however_old(years, narrow):
    again = read_tickets(years / "2025-09.parquet")
    newest = years / "2026-04.parquet"
    honest = read_tickets(newest)
    write_tickets(newest, honest.assign(text=again["text"], label=again["label"]))
    with pytest.raises(TicketSentimentError, match=r"2026-04: 100\.0% of the texts were in an earlier month"):
        validate.main(narrow)
    ids = pd.concat([again["ticket_id"].head(3), honest["ticket_id"].iloc[3:]], ignore_index=True)
    write_tickets(newest, honest.assign(ticket_id=ids))
    with pytest.raises(TicketSentimentError, match=r"2026-04: 3 ticket ids are in another month too"):
        validate.main(narrow)


def test_a_damaged_month_that_is_not_read_is_named_all_the_same(years, narrow):
    (years / "2025-09.parquet").write_bytes(b"PAR1 no more")
    with pytest.raises(TicketSentimentError, match=r"2025-09.parquet is not a whole Parquet file"):
        validate.main(narrow)


def test_what_is_prepared_is_that_of_the_months_that_are_read(years, narrow, monkeypatch):
    def labels(*ids):
        rows = [{"ticket_id": id_, "label": "negative", "source": "agent", "event_id": id_} for id_ in ids]
        when = pd.Timestamp("2026-05-01", tz="UTC")
        blank = dict.fromkeys(("served_arm", "served_digest", "served_label"))
        return pd.DataFrame([{**row, "at": when, "received_at": when, **blank} for row in rows])

    old, new = (read_tickets(years / f"{name}.parquet")["ticket_id"][0] for name in ("2025-09", "2026-02"))
    write_month(
        FEEDBACK / "2026-05.parquet", labels(old, new, "nobody's")[FEEDBACK_SCHEMA.names], FEEDBACK_TABLE
    )
    validate.main(narrow)
    for name in YEARS[:2]:  # prepare takes no text of them
        monkeypatch.setattr(prepare, "require_validated", lambda *_: None)
        path = years / f"{name}.parquet"
        write_tickets(path, read_tickets(path).assign(text="of no use"))
    prepare.main(narrow)
    split = json.loads((prepare.PREPARED / "split.json").read_text())
    assert (split["feedback"]["labels"], split["feedback"]["orphans"]) == (2, 1), (
        "the old one's is nobody's orphan"
    )
    words = read_tickets(prepare.PREPARED / "unlabelled.parquet")
    assert len(words) == 150 and words["created_at"].min().strftime("%Y-%m") == "2025-11"

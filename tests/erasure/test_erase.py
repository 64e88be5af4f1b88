"""Customers who are erased: nothing of theirs is left, nothing of others is gone, wherever it was killed."""

import shutil
import sqlite3

import pandas as pd
import pytest

from tests.erasure.conftest import ANNA, BERT, SAID, VARIABLE
from tests.events.events import state
from ticket_sentiment.cli import main
from ticket_sentiment.erasure import command, events, tables
from ticket_sentiment.erasure.note import Note
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.events import database
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.files import exclusive, sha256_tree
from ticket_sentiment.hotfix.intake import keep
from ticket_sentiment.rollout.assignment import unit
from ticket_sentiment.tickets import months
from ticket_sentiment.tickets.corrections import COLUMNS
from ticket_sentiment.tickets.drop import drop_months
from ticket_sentiment.tickets.erased import erasures
from ticket_sentiment.tickets.months import note
from ticket_sentiment.tickets.privacy import pseudonym
from ticket_sentiment.tickets.schema import (
    FEEDBACK,
    FEEDBACK_TABLE,
    TICKET_TABLE,
    TICKETS,
    read_feedback,
    read_months,
    read_tickets,
    write_tickets,
)
from ticket_sentiment.tickets.versions import MonthVersions

ANNAS = {f"A-{number}" for number in (1, 2, 3, 7, 8, 9)}  # of the collected tickets
SQLITE = pytest.mark.parametrize("url", ["sqlite"], indirect=True)  # what does not depend on the database


def held(desk, rows):
    """What is stored of whom: of each table the ids by which a row is somebody's."""
    keys = {"predictions": "ticket_id", "feedback": "ticket_id", "exposures": "unit", "failures": "unit"}
    found = {
        name: {row[key] for row in rows(desk.url, f"SELECT {key} FROM {name}")} for name, key in keys.items()
    }
    found["tickets"] = set(read_months(desk.root / TICKETS)["ticket_id"])
    found["labels"] = set(read_feedback(desk.root / FEEDBACK)["ticket_id"])
    found["corrections"] = {path.name for path in (desk.root / "data/hotfix").glob("*")}
    found["hotfixes"] = {path.name for path in (desk.root / "var/hotfix").glob("*")}
    found["pointers"] = {path.name: path.read_text() for path in (desk.root / "data").glob("*.dvc")}.items()
    return found


def test_nothing_of_a_customer_is_left_and_all_of_the_others(desk, rows):
    before = held(desk, rows)
    desk.without_anna_in_the_source()
    erased = desk.erase(ANNA)
    after = held(desk, rows)
    assert before["tickets"] - after["tickets"] == ANNAS
    assert before["labels"] - after["labels"] == {"A-1", "A-live"}
    assert after["predictions"] == {"B-2", "N-1"}
    assert after["feedback"] == {"B-1", "N-1"}
    others = {pseudonym(unit(BERT, None)), pseudonym(unit(None, "N-1"))}
    assert after["exposures"] == after["failures"] == others
    assert len(before["corrections"]) == 4 and len(after["corrections"]) == 2
    assert after["hotfixes"] == set()
    assert erased.counts[0] == (
        "data/tickets: 3 of 3 in 2025-12, 1 of 120 in 2026-01, 1 of 120 in 2026-02, 1 of 120 in 2026-03"
    )
    assert not (desk.root / "data/tickets/2025-12.parquet").exists()
    assert erased.counts[3] == "event database: 2 answers, 2 labels, 1 exposure, 2 failures"
    assert desk.collect() == ()  # what is stored is what the source holds


@SQLITE
def test_every_connection_to_sqlite_overwrites_what_it_deletes(desk):
    for engine in (desk.store._durable, desk.store._background):
        with engine.connect() as connection:
            assert connection.exec_driver_sql("PRAGMA secure_delete").scalar() == 1


@SQLITE
def test_of_an_sqlite_file_not_a_byte_is_left(desk, rows):
    desk.without_anna_in_the_source()
    file = desk.url.removeprefix("sqlite:///")
    assert b"Tiddles" in everything(file)
    desk.erase(ANNA, tickets=("N-1",))
    assert b"Tiddles" not in everything(file)


def everything(file):
    return b"".join(open(path, "rb").read() for path in (file, f"{file}-wal"))


def test_a_ticket_without_a_customer_goes_by_its_id(desk, rows):
    desk.without_anna_in_the_source()
    desk.erase(tickets=("N-1",))
    after = held(desk, rows)
    assert "N-1" not in after["predictions"] | after["feedback"]
    assert pseudonym(unit(None, "N-1")) not in after["exposures"] | after["failures"]
    assert after["tickets"] >= ANNAS


@SQLITE
def test_the_versioned_state_is_without_them(desk, dvc):
    desk.without_anna_in_the_source()
    desk.erase(ANNA)
    digest = sha256_tree(desk.root / TICKETS)
    for path in (desk.root / TICKETS).glob("*"):
        path.unlink()
    dvc(desk.root, "checkout", "--force", "data/tickets.dvc")
    assert sha256_tree(desk.root / TICKETS) == digest
    assert_gone(desk)


def assert_gone(desk):
    whose = set(read_months(desk.root / TICKETS)["customer_id"])
    assert pseudonym(ANNA) not in whose
    assert pseudonym(BERT) in whose


@SQLITE
def test_corrections_that_are_not_on_disk_are_looked_through_too(desk, rows):
    desk.without_anna_in_the_source()
    for path in (desk.root / "data/hotfix").glob("*.parquet"):
        path.unlink()
    desk.erase(ANNA)
    assert len(held(desk, rows)["corrections"]) == 2


@SQLITE
def test_corrections_with_any_text_of_theirs_go(desk, rows):
    """Also of an answer without a ticket's id, and of an earlier one under an id that others had later."""
    desk.answer(None, ANNA, "Words without an id.")
    desk.answer("S-1", ANNA, "Words of Anna.")
    desk.answer("S-1", BERT, "Words of Bert.")
    for text in ("Words without an id.", "Words of Anna.", "Words of Bert."):
        keep(pd.DataFrame([(None, text, "negative")], columns=list(COLUMNS)), desk.root)
    desk.without_anna_in_the_source()
    before = len(held(desk, rows)["corrections"])
    desk.erase(ANNA)
    assert before - len(held(desk, rows)["corrections"]) == 2 * 3  # the two, and that of every desk


@SQLITE
def test_corrections_that_are_nowhere_erase_nothing(desk, rows):
    desk.without_anna_in_the_source()
    for path in (desk.root / "data/hotfix").glob("*.parquet"):
        path.unlink()
    shutil.rmtree(desk.root / ".dvc/cache")
    before = held(desk, rows)
    with pytest.raises(
        TicketSentimentError, match=r"is neither in DVC's cache .* `dvc pull .*\.parquet\.dvc`"
    ):
        desk.erase(ANNA)
    assert held(desk, rows) == before


@SQLITE
def test_as_long_as_the_source_holds_them_nothing_is_erased(desk, rows):
    before = held(desk, rows)
    with pytest.raises(
        TicketSentimentError,
        match=r"exports/2025-12.csv row 2: the source still holds 6 tickets .*: take them out there",
    ):
        desk.erase(ANNA)
    assert held(desk, rows) == before


@SQLITE
def test_a_source_that_cannot_be_read_is_said(desk, capsys):
    for path in (desk.root / "exports").glob("*.csv"):
        path.unlink()
    desk.erase(ANNA)
    assert capsys.readouterr().out.startswith("the source was not looked through (")
    assert_gone(desk)


@SQLITE
def test_a_source_that_is_away_erases_nothing(desk, rows, monkeypatch):
    def away(*_):
        raise Unavailable("the source is away")

    monkeypatch.setattr(command, "read_raw", away)
    before = held(desk, rows)
    with pytest.raises(Unavailable, match="the source is away"):
        desk.erase(ANNA)
    assert held(desk, rows) == before


def test_while_a_rollout_is_on_nothing_is_erased(desk, rows):
    desk.without_anna_in_the_source()
    desk.store.set_rollout_state(state(1, 0.05), expected_epoch=0)
    before = held(desk, rows)
    with pytest.raises(TicketSentimentError, match=r"a rollout is on, .* `ticket-sentiment rollback`"):
        desk.erase(ANNA)
    assert held(desk, rows) == before


@SQLITE
def test_a_rollout_that_begins_meanwhile_keeps_its_events_until_it_is_over(desk, rows, monkeypatch):
    desk.without_anna_in_the_source()
    take_out = tables.take_out

    def begins(*arguments):
        take_out(*arguments)
        if desk.store.rollout_state() is None:
            desk.store.set_rollout_state(state(1, 0.05), expected_epoch=0)

    before = held(desk, rows)
    with monkeypatch.context() as patch, pytest.raises(TicketSentimentError, match="a rollout is on"):
        patch.setattr(tables, "take_out", begins)
        desk.erase(ANNA)
    for name in ("predictions", "feedback", "exposures", "failures"):
        assert held(desk, rows)[name] == before[name]
    assert desk.collect() == ()  # the tables are done
    with pytest.raises(TicketSentimentError, match="a rollout is on"):
        desk.erase()
    desk.store.set_rollout_state(state(2, None), expected_epoch=1)
    desk.erase()
    assert_nothing_is_left(desk, rows)


STEPS = [
    (tables, "remove_copies", 1),
    (tables, "take_out", 1),
    (months, "_publish", 1),
    (months, "_publish", 2),
    (MonthVersions, "add", 1),
    (MonthVersions, "add", 2),
    (tables, "drop_months", 1),
    (tables, "take_out", 2),
    (Note, "tables_done", 1),
    (events, "_delete", 1),
    (events, "_delete", 4),
    (Note, "end", 1),
]


@SQLITE
@pytest.mark.parametrize(("module", "name", "call"), STEPS, ids=[f"{name}-{call}" for _, name, call in STEPS])
def test_killed_after_any_step_it_is_finished_by_a_run_for_nobody(
    desk, rows, monkeypatch, module, name, call
):
    """And nothing is collected before; the months that were open then are open at the end, and no others."""
    desk.without_anna_in_the_source()
    note(desk.root / TICKET_TABLE.open_note, {"2026-03"})
    step, calls = getattr(module, name), iter(range(1, 100))

    def killed(*arguments, **options):
        done = step(*arguments, **options)
        if next(calls) == call:
            raise KeyboardInterrupt
        return done

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(module, name, killed)
        desk.erase(ANNA)
    if (desk.root / "var/erasing.json").exists():
        with pytest.raises(TicketSentimentError, match="an erasure is under way or was killed"):
            desk.collect()
    if name != "end":
        assert desk.erase().found
    assert marks(desk)
    assert not list((desk.root / "var").glob("erasing*"))
    assert_nothing_is_left(desk, rows)
    assert (desk.root / TICKET_TABLE.open_note).read_text() == "2026-03\n"
    assert not (desk.root / FEEDBACK_TABLE.open_note).exists()


def marks(desk):
    return erasures((desk.root / TICKET_TABLE.pointer).read_text())


def assert_nothing_is_left(desk, rows):
    found = held(desk, rows)
    everybody = set().union(*(found[name] for name in ("predictions", "feedback", "tickets", "labels")))
    assert not (ANNAS | {"A-live"}) & everybody
    assert {"B-1", "B-2", "N-1"} <= everybody
    assert not {pseudonym(unit(ANNA, None))} & (found["exposures"] | found["failures"])
    assert len(found["corrections"]) == 2 and not found["hotfixes"]
    assert_versioned(desk)


def assert_versioned(desk):
    """What DVC brings back is what lies there."""
    for kind in (TICKET_TABLE, FEEDBACK_TABLE):
        assert not any(MonthVersions(desk.root, kind).restore_missing().values())


@SQLITE
def test_a_month_that_is_not_as_versioned_is_refused_before_anything_goes(desk, rows):
    desk.without_anna_in_the_source()
    path = desk.root / "data/tickets/2026-02.parquet"
    write_tickets(path, read_tickets(path).iloc[1:])
    before = held(desk, rows)
    with pytest.raises(TicketSentimentError, match=r"is not what data/tickets\.dvc has versioned"):
        desk.erase(ANNA)
    assert held(desk, rows) == before


@SQLITE
def test_an_erasure_is_named_where_the_tickets_are_versioned_and_stays_there(desk):
    """So that a hotfix knows a champion from before it; who was erased is not said."""
    desk.without_anna_in_the_source()
    assert marks(desk) == set()
    desk.erase(ANNA)
    one = marks(desk)
    assert len(one) == 1 and pseudonym(ANNA) not in (desk.root / TICKET_TABLE.pointer).read_text()
    versions = MonthVersions(desk.root, TICKET_TABLE)
    drop_months(versions, ["2026-01"])
    desk.collect()
    assert len(list((desk.root / TICKETS).glob("*.parquet"))) == 3 and marks(desk) == one
    assert not desk.erase(ANNA).found
    assert marks(desk) == one, "what erases nothing keeps no hotfix waiting"
    assert_versioned(desk)


@SQLITE
def test_what_is_left_of_a_month_is_masked_by_todays_rules(desk):
    desk.without_anna_in_the_source()
    path = desk.root / "data/tickets/2026-02.parquet"
    rows = read_tickets(path)
    rows.loc[rows["ticket_id"] == "B-2", "text"] = "Write to jane@x.io"  # by a release that masked less
    rows.loc[rows["ticket_id"] == "A-2", "text"] = "Write to anna@x.io"
    write_tickets(path, rows)
    MonthVersions(desk.root, TICKET_TABLE).add()
    desk.erase(ANNA)
    left = read_tickets(path).set_index("ticket_id")["text"]
    assert left["B-2"] == "Write to [EMAIL]"
    assert_versioned(desk)


@SQLITE
def test_months_that_were_never_versioned_are_erased_too(desk):
    desk.without_anna_in_the_source()
    (desk.root / "data/tickets.dvc").unlink()
    desk.erase(ANNA)
    assert_gone(desk)


def test_what_another_customer_wrote_under_the_same_id_stays_and_is_said(desk, rows):
    desk.answer("A-1", BERT, "Another desk counts from 1, too.")
    desk.answer("B-3", ANNA, SAID)  # B-3 is Bert's among the collected tickets
    desk.without_anna_in_the_source()
    erased = desk.erase(ANNA)
    assert rows(desk.url, "SELECT text FROM predictions WHERE ticket_id = 'A-1'") != []
    assert rows(desk.url, "SELECT text FROM predictions WHERE ticket_id = 'B-3'") == []
    assert "B-3" in held(desk, rows)["tickets"]
    assert erased.remarks[-1].startswith(
        "2 rows of other customers have the id of a ticket of theirs, and stay"
    )
    assert "--ticket" in erased.remarks[-1]


@SQLITE
def test_a_ticket_that_is_named_goes_whoever_wrote_it(desk, rows):
    desk.answer("A-1", BERT, "Another desk counts from 1, too.")
    desk.without_anna_in_the_source()
    desk.erase(ANNA, tickets=(" A-1 ",))
    assert "A-1" not in held(desk, rows)["predictions"]


@SQLITE
def test_a_log_that_is_being_read_is_said(desk, monkeypatch):
    desk.without_anna_in_the_source()
    monkeypatch.setattr(database, "WAIT_S", 0.2)
    reader = sqlite3.connect(desk.url.removeprefix("sqlite:///"))
    reader.execute("BEGIN")
    reader.execute("SELECT count(*) FROM predictions").fetchall()
    assert desk.erase(ANNA).remarks[-1].startswith("the database's log is being read")
    reader.close()
    assert desk.erase(ANNA).remarks == ()


@SQLITE
def test_a_database_that_is_away_erases_nothing(desk, rows):
    desk.without_anna_in_the_source()
    before = held(desk, rows)
    with pytest.raises(EventStoreUnavailable, match="does not answer"):
        away = "postgresql+psycopg://u:p@127.0.0.1:9/none"
        command.erase(desk.params, [ANNA], (), desk.root, {VARIABLE: away})
    assert held(desk, rows) == before


@SQLITE
def test_that_there_is_no_event_database_has_to_be_said(desk, rows, tmp_path):
    elsewhere = desk.params.events.model_copy(update={"url": f"sqlite:///{tmp_path}/none.db"})
    params = desk.params.model_copy(update={"events": elsewhere})
    desk.without_anna_in_the_source()
    before = held(desk, rows)
    with pytest.raises(TicketSentimentError, match=rf"{VARIABLE}; where there is none, say --without-events"):
        command.erase(params, [ANNA], (), desk.root, {})
    assert held(desk, rows) == before
    erased = command.erase(params, [ANNA], (), desk.root, {}, without_events=True)
    assert erased.counts[-1] == "event database: there is none"
    assert_gone(desk)


@SQLITE
def test_beside_a_retraining_nothing_is_erased(desk):
    with (
        exclusive(desk.root / "var/retrain.lock", "another"),
        pytest.raises(TicketSentimentError, match="wait"),
    ):
        desk.erase(ANNA)


@SQLITE
def test_the_command_says_what_it_did_and_what_is_left_to_people(desk, monkeypatch, capsys):
    desk.without_anna_in_the_source()
    monkeypatch.setattr("ticket_sentiment.params.load_params", lambda: desk.params)
    monkeypatch.setenv(VARIABLE, desk.url)
    assert main(["erase", "--customer", ANNA]) == 0
    said = capsys.readouterr().out
    assert "erased from\n  data/tickets: 3 of 3 in 2025-12" in said
    assert "left to you (docs/security.md, Erasing a customer)\n" in said
    assert "dvc gc --workspace --cloud" in said
    assert ANNA not in said
    assert main(["erase", "--customer", ANNA]) == 0
    assert capsys.readouterr().out.startswith(
        "nothing of theirs was found; customers are known by pseudonyms"
    )


@SQLITE
def test_somebody_has_to_be_named(desk, monkeypatch, capsys):
    monkeypatch.setattr("ticket_sentiment.params.load_params", lambda: desk.params)
    for arguments in ([], ["--customer", " "], ["--ticket", ""]):
        assert main(["erase", *arguments]) == 2
        assert "name whom or what to erase" in capsys.readouterr().err
    assert main(["erase", "--customer", "None"]) == 2
    assert "--customer 'None' is a word for no customer" in capsys.readouterr().err


@SQLITE
def test_blanks_around_an_id_are_those_that_the_service_was_sent(desk, rows):
    desk.answer("A-5", f" {ANNA}", SAID)
    desk.without_anna_in_the_source()
    desk.erase(f" {ANNA}")
    after = held(desk, rows)
    assert not {"A-1", "A-2", "A-5", "A-live"} & (after["predictions"] | after["tickets"])

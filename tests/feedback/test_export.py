import logging
import sqlite3
from datetime import UTC, datetime, timedelta

import pandas as pd
import pytest
import sqlalchemy as sa

from tests.events.events import DIGEST, OTHER, prediction
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events import schema
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback
from ticket_sentiment.feedback.export import export_feedback, main, replacements
from ticket_sentiment.tickets.schema import FEEDBACK, FEEDBACK_TABLE, read_feedback, read_table
from ticket_sentiment.tickets.validate_feedback import check_feedback

START = datetime(2026, 3, 31, 23, tzinfo=UTC)
NOW = datetime(2026, 5, 15, tzinfo=UTC)
VARIABLE = "TICKET_SENTIMENT_EVENTS_URL"


@pytest.fixture
def given(url, open_store):
    """`given("T-1", "negative", START, ...)`: a label, received when it was given unless said otherwise."""
    store = open_store(url)
    engine = sa.create_engine(url)

    def run(ticket, label, at, event="1", source="agent", received=None):
        store.feedback(Feedback(at, ticket, source, event, label))
        same = (schema.feedback.c.ticket_id == ticket, schema.feedback.c.event_id == event)
        with engine.begin() as connection:  # the store takes the present time
            statement = schema.feedback.update().where(*same, schema.feedback.c.source == source)
            connection.execute(statement.values(received_at=received or at))

    run.store = store
    yield run
    engine.dispose()


@pytest.fixture
def export(url, repository, params):
    def run(setting="optional", now=NOW, environ=None, **options):
        tickets = params.tickets.model_copy(update={"feedback": setting})
        chosen = params.model_copy(update={"tickets": tickets})
        environ = {VARIABLE: url} if environ is None else environ
        return export_feedback(chosen, root=repository, now=now, environ=environ, **options)

    return run


def pointer(repository):
    return (repository / "data/feedback.dvc").read_text()


def test_months_that_are_over_are_written_by_the_time_of_receipt_and_versioned(given, export, repository):
    given("T-1", "negative", START)
    given("T-2", "positive", START, received=START + timedelta(hours=2))  # given in March, received in April
    given("T-3", "neutral", datetime(2026, 5, 2, tzinfo=UTC))
    result = export()
    assert (result.written, result.unchanged) == (("2026-03", "2026-04"), ())
    assert (result.labels, result.later, result.note) == (2, 1, None)
    (march,) = read_table(repository / FEEDBACK / "2026-03.parquet", FEEDBACK_TABLE).to_pylist()
    assert march == {
        "ticket_id": "T-1", "label": "negative", "at": START, "received_at": START, "source": "agent",
        "event_id": "1", "served_arm": None, "served_digest": None, "served_label": None,
    }  # fmt: skip
    (april,) = read_table(repository / FEEDBACK / "2026-04.parquet", FEEDBACK_TABLE).to_pylist()
    assert (april["ticket_id"], april["at"]) == ("T-2", START)
    assert "nfiles: 2" in pointer(repository)
    assert all(check["success"] for check in check_feedback(repository / FEEDBACK))


def test_what_answered_last_before_the_label_stands_beside_it(given, export, repository):
    """The last one seen: not a shadow's answer, not one after the label, not another ticket's."""
    hour = timedelta(hours=1)
    served = prediction()._replace(shadow=False, arm="champion", bundle_digest=DIGEST)
    for event in (
        served._replace(at=START - 3 * hour, label="neutral"),
        served._replace(at=START - hour, label="positive", arm="challenger", bundle_digest=OTHER),
        served._replace(at=START - hour / 2, label="negative", shadow=True),
        served._replace(at=START + hour / 4, label="neutral"),
        served._replace(at=START - hour / 4, label="neutral", ticket_id="T-9"),
    ):
        given.store.predicted(event)
    assert given.store.flush(10)
    given("T-1", "negative", START)
    given("T-2", "negative", START)
    export()
    rows = {row.ticket_id: row for row in read_feedback(repository / FEEDBACK).itertuples()}
    assert (rows["T-1"].served_label, rows["T-1"].served_arm) == ("positive", "challenger")
    assert rows["T-1"].served_digest == OTHER
    assert pd.isna(rows["T-2"].served_label)


def test_a_second_run_changes_nothing_and_a_new_month_is_added(given, export, repository):
    given("T-1", "negative", START)
    export()
    before = (repository / FEEDBACK / "2026-03.parquet").stat().st_mtime_ns
    result = export()
    assert (result.written, result.unchanged) == ((), ("2026-03",))
    given("T-2", "neutral", datetime(2026, 5, 2, tzinfo=UTC))
    assert export(now=datetime(2026, 6, 2, tzinfo=UTC)).written == ("2026-05",)
    assert (repository / FEEDBACK / "2026-03.parquet").stat().st_mtime_ns == before


def test_a_month_is_over_an_hour_after_its_end(given, export):
    """Clocks differ and a commit may wait for a lock: a writer may still be on its way."""
    given("T-1", "negative", START)
    midnight = datetime(2026, 4, 1, tzinfo=UTC)
    result = export(now=midnight + timedelta(minutes=59))
    assert (result.written, result.later) == ((), 1)
    assert export(now=midnight + timedelta(minutes=60)).written == ("2026-03",)


def test_a_label_that_comes_into_a_versioned_month_is_refused_unless_replaced(given, export, repository):
    given("T-1", "negative", START)
    export()
    given("T-2", "negative", START, "2")
    before = pointer(repository)
    message = r"month 2026-03 \(1 of 1 labels differ\).*`ticket-sentiment collect --replace feedback/2026-03`"
    with pytest.raises(TicketSentimentError, match=message):
        export()
    assert pointer(repository) == before
    assert export(replace=("2026-03",)).written == ("2026-03",)
    assert len(read_feedback(repository / FEEDBACK)) == 2
    with pytest.raises(
        TicketSentimentError, match=r"--replace feedback/2025-07: .*no complete month 2025-07"
    ):
        export(replace=("2025-07",))


def test_what_the_database_forgets_stays_in_its_month(given, export, repository, url):
    """Old rows may be deleted from the database; what was learnt from is not rewritten for it."""
    given.store.predicted(prediction(at=START - timedelta(hours=1)))
    assert given.store.flush(10)
    given("T-1", "negative", START)
    given("T-2", "negative", START)
    export()
    engine = sa.create_engine(url)
    with engine.begin() as connection:
        connection.execute(schema.predictions.delete())
        connection.execute(schema.feedback.delete().where(schema.feedback.c.ticket_id == "T-2"))
    assert export().unchanged == ("2026-03",)
    rows = read_feedback(repository / FEEDBACK).set_index("ticket_id")
    assert rows.loc["T-1", "served_label"] == "positive" and "T-2" in rows.index
    with engine.begin() as connection:
        connection.execute(schema.feedback.delete())
    engine.dispose()
    assert export().labels == 0
    assert len(read_feedback(repository / FEEDBACK)) == 2


def test_a_month_changed_by_hand_is_refused(given, export, repository):
    given("T-1", "negative", START)
    export()
    path = repository / FEEDBACK / "2026-03.parquet"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(TicketSentimentError, match=r"is not what data/feedback\.dvc has versioned"):
        export()
    assert export(replace=("2026-03",)).written == ("2026-03",)


def test_months_come_back_from_the_cache(given, export, repository):
    given("T-1", "negative", START)
    export()
    (repository / FEEDBACK / "2026-03.parquet").unlink()
    assert export().unchanged == ("2026-03",)


# Without a database: the fixture `url` is not used.


@pytest.fixture
def alone(repository, params):
    def run(setting, environ=None):
        tickets = params.tickets.model_copy(update={"feedback": setting})
        chosen = params.model_copy(update={"tickets": tickets})
        return export_feedback(chosen, root=repository, environ=environ or {})

    return run


@pytest.mark.parametrize(("setting", "note"), [("optional", "no event database yet"), ("off", "is off")])
def test_a_fresh_clone_says_that_there_is_none_and_has_an_empty_versioned_folder(
    alone, repository, setting, note
):
    result = alone(setting)
    assert note in result.note and note in result.line()
    assert (result.written, result.labels) == ((), 0)
    assert list((repository / FEEDBACK).iterdir()) == []
    assert "nfiles: 0" in pointer(repository)
    assert not (repository / "var").exists(), "looking for a database must not make one"
    alone(setting)


def test_a_database_that_must_be_there_is_an_error(alone, repository):
    with pytest.raises(TicketSentimentError, match=r"tickets\.feedback is required, but there is no event"):
        alone("required")
    with pytest.raises(TicketSentimentError, match=rf"{VARIABLE} names an SQLite file that is not there"):
        alone("optional", {VARIABLE: f"sqlite:///{repository}/elsewhere.db"})
    assert not (repository / FEEDBACK).exists()


@pytest.mark.parametrize("setting", ["optional", "required"])
def test_a_database_that_is_away_is_never_no_feedback(alone, repository, setting):
    away = "postgresql+psycopg://person:s3cr3t-canary@127.0.0.1:1/events"
    with pytest.raises(EventStoreUnavailable, match="does not answer") as caught:
        alone(setting, {VARIABLE: away})
    assert "canary" not in str(caught.value)
    assert not (repository / FEEDBACK).exists()


def test_a_locked_database_is_an_error_too(alone, repository, monkeypatch):
    monkeypatch.setattr("ticket_sentiment.events.database.WAIT_S", 0.2)
    (repository / "var").mkdir()
    other = sqlite3.connect(repository / "var/events.db", isolation_level=None)
    other.execute("PRAGMA journal_mode=WAL")
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(EventStoreUnavailable, match="does not answer"):
        alone("optional")
    other.close()


def test_the_command_prints_one_line_and_logs_nothing_of_the_labels(
    params, repository, open_store, capsys, caplog
):
    caplog.set_level(logging.DEBUG)
    store = open_store("sqlite:///var/events.db")
    store.feedback(Feedback(START, "canary-ticket", "agent", "canary-event", "negative"))
    main(params)
    printed = capsys.readouterr().out
    assert printed.startswith("feedback: 0 labels in 0 months (0 written, 0 unchanged; 1 of a month not")
    assert printed.count("\n") == 1
    assert "canary" not in printed + caplog.text


def test_months_of_tickets_and_of_labels_are_told_apart():
    assert replacements(["2026-03", "feedback/2026-04"]) == (("2026-03",), ("2026-04",))
    assert replacements([]) == ((), ())

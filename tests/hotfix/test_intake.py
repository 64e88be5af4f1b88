from datetime import UTC, datetime, timedelta
from pathlib import Path

import pandas as pd
import pytest

from tests.events.events import NOON, prediction
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.feedback.database import NoEventDatabase
from ticket_sentiment.hotfix.intake import gather_feedback, keep, remember
from ticket_sentiment.tickets.corrections import COLUMNS, load_corrections
from ticket_sentiment.tickets.schema import TICKETS, write_tickets

VARIABLE = "TICKET_SENTIMENT_EVENTS_URL"
NOW = datetime(2026, 11, 3, 9, tzinfo=UTC)
QUERY = "SELECT ticket_id, source, label FROM feedback ORDER BY ticket_id, label"


def corrections(*rows: tuple[str | None, str, str]) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def says(store):
    def run(ticket, label, minutes=60, source="agent", event="1"):
        store.feedback(Feedback(NOON + timedelta(minutes=minutes), ticket, source, event, label))

    return run


@pytest.fixture
def gather(url, params, tmp_path):
    def run(since=NOON, **limits):
        chosen = params.model_copy(update={"hotfix": params.hotfix.model_copy(update=limits)})
        return gather_feedback(chosen, since, tmp_path, {VARIABLE: url})

    return run


def test_what_people_labelled_otherwise_than_it_was_answered_is_a_correction(answered, says, gather):
    for number in range(1, 5):
        answered(f"T-{number}")  # positive
    says("T-1", "negative")
    says("T-2", "positive")  # confirms
    says("T-3", "neutral", minutes=-5)  # before
    says("T-4", "negative")
    says("T-4", "neutral", minutes=90, source="audit")  # goes before the agent's
    found = gather()
    assert found.corrections.to_dict("records") == [
        {"ticket_id": "T-1", "text": "text of T-1", "label": "negative"},
        {"ticket_id": "T-4", "text": "text of T-4", "label": "neutral"},
    ]
    assert found.line() == "feedback: 2 corrected tickets; left out: 1 confirm the answer"


def test_a_label_from_before_takes_part_as_in_a_retraining(answered, says, gather, tmp_path):
    for number in range(1, 5):
        answered(f"T-{number}")  # positive
    says("T-1", "positive", minutes=60, source="audit")
    says("T-1", "negative", minutes=180)  # an agent's does not go before the audit's
    says("T-2", "negative", minutes=60)  # of a ticket of which nobody has spoken since
    says("T-3", "negative", minutes=180)
    collect(tmp_path, ("T-4", "text of T-4"), label="positive", label_source="import")
    says("T-4", "negative", minutes=180, source="csat")  # nor does this before the export's own
    found = gather(NOON + timedelta(minutes=120))
    assert found.corrections["ticket_id"].tolist() == ["T-3"]
    assert found.confirmed == 2


def test_only_confirming_labels_are_no_corrections(answered, says, gather):
    for number in range(1, 4):
        answered(f"T-{number}")
        says(f"T-{number}", "positive")
    with pytest.raises(TicketSentimentError, match=r"no ticket was corrected .* 3 confirm the answer"):
        gather()


def test_a_label_of_a_ticket_whose_answer_is_not_known_is_no_correction(answered, says, gather, tmp_path):
    collect(tmp_path, ("T-1", "It broke."), ("T-2", "It works."))
    answered("T-2")  # T-1 never, or its prediction was purged
    says("T-1", "negative")
    says("T-2", "negative")
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-2"]
    assert found.line() == "feedback: 1 corrected tickets; left out: 1 have no known answer"


def test_a_label_from_before_its_ticket_corrects_nothing(answered, says, gather, tmp_path):
    """Nobody's label counts then, and a ticket without one cannot be learnt."""
    collect(tmp_path, ("T-1", "It broke."), created_at=NOON)
    for ticket in ("T-1", "T-2"):
        answered(ticket, minutes=-120)
        says(ticket, "negative", minutes=-60)
    found = gather(NOON - timedelta(days=1))
    assert found.corrections["ticket_id"].tolist() == ["T-2"]
    assert found.line().endswith("left out: 1 were labelled before they were written")


def test_what_has_no_text_or_contradicts_is_left_out_and_counted(answered, says, gather):
    answered("T-1", text=None)
    answered("T-2", text="Thanks a lot!")
    answered("T-3", text="thanks a lot")
    answered("T-4")
    for ticket, label in (("T-1", "neutral"), ("T-2", "neutral"), ("T-3", "negative"), ("T-4", "neutral")):
        says(ticket, label)
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-4"]
    assert (found.without_text, found.contradicting) == (1, 2)


def test_one_who_contradicts_those_who_confirm_an_answer_corrects_nothing(answered, says, gather):
    for number in range(10):
        answered(f"T-{number}", text="Thanks, my parcel is here.")
        says(f"T-{number}", "negative" if number == 0 else "positive")
    answered("T-10")
    says("T-10", "neutral")
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-10"]
    assert (found.confirmed, found.contradicting) == (9, 1)


def test_a_label_of_an_answer_that_is_not_known_contradicts_too(answered, says, gather, tmp_path):
    """A retraining learns no text with two labels either."""
    collect(tmp_path, ("T-1", "Thanks a lot!"))  # its answer was purged
    says("T-1", "positive")
    for ticket, text in (("T-2", "thanks a lot"), ("T-3", "It broke.")):
        answered(ticket, text=text)
        says(ticket, "negative")
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-3"]
    assert (found.unanswered, found.contradicting) == (1, 1)


def test_texts_are_masked_by_todays_rules(answered, says, gather, tmp_path):
    collect(tmp_path, ("T-1", "Write to jane@x.io"))  # by a release that masked less
    answered("T-1", text=None)
    says("T-1", "negative")
    assert gather().corrections["text"].tolist() == ["Write to [EMAIL]"]


def test_a_text_that_is_kept_no_more_is_told_apart_from_a_later_one(answered, says, gather, url):
    """As after `events.keep_text_days`."""
    without = EventStore(url, queue=10, store_text=False)
    for ticket, text in (("T-1", "IT IS BROKEN"), ("T-2", "text of T-2")):
        without.predicted(prediction(at=NOON, ticket_id=ticket, request_id=f"first-{ticket}", text=text))
        answered(ticket, minutes=5)
        says(ticket, "negative")
    without.close(10)
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-2"] and found.rewritten == 1


def test_texts_that_are_not_kept_are_told_apart_by_what_is_recorded_of_them(says, gather, url, tmp_path):
    collect(tmp_path, ("T-1", "Thank you, it came early."), ("T-2", "It broke."))
    texts = {"T-1": ("Thank you, it came early.", "IT IS BROKEN"), "T-2": ("It broke.", "It broke.")}
    store = EventStore(url, queue=10, store_text=False)
    for ticket, several in texts.items():
        for number, text in enumerate(several):
            at, request = NOON + timedelta(minutes=number), f"{ticket}-{number}"
            store.predicted(prediction(at=at, ticket_id=ticket, request_id=request, text=text))
    store.close(10)
    for ticket in texts:
        says(ticket, "negative")
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-2"] and found.rewritten == 1


def test_a_ticket_that_was_answered_with_several_texts_is_left_out_and_counted(answered, says, gather):
    """Its label is of the first message, and the text that is kept last is the second's."""
    answered("T-1", text="It is broken again.")
    says("T-1", "negative")
    answered("T-1", minutes=90, text="Thanks, it works now.", request_id="again")
    answered("T-2")
    answered("T-2", minutes=90, text="Text of T-2!", request_id="again")
    says("T-2", "negative")
    found = gather()
    assert found.corrections["ticket_id"].tolist() == ["T-2"]
    assert found.line().endswith("left out: 1 were answered with several texts under one id")


def test_of_a_ticket_that_two_months_hold_the_later_one_counts(answered, says, gather, tmp_path):
    collect(tmp_path, ("T-1", "It broke."), label="negative", label_source="import")
    collect(tmp_path, ("T-1", "It broke twice."), created_at=datetime(2026, 10, 1, tzinfo=UTC))
    answered("T-1", text=None)
    says("T-1", "neutral", source="csat")  # goes before no label of an export
    assert gather().corrections.to_dict("records") == [
        {"ticket_id": "T-1", "text": "It broke twice.", "label": "neutral"}
    ]


def test_text_comes_from_the_collected_tickets_where_the_database_keeps_none(
    answered, says, gather, tmp_path
):
    collect(tmp_path, ("T-1", "It broke."))
    answered("T-1", text=None)
    says("T-1", "negative")
    assert gather().corrections["text"].tolist() == ["It broke."]


def test_nothing_and_too_much_are_refused(answered, says, gather, params, tmp_path):
    for number in range(1, 4):
        answered(f"T-{number}")
        says(f"T-{number}", "neutral")
    with pytest.raises(TicketSentimentError, match="no ticket was corrected since 2026-11-02"):
        gather(NOON + timedelta(days=1))
    with pytest.raises(TicketSentimentError, match=r"3 tickets were corrected .* hotfix.max_rows \(2\)"):
        gather(max_rows=2)
    events = params.events.model_copy(update={"url": f"sqlite:///{tmp_path}/none.db"})
    with pytest.raises(NoEventDatabase):
        gather_feedback(params.model_copy(update={"events": events}), NOON, tmp_path, {})


def collect(
    root: Path,
    *tickets: tuple[str, str],
    created_at: datetime = datetime(2026, 9, 1, tzinfo=UTC),
    label: str | None = None,
    label_source: str | None = None,
) -> None:
    made = pd.DataFrame(tickets, columns=["ticket_id", "text"]).assign(
        customer_id=None, created_at=pd.Timestamp(created_at), channel="email", label=label,
        label_source=label_source,
    )  # fmt: skip
    write_tickets(root / TICKETS / f"{created_at:%Y-%m}.parquet", made)


@pytest.fixture
def recall(url, params, tmp_path):
    def run(*given, environ=None):
        return remember(corrections(*given), params, tmp_path, NOW, environ or {VARIABLE: url})

    return run


def test_a_correction_that_was_taken_back_and_is_made_again_counts_again(
    answered, recall, url, params, tmp_path
):
    answered("T-1")
    for minutes, label in enumerate(("negative", "neutral", "negative", "negative")):
        now = NOW + timedelta(minutes=minutes)
        given = corrections(("T-1", "text of T-1", label))
        found = remember(given, params, tmp_path, now, {VARIABLE: url})
        assert found.new == (minutes < 3)
    store = EventStore(url, 1, False)
    last = Feedback(NOW - timedelta(days=1), "T-1", "agent", "1", "positive")
    assert store.feedback(last).label == "negative"
    store.close(1)


def test_corrections_reach_the_next_retraining_by_id_or_by_text(
    answered, recall, rows, url, tmp_path, params
):
    answered("T-1")
    collect(tmp_path, ("T-2", "Hello, it broke."), ("T-3", "IT BROKE"), ("T-4", "Another"))
    given = [
        ("T-1", "text of T-1", "negative"),
        (None, "It broke!", "neutral"),
        ("unknown", "Another", "positive"),
        ("unknown-2", "Nowhere", "positive"),
    ]
    found = recall(*given)
    assert (found.new, found.known, found.without_ticket) == (4, 0, 1)
    assert "1 have no known ticket" in found.line()
    assert "No ticket of that text has the ticket_id of 2 corrections: a spreadsheet" in found.line()
    assert "No ticket of" not in recall(*given[:2]).line()
    source = params.hotfix.source
    assert [tuple(row.values()) for row in rows(url, QUERY)] == [
        ("T-1", source, "negative"),
        ("T-2", source, "neutral"),
        ("T-3", source, "neutral"),
        ("T-4", source, "positive"),
    ]
    again = recall(*given)
    assert (again.new, again.known) == (0, 4)


def test_all_tickets_with_a_corrected_text_get_its_label(store, recall, rows, url, tmp_path):
    """With one label of the correction and another of the export nobody would learn the text."""
    collect(tmp_path, ("T-1", "Down again. Love it."), ("T-2", "down again, love it"), ("T-3", "Thanks"))
    assert recall(("T-1", "Down again. Love it.", "negative")).new == 2
    assert [(row["ticket_id"], row["label"]) for row in rows(url, QUERY)] == [
        ("T-1", "negative"),
        ("T-2", "negative"),
    ]


def test_an_id_of_a_ticket_with_another_text_is_not_believed(store, recall, rows, url, tmp_path):
    collect(tmp_path, ("7", "Where is my invoice?"), ("007", "It broke again after a week."))
    found = recall(("7", "It broke again after a week!", "negative"))
    assert (found.new, found.unknown_ids) == (1, 1)
    assert [row["ticket_id"] for row in rows(url, QUERY)] == ["007"]


def test_where_no_service_has_run_yet_the_event_database_is_made(params, tmp_path, rows):
    collect(tmp_path, ("T-1", "It broke."))
    url = f"sqlite:///{tmp_path}/var/events.db"
    chosen = params.model_copy(update={"events": params.events.model_copy(update={"url": url})})
    found = remember(corrections(("T-1", "It broke.", "negative")), chosen, tmp_path, NOW, {})
    assert (found.new, found.without_ticket) == (1, 0)
    assert [row["label"] for row in rows(url, QUERY)] == ["negative"]


def test_corrections_are_kept_under_dvc_named_by_what_they_say(champion):
    given = corrections(("T-1", "It broke.", "negative"))
    entry = keep(given, champion.root)
    (path,) = (champion.root / "data/hotfix").glob("*.parquet")
    assert load_corrections(path).equals(given)
    assert (champion.root / ".dvc/cache/files/md5" / entry["md5"][:2] / entry["md5"][2:]).is_file()
    assert keep(given, champion.root) == entry
    keep(given.assign(label="neutral"), champion.root)
    assert len(list((champion.root / "data/hotfix").glob("*.parquet.dvc"))) == 2

import random

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Prepare
from ticket_sentiment.tickets.relabel import Relabelled, relabel
from ticket_sentiment.tickets.schema import COLUMNS, FEEDBACK_SCHEMA

WRITTEN = pd.Timestamp("2026-03-10T12:00", tz="UTC")
SOURCES = ["audit", "agent", "import", "csat"]
RULES = Prepare(holdout_months=1, tune_months=1, train_months=0, max_unlabelled=0, label_sources=SOURCES)
NOTHING = Relabelled(labels=0, orphans=0, too_early=0, confirmed=0, changed=0, added=0, kept=0, conflicts=0)


def tickets(**labels: str | None) -> pd.DataFrame:
    """Tickets by id with the label of their export."""
    rows = [
        (name, None, WRITTEN, "email", f"text of {name}", label, label and "import")
        for name, label in labels.items()
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"created_at": "datetime64[us, UTC]"})


def said(*rows: tuple[str, str, str, int, str]) -> pd.DataFrame:
    """Labels as (ticket, label, source, minutes after the ticket, event id)."""
    frame = pd.DataFrame(rows, columns=["ticket_id", "label", "source", "minutes", "event_id"])
    frame["at"] = WRITTEN + pd.to_timedelta(frame.pop("minutes"), unit="min")
    frame["received_at"] = frame["at"]
    for column in ("served_arm", "served_digest", "served_label"):
        frame[column] = None
    times = dict.fromkeys(("at", "received_at"), "datetime64[us, UTC]")
    return frame[FEEDBACK_SCHEMA.names].astype(times)


def joined(before: pd.DataFrame, feedback: pd.DataFrame, rules: Prepare = RULES):
    after, counts = relabel(before, feedback, rules)
    after = after.astype(object).where(after.notna(), None)
    labels = {row.ticket_id: (row.label, row.label_source) for row in after.itertuples(index=False)}
    return labels, counts


def test_without_feedback_nothing_changes():
    before = tickets(a="negative", b=None)
    after, counts = relabel(before, said(), RULES)
    pd.testing.assert_frame_equal(after, before)
    assert counts == NOTHING


def test_a_ticket_without_label_gets_one_and_a_wrong_one_is_corrected():
    labels, counts = joined(
        tickets(a="negative", b=None, c="neutral", d="positive"),
        said(
            ("a", "positive", "agent", 5, "1"),
            ("b", "neutral", "agent", 5, "1"),
            ("c", "neutral", "agent", 5, "1"),
        ),
    )
    assert labels == {
        "a": ("positive", "agent"),
        "b": ("neutral", "agent"),
        "c": ("neutral", "agent"),
        "d": ("positive", "import"),
    }
    expected = {"labels": 3, "changed": 1, "added": 1, "confirmed": 1, "conflicts": 1}
    assert counts.as_dict() == NOTHING.as_dict() | expected


def test_the_first_source_of_the_list_decides_although_another_spoke_later():
    labels, counts = joined(
        tickets(a=None, b="negative", c="negative"),
        said(
            ("a", "negative", "audit", 1, "1"),
            ("a", "positive", "agent", 9, "1"),
            ("b", "positive", "csat", 9, "1"),  # the export goes before
            ("c", "positive", "agent", 9, "1"),
        ),
    )
    assert labels == {"a": ("negative", "audit"), "b": ("negative", "import"), "c": ("positive", "agent")}
    assert (counts.kept, counts.added, counts.changed, counts.conflicts) == (1, 1, 1, 3)


def test_of_one_source_the_latest_label_counts_and_ties_end_as_in_the_event_store():
    labels, _ = joined(
        tickets(a=None, b=None, c="neutral"),
        said(
            ("a", "negative", "agent", 9, "1"),
            ("a", "positive", "agent", 1, "2"),
            ("b", "negative", "agent", 5, "10"),
            ("b", "positive", "agent", 5, "2"),  # "2" is greater than "10"
            ("c", "positive", "import", 0, "1"),  # the export's own source, and at the ticket's own moment
        ),
    )
    assert labels == {"a": ("negative", "agent"), "b": ("positive", "agent"), "c": ("positive", "import")}


def test_sources_that_are_not_listed_come_last_together_or_are_refused():
    feedback = said(
        ("a", "negative", "zebra", 1, "1"), ("a", "positive", "ant", 2, "1"), ("b", "positive", "ant", 2, "1")
    )
    labels, _ = joined(tickets(a=None, b="neutral"), feedback)
    assert labels == {"a": ("positive", "ant"), "b": ("neutral", "import")}
    refusing = RULES.model_copy(update={"unknown_sources": "refuse"})
    with pytest.raises(TicketSentimentError, match=r"source 'ant' is not in prepare\.label_sources \(2 such"):
        relabel(tickets(a=None), feedback, refusing)


def test_labels_of_other_tickets_and_of_earlier_times_do_not_count():
    labels, counts = joined(
        tickets(a="neutral"),
        said(
            ("a", "negative", "audit", -1, "1"),
            ("z", "negative", "audit", 1, "1"),
            (" a", "positive", "audit", 1, "1"),
        ),
    )
    assert labels == {"a": ("neutral", "import")}
    assert counts.as_dict() == NOTHING.as_dict() | {"labels": 3, "orphans": 2, "too_early": 1}


EVENTS = st.lists(
    st.tuples(
        st.sampled_from("abz"),
        st.sampled_from(LABELS),
        st.sampled_from([*SOURCES, "other", "another"]),
        st.integers(-2, 3),
        st.sampled_from("123"),
    ),
    max_size=12,
)


def reference(export: str | None, events: list[tuple[str, str, str, int, str]]) -> str | None:
    """The rules said once more, ticket by ticket, without a table."""

    def rank(source):
        return SOURCES.index(source) if source in SOURCES else len(SOURCES)

    timely = [event for event in events if event[3] >= 0]
    if not timely:
        return export
    best = min(rank(event[2]) for event in timely)
    if export is not None and rank("import") < best:
        return export
    return max((e for e in timely if rank(e[2]) == best), key=lambda e: (e[3], e[2], e[4], e[1]))[1]


@settings(max_examples=60, deadline=None)
@given(EVENTS, st.sampled_from([None, *LABELS]), st.randoms(use_true_random=False))
def test_any_order_of_arrival_late_or_twice_gives_the_same_labels(events, export, chance: random.Random):
    before = tickets(a=export, b=None)
    labels, counts = joined(before, said(*events))
    for name, old in (("a", export), ("b", None)):
        assert labels[name][0] == reference(old, [event for event in events if event[0] == name])
    again = [*events, *chance.choices(events, k=3)] if events else []
    chance.shuffle(again)
    shuffled, others = joined(before, said(*again))
    assert shuffled == labels
    unaffected = ("confirmed", "changed", "added", "kept", "conflicts")
    assert all(getattr(counts, name) == getattr(others, name) for name in unaffected)

"""What was answered lately, on both databases."""

from datetime import timedelta

import pytest

from tests.events.events import DIGEST, NOON, OTHER, feedback, prediction
from ticket_sentiment.events.live import answers, judged
from ticket_sentiment.feedback.database import reading_events

MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)


@pytest.mark.parametrize("shift", [0, 1])
def test_a_sample_is_even_whatever_is_recorded_between_the_answers(url: str, open_store, shift: int) -> None:
    """Served and shadow answers take turns in one counter of the writer."""
    store = open_store(url)
    for number in range(shift):
        store.predicted(prediction(request_id=f"before-{number}", cached=True))
    for minute in range(100):
        at = NOON + timedelta(minutes=minute)
        for digest, shadow in ((DIGEST, False), (OTHER, True)):
            store.predicted(
                prediction(at=at, request_id=f"r-{minute}", bundle_digest=digest, shadow=shadow, cached=False)
            )
    assert store.flush(20)
    with reading_events(url) as connection:
        found = answers(connection, {DIGEST}, NOON - HOUR, NOON + 2 * HOUR, most=30)
        assert len(answers(connection, {DIGEST}, NOON - HOUR, NOON + 2 * HOUR, most=100)) == 100
    assert [row.at for row in found] == [NOON + timedelta(minutes=4 * place) for place in range(25)]


def test_a_ticket_without_a_label_that_counts_is_judged_too(url: str, open_store) -> None:
    store = open_store(url)
    for ticket, digest in (
        ("T-1", DIGEST),
        ("T-2", OTHER),
        ("T-3", DIGEST),
        ("T-4", DIGEST),
        ("T-5", "f" * 64),
    ):
        store.predicted(prediction(request_id=ticket, ticket_id=ticket, bundle_digest=digest, cached=False))
    store.predicted(prediction(request_id="T-6", ticket_id="T-6", cached=True))  # another ticket's answer
    assert store.flush(20)
    store.feedback(feedback("1", "positive", 5, source="audit"))
    store.feedback(feedback("2", "neutral", 10, source="audit"))  # the latest counts
    store.feedback(feedback("3", minutes=5, ticket_id="T-3", source="hotfix"))
    store.feedback(feedback("4", minutes=-5, ticket_id="T-4", source="audit"))
    store.feedback(feedback("5", minutes=20, source="csat"))  # not by who speaks up where it was wrong
    with reading_events(url) as connection:
        found = [*judged(connection, {DIGEST, OTHER}, NOON - HOUR, NOON + HOUR, "audit")]
    assert [(row.ticket_id, row.truth) for row in found] == [
        ("T-1", "neutral"), ("T-2", None), ("T-3", None), ("T-4", None)
    ]  # fmt: skip
    first = found[0]
    assert first.customer == prediction().customer and first.labelled_at == NOON + 10 * MINUTE
    assert first.known_at >= NOON + 5 * MINUTE and first.known_at.utcoffset() is not None

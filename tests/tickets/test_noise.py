import numpy as np
import pandas as pd

from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.noise import MIN_ROWS, label_noise
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.profile import bag_of_words


def noisy(month, share: float) -> tuple[pd.DataFrame, set[str]]:
    """Made-up tickets of which a share got another label, and the ids of those."""
    tickets = month("2026-01", rows=900)
    wrong = np.random.default_rng(0).random(len(tickets)) < share
    other = dict(zip(LABELS, [*LABELS[1:], LABELS[0]], strict=True))
    label = tickets["label"].where(~wrong, tickets["label"].map(other))
    return tickets.assign(label=label), set(tickets["ticket_id"][wrong])


def judged(tickets: pd.DataFrame, count: int):
    return label_noise(tickets, bag_of_words(tickets["text"].map(dedup_key)), count)


def test_the_share_of_wrong_labels_is_estimated_and_the_worst_are_named(month):
    clean, _ = noisy(month, 0.0)
    tickets, wrong = noisy(month, 0.2)
    assert judged(clean, 0).share < 0.03
    found = judged(tickets, 50)
    assert 0.12 < found.share < 0.28
    named = [one["ticket_id"] for one in found.suspects]
    assert len(named) == 50 and len(set(named) & wrong) >= 45
    assert [one["quality"] for one in found.suspects] == sorted(one["quality"] for one in found.suspects)
    assert set(found.suspects[0]) == {"ticket_id", "label", "suggested", "quality"}  # no text
    assert judged(tickets, 50) == found


def test_too_few_labels_tell_nothing(month):
    tickets = month("2026-01", rows=3 * (MIN_ROWS - 10))
    assert judged(tickets, 5).share is None

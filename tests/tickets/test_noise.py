import numpy as np
import pandas as pd

from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.noise import MIN_ROWS, label_noise
from ticket_sentiment.tickets.prepare import split_months
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.profile import bag_of_words, profile
from ticket_sentiment.tickets.window import used_months


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


def test_only_months_that_are_used_count(month, params):
    old, _ = noisy(month, 0.4)
    new = month("2026-02", rows=900)
    both = pd.concat([old.assign(month="2026-01"), new.assign(month="2026-02")], ignore_index=True)
    share = {
        used: profile(both, params.validate_, used).noise.share for used in (None, ("2026-01",), ("2026-02",))
    }
    assert share["2026-02",] < 0.03 < share[None] < share["2026-01",]


def test_the_months_that_are_used_are_those_of_the_split(params):
    months = [f"2026-{number:02d}" for number in range(1, 13)]
    rules = params.prepare.model_copy(update={"train_months": 3, "tune_months": 1, "holdout_months": 2})
    split = split_months(months, rules)
    assert used_months(reversed(months), rules) == [*split["train"], *split["tune"], *split["holdout"]]
    assert used_months(months[:2], rules) == months[:2]
    assert used_months(months, rules.model_copy(update={"train_months": 0})) == months
    assert used_months(months, None) == months


def test_too_few_labels_tell_nothing(month):
    tickets = month("2026-01", rows=3 * (MIN_ROWS - 10))
    assert judged(tickets, 5).share is None

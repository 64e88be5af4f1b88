import math
import random
from collections import Counter

import numpy as np
import pandas as pd
import pytest

from ticket_sentiment.labelling.choose import REASONS, choose, shuffled
from ticket_sentiment.labelling.novelty import novelty
from ticket_sentiment.params import Labelling
from ticket_sentiment.rollout.audit import audited

SETTINGS = Labelling.model_validate(
    {
        "count": 200, "since_days": 30, "drift_rows": 1000, "seed": 7,
        "quotas": {"audit": 0.4, "disagreement": 0.2, "drifted": 0.1, "doubted": 0.1},
    }
)  # fmt: skip

AUDIT = ("s", 0.05)


def candidates(rows: int, disagreeing: float = 0.1, seed: int = 0) -> pd.DataFrame:
    chance = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "ticket_id": [f"T-{number}" for number in range(rows)],
            "margin": chance.random(rows),
            "disagree": chance.random(rows) < disagreeing,
            "novelty": chance.normal(size=rows),
            "counts": np.zeros(rows, dtype=bool),
        }
    )


def test_quotas_are_met_and_each_reason_takes_what_it_is_about():
    rows = candidates(5000)
    chosen = choose(rows, [], 100, SETTINGS, *AUDIT)
    assert Counter(chosen["why"]) == {"audit": 40, "disagreement": 20, "drifted": 10, "uncertain": 30}
    assert chosen["ticket_id"].is_unique
    by = {why: chosen[chosen["why"] == why] for why in REASONS}
    assert all(audited(id_, "s", 0.05) for id_ in by["audit"]["ticket_id"])
    assert by["disagreement"]["disagree"].all()
    left = rows[~rows["ticket_id"].isin(chosen["ticket_id"])]
    left = left[[not audited(id_, "s", 0.05) for id_ in left["ticket_id"]]]
    assert by["drifted"]["novelty"].min() >= left["novelty"].max()
    assert by["uncertain"]["margin"].max() <= left["margin"].min()


def test_what_the_rollout_that_is_on_waits_for_goes_before_an_older_backlog():
    """Else a backlog of weeks takes the places, and a good challenger's time is over without its labels."""
    rows = candidates(5000)
    rows.loc[rows.index % 20 == 3, "counts"] = True
    drawn = {id_ for id_ in rows["ticket_id"] if audited(id_, "s", 0.05)}
    waited_for = drawn & set(rows["ticket_id"][rows["counts"]])
    assert 0 < len(waited_for) < 40 < len(drawn)
    audit = choose(rows, [], 100, SETTINGS, *AUDIT).set_index("ticket_id").query("why == 'audit'")
    assert len(audit) == 40 and waited_for <= set(audit.index)
    probability = audit["probability"]
    assert probability[list(waited_for)].unique() == pytest.approx([0.05])
    older, places = len(drawn) - len(waited_for), 40 - len(waited_for)
    assert probability.drop(list(waited_for)).unique() == pytest.approx([0.05 * places / older])
    few = choose(rows, [], 10, SETTINGS, *AUDIT).query("why == 'audit'")
    assert set(few["ticket_id"]) <= waited_for and len(few) == 4


def test_only_the_audit_has_a_probability_and_it_is_the_true_one():
    rows = candidates(5000)
    drawn = [id_ for id_ in rows["ticket_id"] if audited(id_, "s", 0.05)]
    some = choose(rows, [], 100, SETTINGS, *AUDIT)
    probabilities = some[some["why"] == "audit"]["probability"].unique()
    assert probabilities == pytest.approx([0.05 * 40 / len(drawn)])
    assert some[some["why"] != "audit"]["probability"].isna().all()
    whole = choose(rows, [], 4000, SETTINGS, *AUDIT)
    audit = whole[whole["why"] == "audit"]
    assert set(audit["ticket_id"]) == set(drawn)
    assert audit["probability"].unique() == pytest.approx([0.05])


def test_weighted_by_it_the_audit_estimates_all_tickets_without_bias():
    """Horvitz and Thompson's total of a number that has to do with the model's doubt, over many draws."""
    rows = candidates(2000)
    rows["wrong"] = (rows["margin"] < 0.3).astype(float)
    truth, estimates = rows["wrong"].sum(), []
    for draw in range(150):
        chosen = choose(rows, [], 100, SETTINGS.model_copy(update={"seed": draw}), f"salt {draw}", 0.05)
        audit = chosen[chosen["why"] == "audit"]
        estimates.append((audit["wrong"] / audit["probability"]).sum())
    error = np.std(estimates) / math.sqrt(len(estimates))
    assert abs(np.mean(estimates) - truth) < 4 * error
    assert abs(np.mean(estimates) - truth) < 0.1 * truth
    everything = [choose(rows, [], 100, SETTINGS, *AUDIT)["wrong"].mean()]
    assert everything[0] > 1.3 * rows["wrong"].mean(), "the whole queue would not do"


def test_audited_tickets_without_a_place_wait_and_are_not_taken_for_their_doubt():
    rows = candidates(5000)
    rows.loc[[audited(id_, "s", 0.05) for id_ in rows["ticket_id"]], "margin"] = 0.0
    chosen = choose(rows, [], 100, SETTINGS, *AUDIT)
    drawn = [audited(id_, "s", 0.05) for id_ in chosen["ticket_id"]]
    assert sum(drawn) == 40 and (chosen[drawn]["why"] == "audit").all()


def test_places_that_are_left_go_to_the_most_uncertain():
    rows = candidates(5000, disagreeing=0).assign(novelty=np.nan)
    assert Counter(choose(rows, [], 100, SETTINGS, *AUDIT)["why"]) == {"audit": 40, "uncertain": 60}
    assert len(choose(candidates(30), [], 100, SETTINGS, *AUDIT)) <= 30


def test_labels_that_seem_wrong_are_asked_about_the_worst_first():
    suspects = [f"wrong-{number}" for number in range(30)]
    chosen = choose(candidates(4000), suspects, 100, SETTINGS, *AUDIT)
    assert len(chosen) == 100
    assert sorted(chosen["ticket_id"][chosen["why"] == "doubted"]) == sorted(suspects[:10])
    alone = choose(candidates(0), suspects, 100, SETTINGS, *AUDIT)
    assert Counter(alone["why"]) == {"doubted": 10}


def test_it_is_the_same_whatever_the_order_of_the_rows_and_another_with_another_seed():
    rows = candidates(3000).assign(margin=0.5)  # ties everywhere
    chosen = choose(rows, [], 60, SETTINGS, *AUDIT)
    again = choose(rows.sample(frac=1, random_state=3).reset_index(drop=True), [], 60, SETTINGS, *AUDIT)
    assert chosen["ticket_id"].tolist() == again["ticket_id"].tolist()
    other = choose(rows, [], 60, SETTINGS.model_copy(update={"seed": 8}), *AUDIT)
    assert set(other["ticket_id"]) != set(chosen["ticket_id"])


def test_the_order_of_the_file_does_not_tell_the_reason():
    chosen = choose(candidates(5000), [f"wrong-{number}" for number in range(30)], 200, SETTINGS, *AUDIT)
    first, second = (Counter(part["why"]) for part in (chosen.head(100), chosen.tail(100)))
    assert all(abs(first[why] - second[why]) < 35 for why in REASONS)
    assert set(first) == set(second) == set(REASONS)


def test_golden_order():
    """A change of these draws another part of an audit that is under way."""
    assert shuffled(["T-1", "T-2"], 7) == [9325197002169915540, 7759629488102154400]


WORDS = [
    "printer",
    "order",
    "refund",
    "invoice",
    "late",
    "broken",
    "thanks",
    "delivery",
    "account",
    "email",
    "charge",
    "return",
]


def sentences(count: int, words: list[str], seed: int, length: int = 12) -> list[str]:
    chance = random.Random(seed)
    return [" ".join(chance.choices(words, k=length + chance.randrange(5))) for _ in range(count)]


@pytest.mark.parametrize(
    "odd",
    [
        sentences(20, ["zorp", "blix", "quux", "flarn"], 5),
        sentences(20, WORDS, 5, length=200),
        ["no"] * 20,
        [text.upper() for text in sentences(20, WORDS, 6)],
        ["ваш заказ снова сломан и никто не отвечает на звонки"] * 20,
    ],
)
def test_tickets_unlike_the_learnt_ones_come_first(odd):
    usual = sentences(280, WORDS, 2)
    scores = novelty([*odd, *usual], [None] * 300, sentences(400, WORDS, 1), ["email"] * 400)
    first = set(np.argsort(-scores)[:20].tolist())
    assert len(first & set(range(20))) >= 18


def test_a_channel_that_was_never_learnt_counts_and_an_unknown_one_does_not():
    texts = sentences(300, WORDS, 2)
    learnt, kinds = sentences(400, WORDS, 1), ["email", "chat"] * 200
    scores = novelty(texts, ["fax"] * 30 + ["email", "chat"] * 135, learnt, kinds)
    assert np.median(scores[:30]) > np.percentile(scores[30:], 95)
    unknown = novelty(texts, [None] * 30 + ["email", "chat"] * 135, learnt, kinds)
    assert abs(np.median(unknown[:30]) - np.median(unknown[30:])) < np.std(unknown[30:])


def test_words_seen_in_one_learnt_text_alone_do_not_make_new_ones_look_odd():
    """Each text has a name of its own: learnt and new ones alike, so nothing is to be told apart by it."""
    learnt = [f"{text} name{number}" for number, text in enumerate(sentences(400, WORDS, 1))]
    new = [f"{text} other{number}" for number, text in enumerate(sentences(400, WORDS, 2))]
    scores = novelty(new, ["email"] * 400, learnt, ["email"] * 400)
    assert abs(scores.mean()) < 0.2


def test_too_few_tickets_say_nothing():
    assert novelty(["a"] * 99, [None] * 99, ["b"] * 500, ["email"] * 500) is None
    assert novelty(["a"] * 500, [None] * 500, ["b"] * 99, ["email"] * 99) is None

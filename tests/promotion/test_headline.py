"""The first sentence: of facts that are made up."""

from dataclasses import replace

import pytest

from tests.events.events import NOON, change, state
from tests.rollout.evidence import BEGAN, SETTINGS, evidence
from ticket_sentiment.events.changes import Entry
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.headline import headline
from ticket_sentiment.promotion.progress import Progress
from ticket_sentiment.rollout.evidence import PairedCounts
from ticket_sentiment.rollout.policy import decide

BEGUN = Entry(state(1, 0.0), change())


@pytest.mark.parametrize(
    ("worse", "lead"),
    [
        (0, "Nothing speaks against it so far, but something is still missing."),
        (31, "It is not decided yet."),
    ],
)
def test_while_it_waits_it_is_said_whether_anything_speaks_against_it(worse, lead):
    seen = PairedCounts(both_right=160, only_champion=worse, only_challenger=12, both_wrong=7)
    decision = decide(evidence(0, at=BEGAN, paired=seen), SETTINGS)
    said = headline(Progress(NOON, (BEGUN,), decision=decision))
    assert (said.tone, said.lead) == ("wait", lead)


@pytest.mark.parametrize(
    ("actor", "words"),
    [
        (moves.ROLLOUT, "Stopped without an answer"),
        (moves.PERSON, "Ended by a person"),
        ("monthly flow", "Withdrawn"),
    ],
)
def test_a_rollout_that_nobody_won_says_who_ended_it_and_no_new_date_of_the_champion(actor, words):
    ended = Entry(replace(state(2, None), since=NOON), change("stop", rollout=None, actor=actor))
    said = headline(Progress(NOON, (BEGUN,), (ended,)))
    assert said.title == f"{words} on 1 Nov 2026, 12:00 UTC: version 6 answers all customers"


def test_the_share_is_the_ledger_s_whatever_params_yaml_says_by_now():
    seen = PairedCounts(both_right=160, only_champion=0, only_challenger=12, both_wrong=7)
    decision = decide(evidence(0, at=BEGAN, paired=seen), SETTINGS)
    answering = Entry(state(1, 0.35), change())
    said = headline(Progress(NOON, (answering,), decision=decision))
    assert said.title == "Wait: version 7 answers 35 % of the customers"

from dataclasses import FrozenInstanceError, replace
from datetime import UTC, datetime

import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.state import RolloutState

STATE = RolloutState(
    epoch=1, salt="s", champion="a" * 64, challenger="b" * 64, challenger_share=0.05, shadow=True,
    since=datetime(2026, 11, 1, tzinfo=UTC),
)  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"epoch": 0}, "epoch"),
        ({"epoch": 1.5}, "epoch"),
        ({"epoch": True}, "epoch"),
        ({"salt": ""}, "salt"),
        ({"salt": "ä" * 33}, "salt"),
        ({"champion": "champion"}, "champion"),
        ({"champion": "A" * 64}, "champion"),
        ({"challenger": "b" * 63}, "challenger"),
        ({"challenger_share": 1.01}, "challenger_share"),
        ({"challenger_share": -0.01}, "challenger_share"),
        ({"challenger_share": float("nan")}, "challenger_share"),
        ({"challenger": None}, "challenger"),
        ({"challenger": None, "challenger_share": 0.0}, "challenger"),
        ({"since": datetime(2026, 11, 1)}, "since"),
    ],
)
def test_a_field_out_of_range_is_refused_and_named(changes, named):
    with pytest.raises(TicketSentimentError, match=f"rollout state: {named}: expected"):
        replace(STATE, **changes)


def test_a_state_without_a_challenger_and_one_that_equals_the_champion_are_fine():
    replace(STATE, challenger=None, challenger_share=0.0, shadow=False)
    replace(STATE, challenger=STATE.champion, challenger_share=1.0)  # an A/A test


def test_a_state_does_not_change():
    with pytest.raises(FrozenInstanceError):
        STATE.epoch = 2

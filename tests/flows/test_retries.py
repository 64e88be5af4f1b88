"""What the flow tries again by itself, and what a person must correct first."""

import asyncio

import pytest
from prefect.states import Failed, exception_to_failed_state

from flows.retries import may_pass
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EventStoreUnavailable


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (EventStoreUnavailable("the event database does not answer"), True),
        (ConnectionError("the registry is away"), True),
        (TicketSentimentError("a month would change"), False),
    ],
)
def test_only_what_may_come_back_is_tried_again(error, again):
    async def asked() -> bool:
        state = await exception_to_failed_state(error)
        assert state.type == Failed().type
        return await may_pass(None, None, state)

    assert asyncio.run(asked()) is again

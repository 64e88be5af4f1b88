"""What the flow tries again by itself, and what a person must correct first."""

import asyncio

import pytest
from prefect.states import Failed, exception_to_failed_state

from flows.retries import may_pass
from tests.support.params import params_of_tests
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.params import SqlSource, Tickets
from ticket_sentiment.promotion.aliases import MlflowUnavailable
from ticket_sentiment.registry.releases import registered_bundle
from ticket_sentiment.registry.store import connect, release_digests
from ticket_sentiment.tickets.sources import read_raw


def is_tried_again(error: BaseException) -> bool:
    async def asked() -> bool:
        state = await exception_to_failed_state(error)
        assert state.type == Failed().type
        return await may_pass(None, None, state)

    return asyncio.run(asked())


@pytest.mark.parametrize(
    ("error", "again"),
    [
        (EventStoreUnavailable("the event database does not answer"), True),
        (MlflowUnavailable("MLflow does not answer"), True),
        (Unavailable("the remote does not answer"), True),
        (ConnectionError("the registry is away"), True),
        (TicketSentimentError("a month would change"), False),
    ],
)
def test_only_what_may_come_back_is_tried_again(error, again):
    assert is_tried_again(error) is again


def source(query: str) -> Tickets:
    return Tickets(source=SqlSource(kind="sql", query=query))


def test_a_source_that_is_away_is_tried_again_and_a_wrong_query_is_not(monkeypatch, tmp_path):
    monkeypatch.setenv("TICKETS_DATABASE_URL", f"sqlite:///{tmp_path}/helpdesk.db")
    with pytest.raises(TicketSentimentError, match=r"tickets\.source\.query") as wrong:
        read_raw(source("select * from absent"), tmp_path)
    monkeypatch.setenv("TICKETS_DATABASE_URL", "postgresql+psycopg://nobody@127.0.0.1:9/none")
    with pytest.raises(TicketSentimentError, match=r"tickets\.source\.query") as away:
        read_raw(source("select 1"), tmp_path)
    assert (is_tried_again(wrong.value), is_tried_again(away.value)) == (False, True)


@pytest.mark.parametrize("version", [None, "1"])
def test_a_registry_that_is_away_is_tried_again(monkeypatch, tmp_path, version):
    params = params_of_tests()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with (
        pytest.raises(Exception, match=r"does not do what it was asked|does not answer") as away,
        registered_bundle(params, version, tmp_path),
    ):
        pass
    assert is_tried_again(away.value)
    with pytest.raises(TicketSentimentError, match="MLflow does not answer") as away:
        release_digests(connect(params, tmp_path), "a" * 64)
    assert is_tried_again(away.value)

"""What the flow tries again by itself, and what a person must correct first."""

import asyncio
import errno
import socket
from email.message import Message
from urllib.error import HTTPError

import pytest
from prefect.states import Failed, exception_to_failed_state

from flows.program import run
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
        (TimeoutError(errno.ETIMEDOUT, "Connection timed out"), True),
        (socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution"), True),
        (HTTPError("http://hub/a.csv", 503, "Service Unavailable", Message(), None), True),
        (PermissionError(errno.EACCES, "Permission denied", "data/tickets"), False),
        (FileNotFoundError(errno.ENOENT, "No such file or directory", "exports"), False),
        (NotADirectoryError(errno.ENOTDIR, "Not a directory", "exports/a"), False),
        (OSError(errno.ENOSPC, "No space left on device"), False),
        (OSError(errno.ESTALE, "Stale file handle", "exports/a.csv"), True),
        (OSError(errno.EIO, "Input/output error", "exports/a.csv"), True),
    ],
)
def test_only_what_may_come_back_is_tried_again(error, again):
    assert is_tried_again(error) is again


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (TicketSentimentError("a month would change"), "error: a month would change"),
        (
            PermissionError(errno.EACCES, "Permission denied", "data"),
            "error: data: Permission denied: see that",
        ),
        (OSError(errno.ENOSPC, "No space left on device"), "error: a file cannot be written: No space left"),
    ],
)
def test_what_a_person_can_fix_is_one_line_at_the_end_of_a_flow(error, said, capsys):
    def flow() -> str:
        raise error

    with pytest.raises(SystemExit) as caught:
        run(flow)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert caught.value.code == 2 and line.startswith(said)


def test_an_error_of_ours_keeps_its_traceback():
    with pytest.raises(ZeroDivisionError):
        run(lambda: str(1 // 0))


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

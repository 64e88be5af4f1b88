"""From a person's label in the event database to what is learnt from, through the real commands and DVC."""

import json
from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from tests.support.repository import Repository, clone, learnable_tickets
from ticket_sentiment.events import schema
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.tickets.schema import read_tickets

pytestmark = pytest.mark.slow


@pytest.fixture
def repository(tmp_path) -> Repository:
    made = clone(tmp_path / "repository")
    learnable_tickets(made.root / "exports/tickets.csv", rows=80)
    return made


def run(repository: Repository, *arguments: str) -> str:
    status, output = repository.run(*arguments)
    assert status == 0, output[-3000:]
    return output


def label(repository: Repository, ticket: str, label: str, received: datetime) -> None:
    url = f"sqlite:///{repository.root}/var/events.db"
    store = EventStore(url, 10, False)
    store.feedback(Feedback(received, ticket, "agent", f"{ticket} {received}", label))
    store.close(1)
    engine = sa.create_engine(url)
    same = schema.feedback.c.event_id == f"{ticket} {received}"
    with engine.begin() as connection:
        connection.execute(schema.feedback.update().where(same).values(received_at=received))
    engine.dispose()


def test_a_bare_clone_works_and_new_labels_are_learnt_from(repository):
    collected = run(repository, "ticket_sentiment.cli", "collect")
    assert "feedback: none read, there is no event database yet (var/events.db)" in collected
    assert "Running stage 'prepare'" in run(repository, "dvc", "repro", "prepare")
    split = repository.root / "data/prepared/split.json"
    assert json.loads(split.read_text())["feedback"]["labels"] == 0

    train = read_tickets(repository.root / "data/prepared/train.parquet").set_index("ticket_id")
    ticket, before = train.index[0], train["label"].iloc[0]
    after = "neutral" if before != "neutral" else "positive"
    label(repository, ticket, after, datetime(2026, 2, 3, tzinfo=UTC))
    assert "(1 written, 0 unchanged" in run(repository, "ticket_sentiment.cli", "collect")
    again = run(repository, "dvc", "repro", "prepare")
    assert "Running stage 'validate'" in again and "Running stage 'prepare'" in again
    assert json.loads(split.read_text())["feedback"]["changed"] == 1
    row = read_tickets(repository.root / "data/prepared/train.parquet").set_index("ticket_id").loc[ticket]
    assert (row["label"], row["label_source"]) == (after, "agent")

    assert "(0 written, 1 unchanged" in run(repository, "ticket_sentiment.cli", "collect")
    assert "Running stage" not in run(repository, "dvc", "repro", "prepare")

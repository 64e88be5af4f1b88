"""Champion and challenger in one real server, moved by the rollout state in the event database."""

import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.state import RolloutState

CUSTOMERS = [f"customer-{n}" for n in range(60)]


class Rollout:
    """A server with two bundles and a hand on its state."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.champion = make_tiny_bundle(folder / "bundle").digest
        self.challenger = make_tiny_bundle(folder / "challenger", seed=9).digest
        write_params(folder, {"rollout_poll_seconds": 0.1})
        self.server = Server(
            SERVICE,
            folder / "serve.log",
            folder,
            TICKET_SENTIMENT_BUNDLE=str(folder / "bundle"),
            TICKET_SENTIMENT_CHALLENGER=str(folder / "challenger"),
        )
        self.server.wait_until_ready()
        self.client = httpx.Client(base_url=self.server.url)
        self.store = EventStore(f"sqlite:///{folder}/var/events.db", 10, False)
        self.state: RolloutState | None = None

    def set(self, share: float, shadow: bool = False) -> None:
        epoch = self.state.epoch if self.state else 0
        self.state = RolloutState(
            epoch + 1, "salt", self.champion, self.challenger, share, shadow, datetime.now(UTC)
        )
        assert self.store.set_rollout_state(self.state, epoch)
        deadline = time.monotonic() + 10
        while (self.client.get("/v1/models").json()["rollout"] or {}).get("epoch") != epoch + 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)

    def ask(self, customer: str | None, **fields: Any) -> dict[str, Any]:
        body = {"text": f"great {customer}", "customer_id": customer, **fields}
        response = self.client.post("/v1/classify", json=body)
        assert response.status_code == 200, response.text
        return response.json()

    def rows(self, query: str, expected: int) -> list[tuple[Any, ...]]:
        """Of the database, once the background writer has made so many."""
        deadline = time.monotonic() + 10
        with sqlite3.connect(self.folder / "var/events.db") as connection:
            while len(rows := connection.execute(query).fetchall()) < expected:
                assert time.monotonic() < deadline, rows
                time.sleep(0.1)
        return rows


@pytest.fixture(scope="module")
def rollout(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rollout]:
    made = Rollout(tmp_path_factory.mktemp("rollout"))
    with made.server:
        yield made
        made.client.close()
        made.store.close(1)


def test_without_a_state_the_champion_answers_everybody(rollout: Rollout) -> None:
    models = rollout.client.get("/v1/models").json()
    assert [(model["arm"], model["bundle_digest"]) for model in models["models"]] == [
        ("champion", rollout.champion),
        ("challenger", rollout.challenger),
    ]
    assert models["rollout"] is None
    assert {rollout.ask(customer)["arm"] for customer in CUSTOMERS[:10]} == {"champion"}


def test_a_share_of_the_customers_meets_the_challenger_and_keeps_it(rollout: Rollout) -> None:
    rollout.set(0.3)
    answers = {customer: rollout.ask(customer) for customer in CUSTOMERS}
    for customer, answer in answers.items():
        assert answer["arm"] == assign(customer, None, rollout.state)
        digest = {"champion": rollout.champion, "challenger": rollout.challenger}[answer["arm"]]
        assert answer["bundle_digest"] == digest
        again = rollout.ask(customer)
        assert (again["arm"], again["bundle_digest"], again["cached"]) == (answer["arm"], digest, True)
        assert again["probabilities"] == answer["probabilities"]
    assert {answer["arm"] for answer in answers.values()} == {"champion", "challenger"}
    assert rollout.ask(None)["arm"] == "champion"
    exposed = rollout.rows("select unit, arm from exposures where epoch = 1", len(CUSTOMERS))
    assert len(exposed) == len(CUSTOMERS)  # once each, and nobody without a customer or ticket
    assert sorted(arm for _, arm in exposed) == sorted(answer["arm"] for answer in answers.values())
    assert not {unit for unit, _ in exposed} & set(CUSTOMERS)


def test_in_shadow_both_score_and_the_champion_answers(rollout: Rollout) -> None:
    rollout.set(0.0, shadow=True)
    for n in range(20):
        assert rollout.ask(CUSTOMERS[n], text=f"terrible {n}", ticket_id=f"shadow-{n}")["arm"] == "champion"
    rows = rollout.rows(
        "select ticket_id, shadow, arm, bundle_digest, request_id from predictions "
        "where ticket_id like 'shadow-%' order by ticket_id, shadow",
        40,
    )
    for answered, unseen in zip(rows[::2], rows[1::2], strict=True):
        assert answered[:4] == (answered[0], 0, "champion", rollout.champion)
        assert unseen[:4] == (answered[0], 1, "challenger", rollout.challenger)
        assert answered[4] == unseen[4]


def test_a_rollback_is_a_change_of_the_state(rollout: Rollout) -> None:
    rollout.set(1.0)
    assert {rollout.ask(customer)["arm"] for customer in CUSTOMERS[:20]} == {"challenger"}
    rollout.set(0.0)
    assert {rollout.ask(customer)["arm"] for customer in CUSTOMERS[:20]} == {"champion"}


def test_no_text_and_no_customer_is_stored(rollout: Rollout) -> None:
    for name in ("events.db", "events.db-wal"):
        path = rollout.folder / "var" / name
        stored = path.read_bytes() if path.exists() else b""
        assert b"customer-1" not in stored
        assert b"terrible 1" not in stored

"""Running services take up what the ledger says, from the first entry on, and go back within seconds."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.promotion.loop import Loop
from tests.support.serving import SERVICE, Server, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By
from ticket_sentiment.promotion.rollback import roll_back

pytestmark = pytest.mark.slow
FLOW = By(moves.ROLLOUT, "Because.")
POLL_S = 0.5


@pytest.fixture
def server(loop: Loop, tmp_path: Path) -> Iterator[Server]:
    """With the bundle of version 1, which is registered; the ledger is still empty."""
    loop.register(1)
    folder = tmp_path / "service"
    folder.mkdir()
    make_tiny_bundle(folder / "bundle", seed=1)
    releases = str(loop.root / loop.params.serve.releases)
    serve = {"rollout_poll_seconds": POLL_S, "releases": releases}
    write_params(folder, serve, events={"url": loop.url})
    environment = {"TICKET_SENTIMENT_BUNDLE": str(folder / "bundle")}
    with Server(SERVICE, folder / "serve.log", folder, **environment) as made:
        made.wait_until_ready()
        yield made


def ask(server: Server, customer: str = "c") -> str:
    body = {"text": "my order is great", "customer_id": customer}
    response = httpx.post(f"{server.url}/v1/classify", json=body)
    assert response.status_code == 200, response.text
    return response.json()["bundle_digest"]


def wait_for(server: Server, epoch: int, champion: str, challenger: str | None) -> float:
    """Seconds until the service is where the ledger is; it answers all the time."""
    started = time.monotonic()
    while True:
        ask(server)
        models = httpx.get(f"{server.url}/v1/models").json()
        held = {model["arm"]: model["bundle_digest"] for model in models["models"]}
        there = (models["rollout"] or {}).get("epoch") == epoch
        if there and held.get("champion") == champion and held.get("challenger") == challenger:
            return time.monotonic() - started
        assert time.monotonic() < started + 15, (models, server.log.read_text())
        time.sleep(0.05)


def test_a_service_follows_the_ledger_from_its_first_entry_on(loop: Loop, server: Server) -> None:
    built = loop.digest(1)
    assert ask(server) == built
    loop.reconcile()
    wait_for(server, 1, built, None)
    loop.begin(2)
    wait_for(server, 2, built, loop.digest(2))
    moves.promote(loop.ledger, loop.entry, FLOW)
    wait_for(server, 3, loop.digest(2), None)
    assert ask(server) == loop.digest(2)
    loop.reconcile()

    roll_back(loop.ledger, loop.params, By("command line", "Bad."), root=loop.root)
    assert wait_for(server, 4, built, None) < 5
    assert ask(server) == built
    loop.reconcile()

    loop.register(3, decision="review")
    loop.give("champion", 3)
    loop.reconcile()
    wait_for(server, 5, loop.digest(3), None)
    assert ask(server) == loop.digest(3)

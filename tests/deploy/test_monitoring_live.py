"""A real Prometheus reads the real service: every panel shows something, every rule is evaluated."""

import math
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.manifests.queries import exposed
from deploy.manifests.render import params
from deploy.monitoring.dashboards import dashboards
from deploy.monitoring.dashboards.models import CLUSTER
from deploy.monitoring.dashboards.service import YOUNG
from deploy.monitoring.rules import groups
from deploy.monitoring.rules.rule import Alert
from tests.support.prometheus import Prometheus
from tests.support.serving import SERVICE, Server, free_port, write_params
from tests.support.tiny_bundle import make_tiny_bundle
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.rollout.state import RolloutState

pytestmark = pytest.mark.skipif(
    shutil.which("prometheus") is None, reason="Prometheus is not installed: its Debian package is prometheus"
)

EXPECTED = {
    "WorkersMissing",
    "RemoteAway",
}  # of alerts, as one worker of two runs, and the other service is away


def traffic(client: httpx.Client, turn: int) -> None:
    """Good and bad requests, repeated ones, a batch, urgent ones, labels from people."""
    for customer in range(6):
        body: dict[str, Any] = {"text": f"great invoice {turn % 3}", "customer_id": f"customer-{customer}"}
        assert client.post("/v1/classify", json=body).status_code == 200
    for word in ("slow", "angry"):
        client.post("/v1/classify", json={"text": f"{word} refund {turn}", "priority": "urgent"})
    client.post("/v1/classify/batch", json={"tickets": [{"text": "worst order"}, {"text": "love it"}]})
    client.post("/v1/classify", json={"words": "no text"})
    feedback = {"ticket_id": f"t{turn}", "label": "negative", "event_id": f"e{turn}"}
    assert client.post("/v1/feedback", json=feedback).status_code == 200


def set_state(folder: Path, champion: str, challenger: str) -> None:
    store = EventStore(f"sqlite:///{folder}/var/events.db", 10, False)
    state = RolloutState(1, "salt", champion, challenger, 0.5, True, datetime.now(UTC))
    assert store.set_rollout_state(state, 0)
    store.close(1)


def alerts_on(running: Prometheus) -> dict[str, dict[str, Any]]:
    return {alert["labels"]["alertname"]: alert for alert in running.get("alerts")["alerts"]}


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Prometheus after some scrapes of a service with two arms, whose other service is away."""
    folder = tmp_path_factory.mktemp("watched")
    champion = make_tiny_bundle(folder / "bundle").digest
    challenger = make_tiny_bundle(folder / "challenger", seed=9).digest
    port = write_params(folder, {"rollout_poll_seconds": 0.1})
    environment = {
        "TICKET_SENTIMENT_BUNDLE": str(folder / "bundle"),
        "TICKET_SENTIMENT_CHALLENGER": str(folder / "challenger"),
        params().serve.remote.url_env: f"http://127.0.0.1:{free_port()}",
    }
    prometheus = folder / "prometheus"
    prometheus.mkdir()
    with (
        Server(SERVICE, folder / "serve.log", folder, **environment) as server,
        Prometheus(prometheus, port) as running,
    ):
        server.wait_until_ready()
        set_state(folder, champion, challenger)
        with httpx.Client(base_url=server.url, timeout=30) as client:
            deadline, turn = time.monotonic() + 60, 0
            # By then all that a panel asks for has been scraped for some time, and what is away was noticed.
            while (
                turn < 10
                or not running.query("job_arm:ticket_sentiment_abstained:share7d{arm='challenger'} >= 0")
                or not alerts_on(running).keys() >= EXPECTED
            ):
                assert time.monotonic() < deadline, "nothing is recorded"
                traffic(client, turn)
                turn += 1
                time.sleep(0.25)
        yield running


def filled(expr: str) -> str:
    """Grafana's variables as it would fill them in."""
    return expr.replace("$job", ".*").replace("$__rate_interval", "1m").replace("$__range", "1h")


@pytest.mark.parametrize(
    ("title", "query", "without"),
    [
        pytest.param(panel.title, query, panel.without, id=f"{board.uid}: {panel.title}: {query.legend}")
        for board in dashboards(params())
        for panel in board.panels
        for query in panel.queries
    ],
)  # fmt: skip
def test_every_query_of_a_panel_has_a_result(watched: Prometheus, title, query, without):
    found = watched.query(filled(query.expr))
    if without == CLUSTER:
        assert not found, "it can be seen here: say so in the panel"
    else:
        assert found or without == YOUNG, f"{title} shows nothing: {query.expr}"
    assert all(math.isfinite(float(series["value"][1])) for series in found) or without, title


def test_every_rule_is_evaluated_without_an_error(watched: Prometheus):
    held = {rule["name"]: rule for group in watched.get("rules")["groups"] for rule in group["rules"]}
    wanted = {rule.name for group in groups(params()) for rule in group.rules}
    assert held.keys() == wanted
    assert {name: rule["lastError"] for name, rule in held.items() if rule["health"] != "ok"} == {}


def test_the_alerts_that_are_on_can_be_read(watched: Prometheus):
    """One worker of two, and an absent other service: their sentences have no template that failed."""
    names = {rule.name for group in groups(params()) for rule in group.rules if isinstance(rule, Alert)}
    on = alerts_on(watched)
    assert EXPECTED <= on.keys() <= names
    for alert in on.values():
        assert "{{" not in alert["annotations"]["summary"] and "<error" not in alert["annotations"]["summary"]


def test_what_the_registry_promises_is_in_the_scrape(watched: Prometheus):
    """The names and labels that rules are checked against are those of the running service."""
    scraped = {name for name in watched.get("label/__name__/values") if name.startswith("ticket_sentiment_")}
    assert {name for name in exposed() if name != "up"} - scraped == set()
    for name in sorted(scraped & exposed().keys()):
        (series, *_) = watched.query(name)
        assert set(series["metric"]) - {"__name__", "job", "instance"} == exposed()[name], name

"""The flows around a rollout, with a real Prefect, MLflow, event database and BentoML."""

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from bentoml._internal.bento import BentoStore
from bentoml._internal.configuration.containers import BentoMLContainer
from prefect.client.orchestration import get_client

import flows.rollout
from flows.reconcile import reconcile
from flows.rollback import rollback
from flows.rollout import rollout
from tests.events.events import prediction
from tests.promotion.loop import Loop
from tests.support.hooks import Hook
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.aliases import MlflowUnavailable
from ticket_sentiment.promotion.moves import By

pytestmark = pytest.mark.slow


@pytest.fixture
def at_root(loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Loop]:
    """Where flows run: at the repository's root, with a BentoML store of its own."""
    monkeypatch.chdir(loop.root)
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path / "bentoml"))
    (tmp_path / "bentoml/bentos").mkdir(parents=True)
    BentoMLContainer.bento_store.set(BentoStore(tmp_path / "bentoml/bentos"))
    yield loop
    BentoMLContainer.bento_store.reset()


def artifacts() -> set[str | None]:
    async def read() -> set[str | None]:
        async with get_client() as client:
            return {artifact.key for artifact in await client.read_artifacts()}

    return asyncio.run(read())


def hear_the_champion(loop: Loop) -> None:
    """It answers a ticket, and the challenger does not."""
    store = loop.events()
    store.predicted(prediction(at=loop.ledger.now(), epoch=loop.entry.state.epoch, arm="champion"))
    store.close(5)


def test_from_registration_to_a_rollback_by_flows_alone(at_root: Loop) -> None:
    at_root.register(1)
    assert "Ledger: adopt by monthly flow, epoch 1" in reconcile()
    at_root.assert_agrees()
    assert at_root.tag(1, "bento.cpu"), "the champion's Bento was missing"
    assert reconcile() == ""

    at_root.register(2)
    said = rollout()
    assert "Ledger: start by monthly flow, epoch 2" in said and "Decided: wait." in said
    assert {"rollout", "rollout-page"} <= artifacts()
    assert len(at_root.ledger.looks(2)) == 1

    at_root.give("champion", 2)  # a person, before the next look
    said = rollout()
    assert "Ledger: promote by person via MLflow, epoch 3" in said and "No rollout is on." in said
    at_root.assert_agrees()

    said = rollback("Refunds are all positive.")
    assert said.startswith(
        f"Version 1 ({at_root.digest(1)[:12]}) serves now: rollback by rollback flow, epoch 4"
    )
    at_root.assert_agrees()
    assert rollback().startswith("Nothing to do: rollback flow did it")
    assert at_root.told[-1] == "rollback by rollback flow"

    said = rollback("It was the tickets.", version=2)  # as `--param version=2` comes
    assert said.startswith(
        f"Version 2 ({at_root.digest(2)[:12]}) serves now: rollback by rollback flow, epoch 5"
    )
    at_root.assert_agrees()


def until_a_rollback(loop: Loop) -> None:
    """All looks but the last before a challenger that is not heard goes back."""
    loop.begin(1, 2)
    moves.advance(loop.ledger, loop.entry, 0.05, By(moves.ROLLOUT, "Because."))
    for _ in range(loop.params.rollout.missing_looks - 1):
        hear_the_champion(loop)
        rollout()
    hear_the_champion(loop)


def texts_of(hook: Hook, name: str) -> list[str]:
    return [body["text"] for body in hook.bodies if f"] {name}:" in body["text"]]


def test_silence_ends_a_rollout_by_flows_alone(at_root: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        until_a_rollback(at_root)
        said = rollout()
    (text,) = texts_of(hook, "RolledBack")
    assert text.startswith("[ticket] RolledBack: the challenger was rolled back\nDecided: rollback.")
    assert "Told of RolledBack: webhook: sent" in said
    assert "Decided: rollback." in said and "MLflow: the alias `challenger` belongs to nobody." in said
    at_root.assert_agrees()


def test_people_are_told_of_a_rollback_although_what_follows_from_it_does_not_come(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As of a machine that goes away: the next look finds no rollout, and would say nothing."""
    follow = flows.rollout.follow

    def once_a_look(*given: Any, **named: Any) -> Any:
        if at_root.entry.state.challenger is None:
            raise KeyboardInterrupt
        return follow(*given, **named)

    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        until_a_rollback(at_root)
        monkeypatch.setattr(flows.rollout, "follow", once_a_look)
        with pytest.raises(KeyboardInterrupt):
            rollout()
    assert len(texts_of(hook, "RolledBack")) == 1


def test_a_rollback_whose_flow_was_killed_before_it_told_is_told_by_the_next(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_: Any) -> Any:
        raise KeyboardInterrupt

    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        until_a_rollback(at_root)
        with monkeypatch.context() as patch:
            patch.setattr(flows.rollout, "tell_people", killed)
            with pytest.raises(KeyboardInterrupt):
                rollout()
        assert at_root.entry.state.challenger is None and not texts_of(hook, "RolledBack")
        assert "Told of RolledBack: webhook: sent" in rollout()
        assert "RolledBack" not in rollout()
    (text,) = texts_of(hook, "RolledBack")
    assert "Decided: rollback." in text


def test_a_rollback_that_no_way_took_is_told_when_it_is_back(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ticket_sentiment.alerts.tell.RETRY_S", 0.0)
    until_a_rollback(at_root)
    monkeypatch.setenv(at_root.params.alerts.webhook.url_env, "http://127.0.0.1:9/")
    assert "Told of RolledBack: webhook: not sent: ConnectionRefusedError" in rollout()
    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        assert re.search(r"Told late of RolledBack of .* UTC: webhook: sent", rollout())
        assert "Told late" not in rollout()
    (text,) = texts_of(hook, "RolledBack")
    assert "sent late" in text


def test_people_are_told_of_a_flow_that_failed(at_root: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The event database is a folder of nowhere: the error that is meant for people comes whole."""
    monkeypatch.setenv(at_root.params.events.url_env, f"sqlite:///{at_root.root}/params.yaml/events.db")
    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        with pytest.raises(TicketSentimentError) as caught:
            rollout()
    (told,) = hook.bodies
    assert told["text"].startswith("[ticket] FlowFailed: the flow rollout has failed\n")
    assert str(caught.value) in told["text"]


def test_people_are_told_once_of_a_reconcile_that_fails_each_minute(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        for _ in range(3):
            with pytest.raises(MlflowUnavailable):
                reconcile()
    (told,) = hook.bodies
    assert told["text"].startswith("[ticket] FlowFailed: the flow reconcile has failed\nMLflow does not do")


def test_people_are_told_once_of_what_cannot_be_carried_out(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_root.begin(1)
    with Hook() as hook:
        monkeypatch.setenv(at_root.params.alerts.webhook.url_env, hook.url)
        at_root.give("challenger", 1)
        said = [reconcile() for _ in range(2)]
    (told,) = hook.bodies
    assert told["text"].startswith("[ticket] NotCarriedOut: ") and "cannot challenge itself" in told["text"]
    assert "Told of NotCarriedOut: webhook: sent" in said[0]


def test_a_silent_challenger_goes_back_although_mlflow_is_away(
    at_root: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    at_root.begin(1, 2)
    with monkeypatch.context() as patch:
        patch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
        patch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
        for _ in range(at_root.params.rollout.missing_looks):
            hear_the_champion(at_root)
            said = rollout()
        assert "Not reconciled yet: MLflow does not do" in said and "Decided: rollback." in said
    assert at_root.aliases() == ("1", "2", "none")
    reconcile()
    at_root.assert_agrees()

"""The flow `monitor` with a real Prefect: an early retraining is made once, whatever is killed between."""

import asyncio
import re
from datetime import timedelta

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import FlowRun

from flows import monitor as module
from flows.monitor import monitor
from tests.monitoring.desk import in_service, traffic
from tests.promotion.loop import Loop
from tests.support.hooks import Hook
from ticket_sentiment.events import retrainings

pytestmark = pytest.mark.slow


@flow(name="monthly-retrain")
def monthly(early: bool = False) -> None:
    """In the place of the monthly flow, which takes minutes: it is made, and no worker takes it up."""


async def deploy() -> None:
    async with get_client() as client:
        flow_id = await client.create_flow(monthly)
        await client.create_deployment(flow_id, "monthly", parameter_openapi_schema={"type": "object"})


def early_runs() -> list[FlowRun]:
    async def read() -> list[FlowRun]:
        async with get_client() as client:
            runs = await client.read_flow_runs()
            return [run for run in runs if run.name.startswith("early-retraining")]

    return asyncio.run(read())


def test_a_change_that_lasts_starts_the_monthly_flow_once(
    loop: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(loop.root)
    monkeypatch.delenv(loop.params.events.url_env, raising=False)
    digest = in_service(loop)
    assert "No alarm." in monitor(), "nobody has asked anything yet"
    traffic(loop, digest, days=7, change=lambda text: text[:20])
    said = monitor()
    assert "AnswersDrifted: What the champion is asked" in said
    assert re.search(
        r"early-retraining-1-\S+ is not started: there is no deployment monthly-retrain/monthly", said
    )
    assert retrainings.last(loop.ledger.database).run is None

    asyncio.run(deploy())
    with monkeypatch.context() as patch:

        def killed(*_: object) -> None:
            raise KeyboardInterrupt

        patch.setattr(module, "note_started", killed)
        with pytest.raises(KeyboardInterrupt):
            monitor()
    (run,) = early_runs()
    assert run.parameters == {"early": True} and run.parent_task_run_id is None
    assert f"{run.name} started for AnswersDrifted: run {run.id}" in monitor()
    assert "started" not in monitor(), "it cools down"
    assert [item.id for item in early_runs()] == [run.id]
    assert retrainings.last(loop.ledger.database).run == str(run.id)
    assert loop.aliases()[0] == "1", "nothing was promoted"
    assert "AnswersDrifted" in (loop.root / "var/monitor.html").read_text()


def test_people_are_told_although_no_page_can_be_written(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(loop.root)
    monkeypatch.delenv(loop.params.events.url_env, raising=False)
    digest = in_service(loop)
    traffic(loop, digest, days=1, rows=60, until=loop.ledger.now() - timedelta(days=6))
    (loop.root / "var/monitor.html").mkdir()  # as a disk that is full
    with Hook() as hook:
        monkeypatch.setenv(loop.params.alerts.webhook.url_env, hook.url)
        with pytest.raises(OSError):
            monitor()
    first, last = (body["text"] for body in hook.bodies)
    assert first.startswith("[ticket] TrafficSilent") and last.startswith("[ticket] FlowFailed")

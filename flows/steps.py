"""Steps that more than one flow takes."""

from contextlib import AbstractContextManager
from pathlib import Path

from prefect import task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.retries import may_pass
from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.tell import send_owed, tell
from ticket_sentiment.files import exclusive
from ticket_sentiment.params import Params
from ticket_sentiment.pipeline import RETRAIN_LOCK, RETRAINING, reproduce
from ticket_sentiment.registry.build import build_services
from ticket_sentiment.registry.registry import Registration

SUMMARY = Path("reports/summary.txt")
REPORT = Path("reports/release.html")
LOCK_WAIT_S = 4 * 3600.0  # longer than a retraining takes, shorter than the deadline of its job on Kubernetes


def alone() -> AbstractContextManager[None]:
    """One retraining or hotfix at a time: the second one waits for the first."""
    return exclusive(RETRAIN_LOCK, RETRAINING, LOCK_WAIT_S)


@task(cache_policy=NO_CACHE)
def tell_people(params: Params, alert: Alert) -> list[str]:
    """By webhook, e-mail, SNS; how it went, for the end of the flow."""
    return [f"Told of {alert.name}: {line}" for line in tell(params.alerts, alert)]


@task(cache_policy=NO_CACHE)
def tell_owed(params: Params) -> list[str]:
    """What a way did not take when it was told; how it went, for the end of the flow."""
    return [f"Told late of {line}" for line in send_owed(params.alerts)]


@task(cache_policy=NO_CACHE, task_run_name="dvc repro {stage}")
def repro(stage: str, root: Path = Path()) -> None:
    """A stage, with all before it that are out of date: `prepare` validates, `report` judges."""
    reproduce(stage, root)


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=10, retry_condition_fn=may_pass)
def build(params: Params, version: int) -> dict[str, str]:
    return build_services(params, version)


@task(cache_policy=NO_CACHE)
def publish(registration: Registration, news: list[str], root: Path = Path()) -> str:
    """What a person reads: at the end of the terminal, and as artifacts of the run."""
    summary = (root / SUMMARY).read_text(encoding="utf-8").rstrip()
    lines = [summary, *registration.lines(), *news]
    if root != Path():
        lines.append(f"all of it is in {root}")
    text = "\n".join(lines)
    create_markdown_artifact(f"```\n{text}\n```", key="release", description="The decision and its reasons")
    report = (root / REPORT).resolve().as_uri()
    create_link_artifact(report, key="release-report", link_text="Release report")
    return text

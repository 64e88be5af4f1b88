"""The month: collect, judge the tickets, train, compress, judge the model, register, build, roll out."""

import sys
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import TaskRun
from prefect.states import State

from flows.reconcile import follow, told
from ticket_sentiment.cli import quiet_environment
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.feedback.export import main as export_feedback
from ticket_sentiment.feedback.export import replacements
from ticket_sentiment.files import exclusive
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.pipeline import reproduce
from ticket_sentiment.registry.build import build_services
from ticket_sentiment.registry.registry import Registration, export_champion, register
from ticket_sentiment.tickets.collect import main as collect_tickets

SUMMARY = Path("reports/summary.txt")
REPORT = Path("reports/release.html")


async def _may_pass(_task: object, _run: TaskRun, state: State) -> bool:
    """What was away may be back: a source, a registry. What a person must correct is not tried again."""
    failure = await state.aresult(raise_on_failure=False)
    return isinstance(failure, EventStoreUnavailable) or not isinstance(failure, TicketSentimentError)


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=[10, 60, 300], retry_condition_fn=_may_pass)
def collect(params: Params, month: str | None, replace: list[str]) -> None:
    tickets, labels = replacements(replace)
    collect_tickets(params, month, tickets)
    export_feedback(params, labels)


@task(cache_policy=NO_CACHE, task_run_name="dvc repro {stage}")
def repro(stage: str) -> None:
    """A stage, with all before it that are out of date: `prepare` validates, `report` judges."""
    reproduce(stage)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=_may_pass)
def fetch_champion(params: Params) -> None:
    export_champion(params)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=_may_pass)
def register_result(params: Params) -> Registration:
    return register(params)


@task(cache_policy=NO_CACHE, retries=1, retry_delay_seconds=10, retry_condition_fn=_may_pass)
def build(params: Params, version: int) -> dict[str, str]:
    return build_services(params, version)


@task(cache_policy=NO_CACHE)
def publish(registration: Registration, news: list[str]) -> str:
    """What a person reads: at the end of the terminal, and as artifacts of the run."""
    lines = [SUMMARY.read_text(encoding="utf-8").rstrip(), *registration.lines(), *news]
    text = "\n".join(lines)
    create_markdown_artifact(f"```\n{text}\n```", key="release", description="The decision and its reasons")
    create_link_artifact(REPORT.resolve().as_uri(), key="release-report", link_text="Release report")
    return text


@flow(name="monthly-retrain")
def monthly_retrain(month: str | None = None, replace: list[str] | None = None) -> str:
    """Retrain on all collected months and register the result when the gate lets it through.

    Args:
        month: collect only this one (YYYY-MM), from a source that holds one month; None is all complete ones.
        replace: months (YYYY-MM, of people's labels feedback/YYYY-MM) that may change although versioned.
    """
    quiet_environment()
    params = load_params()
    with exclusive(Path("var/retrain.lock"), "a retraining"):
        collect(params, month, replace or [])
        for stage in ("prepare", "train", "prune", "quantize"):
            repro(stage)
        fetch_champion(params)
        repro("report")
        registration = register_result(params)
        bentos = build(params, registration.version) if registration.version else {}
        begun = told(follow(params, return_state=True))
        return publish(registration, [*sorted(bentos.values()), *begun])


if __name__ == "__main__":
    try:
        print("\n" + monthly_retrain())
    except TicketSentimentError as error:
        sys.exit(f"\nerror: {error}")

"""Every hour: how the model in service does, told and shown; a change starts the monthly flow early."""

from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound

from flows.failures import HOOKS
from flows.program import run
from flows.retries import may_pass
from flows.steps import tell_owed
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.monitoring.look import Look, ask_early, keep_pages, look, note_started, tell_alarms
from ticket_sentiment.monitoring.page import markdown, write_page
from ticket_sentiment.params import Params, load_params

PAGE = Path("var/monitor.html")


@task(cache_policy=NO_CACHE)
def see(params: Params) -> Look:
    return look(params)


@task(cache_policy=NO_CACHE)
def publish(found: Look, params: Params) -> None:
    """What a person reads: as a page, and as artifacts of the run."""
    keep_pages(found.facts, params.monitor)
    page = write_page(found, params, PAGE)
    create_markdown_artifact(markdown(found, params), key="monitor", description="The model in service")
    create_link_artifact(page.resolve().as_uri(), key="monitor-page", link_text="The model in service")


@task(cache_policy=NO_CACHE)
def report(found: Look, params: Params) -> list[str]:
    return tell_alarms(found, params)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def retrain_early(found: Look, params: Params) -> list[str]:
    """The monthly flow's own deployment, so that it waits for one that runs; it promotes nothing by itself.

    An automation of Prefect would do the same from an event, but keep its cool-down in Prefect alone.
    """
    request = ask_early(found, params)
    if request is None:
        return []
    deployment = params.monitor.early_retraining.deployment
    try:
        run = run_deployment(
            deployment,
            parameters={"early": True},
            flow_run_name=request.name,
            idempotency_key=request.name,
            timeout=0,
            as_subflow=False,
        )
    except ObjectNotFound:
        return [f"{request.name} is not started: there is no deployment {deployment}: `prefect deploy --all`"]
    note_started(request, str(run.id), params)
    return [f"{request.name} started for {', '.join(request.reasons)}: run {run.id}"]


@flow(name="monitor", **HOOKS)
def monitor() -> str:
    """Look, tell, where the world has changed retrain, and show; killed anywhere, the next hour goes on.

    What shows is last: a disk that is full must not keep an alarm back.
    """
    quiet_environment()
    params = load_params()
    found = see(params)
    told = [*tell_owed(params), *report(found, params), *retrain_early(found, params)]
    publish(found, params)
    return "\n".join([*found.lines(), *told])


if __name__ == "__main__":
    run(monitor)

"""Every quarter of an hour: one look at the rollout that is on, and a page that shows it."""

from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.failures import HOOKS
from flows.program import run
from flows.reconcile import follow, told
from flows.steps import tell_people
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.retention import purge
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.promotion.controller import Outcome
from ticket_sentiment.promotion.controller import main as run_look
from ticket_sentiment.promotion.news import of_look
from ticket_sentiment.promotion.page import markdown, write_page
from ticket_sentiment.promotion.progress import present

PAGE = Path("var/rollout.html")


@task(cache_policy=NO_CACHE)
def look(params: Params) -> Outcome:
    return run_look(params)


@task(cache_policy=NO_CACHE)
def publish(params: Params) -> None:
    """What a person reads: as a page, and as artifacts of the run."""
    found = present(params)
    page = write_page(found, params, PAGE)
    create_markdown_artifact(markdown(found, params), key="rollout", description="The rollout")
    create_link_artifact(page.resolve().as_uri(), key="rollout-page", link_text="Rollout page")


@task(cache_policy=NO_CACHE)
def tidy(params: Params) -> None:
    """Events older than they are kept for."""
    ledger = Ledger.open(params.events)
    try:
        purge(ledger.database, params.events, ledger.now())
    finally:
        ledger.close()


@flow(name="rollout", **HOOKS)
def rollout() -> str:
    """People's decisions first; then advance, roll back, wait or stop; then all that follows from it."""
    quiet_environment()
    params = load_params()
    # A bad challenger goes back although MLflow is away.
    before = told(params, follow(params, return_state=True))
    outcome = look(params)
    # At once: of a rollback that is done the next look knows nothing more.
    news = of_look(outcome, params.objectives.runbooks)
    people = tell_people(params, news) if news else []
    after = told(params, follow(params, return_state=True))
    publish(params)
    tidy(params)
    return "\n".join([*before, *outcome.lines(), *after, *people])


if __name__ == "__main__":
    run(rollout)

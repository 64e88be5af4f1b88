"""Every quarter of an hour: one look at the rollout that is on, and a page that shows it."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from prefect import flow, task
from prefect.artifacts import create_link_artifact, create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from flows.failures import HOOKS
from flows.program import run
from flows.reconcile import follow, told
from flows.steps import tell_owed, tell_people
from ticket_sentiment.alerts.alert import Alert
from ticket_sentiment.alerts.memory import Memory
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.retention import purge
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.controller import Outcome
from ticket_sentiment.promotion.controller import main as run_look
from ticket_sentiment.promotion.news import of_look
from ticket_sentiment.promotion.page import markdown, write_page
from ticket_sentiment.promotion.progress import present

PAGE = Path("var/rollout.html")
CHANGES = 10  # of the ledger, the latest, among which one that was not told is looked for


@task(cache_policy=NO_CACHE)
def look(params: Params) -> Outcome:
    return run_look(params)


@task(cache_policy=NO_CACHE)
def untold(params: Params) -> list[Alert]:
    """What a look changed whose flow was killed before it told: the ledger has it, and no memory of alerts.

    Of half of `alerts.repeat_hours`: what was told then is remembered for sure.
    """
    with closing(Ledger.open(params.events)) as ledger:
        since = ledger.now() - timedelta(hours=params.alerts.repeat_hours / 2)
        changes = [(entry, entry.change) for entry in ledger.history(CHANGES) if entry.change]
    alerts = [
        of_look(Outcome(entry, change.action, (change.reason,)), params.objectives.runbooks)
        for entry, change in changes
        if change.actor == moves.ROLLOUT and change.at > since
    ]
    memory = Memory.of(params.alerts)
    return [alert for alert in alerts if alert and memory.find(alert) is None]


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
    for alert in untold(params):
        people += tell_people(params, alert)
    people += tell_owed(params)
    publish(params)
    tidy(params)
    return "\n".join([*before, *outcome.lines(), *after, *people])


if __name__ == "__main__":
    run(rollout)

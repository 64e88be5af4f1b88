"""Every minute: people's moves in MLflow go to the ledger, and aliases, releases and Bentos follow it."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE
from prefect.states import State

from flows.failures import HOOKS, TROUBLE_HOURS
from flows.program import run
from flows.steps import tell_people
from ticket_sentiment.alerts.memory import Memory
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.promotion.news import UNDONE_KEY, of_reconcile
from ticket_sentiment.promotion.reconcile import Report
from ticket_sentiment.promotion.reconcile import main as run_reconcile
from ticket_sentiment.registry.build import build_services, is_built


@task(cache_policy=NO_CACHE)
def follow(params: Params) -> Report:
    return run_reconcile(params)


def tell_undone(params: Params, report: Report) -> list[str]:
    """People hear of what could not be carried out; what was told is forgotten when nothing of it is left."""
    news = of_reconcile(report.refused, params.objectives.runbooks)
    if news is None:
        Memory.of(params.alerts).forget(UNDONE_KEY, TROUBLE_HOURS)
        return []
    return tell_people(params, news)


def told(params: Params, reconciliation: State) -> list[str]:
    """What one did, at the end of a flow that must not fail by it: the next one, in a minute, goes on."""
    found = reconciliation.result(raise_on_failure=False)
    if isinstance(found, Report):
        return [*found.lines(), *tell_undone(params, found)]
    why = found if isinstance(found, TicketSentimentError) else type(found).__name__
    return [f"Not reconciled yet: {why}"]


@task(cache_policy=NO_CACHE)
def build_missing(params: Params, version: str) -> None:
    """The champion's Bentos, for services that start anew; running ones take up its release without."""
    if not is_built(params, version):
        build_services(params, version)


@flow(name="reconcile", **HOOKS)
def reconcile() -> str:
    """Make true what the ledger and people say; killed anywhere, the next run goes on."""
    quiet_environment()
    params = load_params()
    report = follow(params)
    people = tell_undone(params, report)
    if report.entry and report.entry.change:
        build_missing(params, report.entry.change.champion_version)
    return "\n".join([*report.lines(), *people])


if __name__ == "__main__":
    run(reconcile)

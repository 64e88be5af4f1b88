"""The month: collect, judge the tickets, train, compress, judge the model, register, build, roll out."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.failures import HOOKS
from flows.program import run
from flows.reconcile import follow, told
from flows.retries import may_pass
from flows.steps import alone, build, publish, repro, tell_people
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.feedback.export import main as export_feedback
from ticket_sentiment.feedback.export import replacements
from ticket_sentiment.monitoring.live import export_live
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.processes import few_collections
from ticket_sentiment.promotion.news import of_collection, of_registration
from ticket_sentiment.registry.registry import Registration, export_champion, register
from ticket_sentiment.tickets.collect import CollectResult, require_months
from ticket_sentiment.tickets.collect import main as collect_tickets


@task(cache_policy=NO_CACHE, retries=3, retry_delay_seconds=[10, 60, 300], retry_condition_fn=may_pass)
def collect(params: Params, month: str | None, replace: list[str], early: bool) -> CollectResult:
    tickets, labels = replacements(replace)
    require_months(month, tickets, labels)
    export_feedback(params, labels, early)
    return collect_tickets(params, month, tickets, early)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def fetch_champion(params: Params) -> None:
    export_champion(params)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def fetch_live(params: Params) -> None:
    export_live(params)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def register_result(params: Params) -> Registration:
    return register(params)


@flow(name="monthly-retrain", **HOOKS)
def monthly_retrain(month: str | None = None, replace: list[str] | None = None, early: bool = False) -> str:
    """Retrain on all collected months and register the result when the gate lets it through.

    Args:
        month: collect only this one (YYYY-MM), from a source that holds one month; None is all complete ones.
        replace: months (YYYY-MM, of people's labels feedback/YYYY-MM) that may change although versioned.
        early: with the present month as far as it goes, if it is enough; it may change until it is over.
    """
    quiet_environment()
    with alone():
        params = load_params()  # after the wait, as the stages read the file then
        silent = of_collection(collect(params, month, replace or [], early), params.objectives.runbooks)
        news = tell_people(params, silent) if silent else []
        for stage in ("prepare", "train", "prune", "quantize"):
            repro(stage)
        fetch_champion(params)
        fetch_live(params)
        repro("report")
        registration = register_result(params)
        bentos = build(params, registration.version) if registration.version else {}
        begun = told(params, follow(params, return_state=True))
        if verdict := of_registration(registration, params.objectives.runbooks):
            begun += tell_people(params, verdict)
        return publish(registration, [*news, *sorted(bentos.values()), *begun])


if __name__ == "__main__":
    few_collections()
    run(monthly_retrain)

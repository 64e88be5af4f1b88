"""A hotfix: the champion learns corrected tickets, is compressed as it was, judged and registered."""

import argparse
from pathlib import Path

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.failures import HOOKS
from flows.program import run
from flows.reconcile import follow, told
from flows.retries import may_pass
from flows.steps import alone, build, publish, repro, tell_people
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.hotfix.start import Started, finish, start
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.processes import few_collections
from ticket_sentiment.promotion.news import of_registration
from ticket_sentiment.registry.registry import Registration


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def take_corrections(params: Params, file: str | None, feedback_since: str | None) -> Started:
    return start(params, Path(file) if file else None, feedback_since)


@task(cache_policy=NO_CACHE, retries=2, retry_delay_seconds=10, retry_condition_fn=may_pass)
def register_result(params: Params, folder: Path) -> Registration:
    return finish(params, folder)


@flow(name="hotfix", **HOOKS)
def hotfix(file: str | None = None, feedback_since: str | None = None) -> str:
    """Correct the champion and register the result when the gate lets it through.

    What the month made in models/ and reports/ stays: the stages run in a folder of their own.

    Args:
        file: of corrected tickets: text, label and, if known, ticket_id (CSV, JSON Lines or Parquet); or
        feedback_since: tickets that people have labelled otherwise than they were answered since this date.
    """
    quiet_environment()
    with alone():
        params = load_params()  # after the wait, as the stages read the file then
        started = take_corrections(params, file, feedback_since)
        print("\n".join(started.lines))
        if started.folder is None:
            return started.lines[-1]
        for stage in ("prepare", "train", "prune", "quantize", "report"):
            repro(stage, started.folder)
        registration = register_result(params, started.folder)
        bentos = build(params, registration.version) if registration.version else {}
        begun = told(params, follow(params, return_state=True))
        if verdict := of_registration(registration, params.objectives.runbooks):
            begun += tell_people(params, verdict)
        return publish(registration, [*sorted(bentos.values()), *begun], started.folder)


if __name__ == "__main__":
    few_collections()
    parser = argparse.ArgumentParser(prog="ticket-sentiment hotfix", description=__doc__)
    parser.add_argument("file", nargs="?")
    parser.add_argument("--feedback-since")
    arguments = parser.parse_args()
    run(lambda: hotfix(arguments.file, arguments.feedback_since))

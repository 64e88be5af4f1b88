"""At the press of a button: the rollout ends, else the champion before comes back, in seconds."""

import sys

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.failures import HOOKS
from flows.program import run
from flows.reconcile import follow, told
from ticket_sentiment.environment import quiet_environment
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.promotion.moves import ROLLBACK, By
from ticket_sentiment.promotion.rollback import lines, roll_back


@task(cache_policy=NO_CACHE)
def go_back(params: Params, reason: str, version: str | None) -> list[str]:
    ledger = Ledger.open(params.events)
    try:
        return lines(*roll_back(ledger, params, By(ROLLBACK, reason), version))
    finally:
        ledger.close()


@flow(name="rollback", **HOOKS)
def rollback(reason: str = "No reason given.", version: str | int | None = None) -> str:
    """Go back, then let MLflow's aliases follow; a second run right after does nothing more.

    Args:
        reason: for the history.
        version: of the registry to go to; None ends the rollout that is on, else brings the champion before.
            Prefect makes a number of `--param version=3`.
    """
    quiet_environment()
    params = load_params()
    now = go_back(params, reason, None if version is None else str(version))
    return "\n".join([*now, *told(params, follow(params, return_state=True))])


if __name__ == "__main__":
    run(lambda: rollback(*sys.argv[1:3]))

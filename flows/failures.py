"""Telling that a flow has failed. By itself, as what other steps import takes seconds (BentoML)."""

from typing import Any

from prefect import Flow
from prefect.client.schemas.objects import FlowRun
from prefect.states import State

from ticket_sentiment.alerts.memory import Memory
from ticket_sentiment.alerts.tell import tell
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import load_params
from ticket_sentiment.promotion.news import failures_of, of_failure

TROUBLE_HOURS = 1.0  # what fails again within them is the same trouble


def tell_failure(flow: Flow[..., object], _run: FlowRun, state: State) -> None:
    """The hook of every flow, once in `alerts.repeat_hours`. What tells must not add a failure of its own."""
    try:
        params = load_params()
        failure = state.result(raise_on_failure=False)
        tell(params.alerts, of_failure(flow.name, failure, params.objectives.runbooks))
    except TicketSentimentError as error:  # params.yaml itself is wrong
        print(f"nobody was told: {error}")


def forget_failure(flow: Flow[..., object], _run: FlowRun, _state: State) -> None:
    """The hook of every flow that ended well: the next failure is news, whatever was told before."""
    try:
        Memory.of(load_params().alerts).forget(failures_of(flow.name), TROUBLE_HOURS)
    except TicketSentimentError as error:
        print(f"what was told is still remembered: {error}")


# Every flow is made with them: @flow(name=..., **HOOKS).
HOOKS: dict[str, Any] = {
    "on_completion": [forget_failure],
    "on_failure": [tell_failure],
    "on_crashed": [tell_failure],
}

"""Listens to MLflow's webhook and reconciles at once when a person moves an alias."""

import asyncio
import sys

import uvicorn

from flows.program import run
from ticket_sentiment.environment import flow_environment, quiet_environment
from ticket_sentiment.params import load_params
from ticket_sentiment.promotion.webhook import application, secret_of

LIMIT_S = 900.0  # of one run, which may have to build the champion's Bentos


async def run_reconcile() -> None:
    """The flow in a process of its own; when it fails, which is said, the next minute's run goes on."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "flows.reconcile", env=flow_environment()
    )
    try:
        status = await asyncio.wait_for(process.wait(), LIMIT_S)
    except TimeoutError:
        process.kill()
        status = await process.wait()
    if status:
        print(f"reconciling ended with status {status}; the poll goes on", file=sys.stderr, flush=True)


def main() -> None:
    """Until it is stopped.

    Raises:
        TicketSentimentError: there is no secret.
    """
    quiet_environment()
    params = load_params()
    webhook = params.registry.webhook
    app = application(webhook, secret_of(webhook), params.registry.model, run_reconcile)
    print(f"listening for MLflow on http://{webhook.host}:{webhook.port}", flush=True)
    uvicorn.run(app, host=webhook.host, port=webhook.port, log_level="warning", access_log=False)


if __name__ == "__main__":
    run(main)

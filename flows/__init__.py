"""Prefect flows: time, order, retries, side effects.

What they do is in the library; what depends on what is in dvc.yaml.
"""

from ticket_sentiment.environment import before_prefect

# By `python -m flows.x` Prefect starts a server before the flow's body runs, in the environment of then. A
# worker of Prefect's has a server, and loads the flow's file alone: there the body's own call is enough.
before_prefect()

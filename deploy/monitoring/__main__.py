"""`make monitoring`: write rules, dashboards and alarms, and have Prometheus' own tools check them."""

import sys

from deploy.manifests.render import ROOT, params
from deploy.monitoring import checks
from deploy.monitoring.files import differing, files
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_text


def main() -> int:
    """Print what was written and what is wrong; 1 where something is."""
    made = files(params())
    for path in differing(params()):
        write_text(ROOT / path, made[path])
        print(f"written: {path}")
    wrong = 0
    for name, command in checks.commands().items():
        if checks.missing(command):
            print(f"{name}: not checked, as {command[0]} is not installed")
            continue
        content, said = checks.run(command)
        print(f"{name}: {'right' if content else said}")
        wrong += not content
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")

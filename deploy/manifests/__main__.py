"""`make manifests`: render and check every overlay of deploy/kubernetes."""

import sys

from deploy.manifests.check import errors
from deploy.manifests.render import overlays, render
from ticket_sentiment.errors import TicketSentimentError


def main() -> int:
    """Print what was checked and what is wrong; 1 where something is."""
    wrong = 0
    for overlay in overlays():
        objects = render(overlay)
        found = errors(objects)
        print(f"{overlay.name}: {len(objects)} objects, {len(found)} errors")
        for error in found:
            print(f"  {error}")
        wrong += len(found)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")

"""A flow that is run as a program: `python -m flows.NAME`."""

import sys
from collections.abc import Callable

from ticket_sentiment.errors import TicketSentimentError, of_files
from ticket_sentiment.processes import lines_in_order


def run(flow: Callable[[], str | None]) -> None:
    """Run it and print its last words; what a person can fix is one line on standard error, exit status 2."""
    lines_in_order()
    try:
        if words := flow():
            print("\n" + words)
    except Exception as error:
        words = error if isinstance(error, TicketSentimentError) else of_files(error)
        if words is None:
            raise
        print(f"\nerror: {words}", file=sys.stderr)
        sys.exit(2)

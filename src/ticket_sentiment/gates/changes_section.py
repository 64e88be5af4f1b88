"""What the release report says of customers: how many get another answer, which way, gained or lost.

Counts are told for 1,000 tickets, which a person can picture, beside the number that they were counted in.
"""

from typing import Any

import pandas as pd

from ticket_sentiment.gates.changes import Changes, Move, changes
from ticket_sentiment.gates.confidence_section import PREDICTIONS
from ticket_sentiment.gates.evidence import HOLDOUT, Missing
from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import number

BEFORE = {"champion": "the champion", "tfidf": "a bag of words"}
URGENT = "negative"  # the label that a support organisation routes by

Tile = tuple[str, str]  # a number, what it counts


def read_changes(evaluation: Evaluation | Missing, shown: int) -> Changes | None:
    """What got better and worse, or None where the tables do not say it, or of too few tickets.

    Those that the champion learnt as a hotfix do not count: where hardly one is left, stage `evaluate`
    compares nothing.
    """
    if isinstance(evaluation, Missing) or not (PREDICTIONS.is_file() and HOLDOUT.is_file()):
        return None
    holdout = pd.read_parquet(HOLDOUT, columns=["ticket_id", "channel", "text"])
    found = changes(pd.read_parquet(PREDICTIONS), holdout, shown)
    few = found.against == "champion" and evaluation.differences.compressed_minus_champion is None
    return None if few or not found.rows else found


def of_thousand(count: int, rows: int) -> str:
    """23 of 2,293 as "10": for so many of 1,000 tickets; "under 1" is not none."""
    told = 1000 * count / rows
    return "under 1" if 0 < told < 0.5 else number(told, 0)


def called(label: str, found: Changes) -> str:
    """How many more or fewer of 1,000 tickets are called `label` now."""
    before, after = next(pair for name, *pair in found.answers if name == label)
    if before == after:
        return f"as many as before are called {label}"
    more = of_thousand(abs(after - before), found.rows)
    return f"{more} {'more' if after > before else 'fewer'} are called {label}"


def commonest(found: Changes) -> str:
    """Which way most of the other answers go."""
    most: Move = found.moves[0]
    return f"Most often {most.after} instead of {most.before} ({of_thousand(most.rows, found.rows)})"


def first_screen(found: Changes) -> dict[str, Any]:
    """At most four numbers and a sentence: what a support lead asks before anything else."""

    def told(count: int) -> str:
        return of_thousand(count, found.rows)

    right, before = told(found.right), told(found.right_before)
    if found.against != "champion":
        return {
            "tiles": [(right, "right answers"), (before, f"by {BEFORE['tfidf']}, the simplest other way")],
            "note": "There is no champion yet whose answers could change.",
        }
    if not found.moved:
        return {"tiles": [(right, "right answers")], "note": "No ticket gets another answer."}
    return {
        "tiles": [
            (told(found.moved), "get another answer"),
            (f"+{told(found.better)}", "right now, wrong before"),
            (f"−{told(found.worse)}", "wrong now, right before"),
            (right, f"right answers, {before} before"),
        ],
        "note": f"{commonest(found)}; {called(URGENT, found)}.",
    }


def changes_section(found: Changes) -> dict[str, Any]:
    """The title and the tables of the fold; counts are of the holdout's tickets here."""
    return {
        "title": f"Against {BEFORE[found.against]}, {found.better:,} tickets got better "
        f"and {found.worse:,} worse",
        "before": BEFORE[found.against],
        "first": found.against != "champion",
        "rows": f"{found.rows:,}",
        "by_label": [(label, f"{better:,}", f"{worse:,}") for label, better, worse in found.by_label],
        "moves": [
            (move.before, move.after, *(f"{count:,}" for count in (move.rows, move.better, move.worse)))
            for move in found.moves
        ],
        "answers": [(label, f"{before:,}", f"{after:,}") for label, before, after in found.answers],
        "better": found.better_examples,
        "worse": found.worse_examples,
    }

"""What the release report says of parts of the holdout: a mean hides a channel that got worse."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import number
from ticket_sentiment.pages.figures import Axis, Row, rows_plot, tenths

SLICES = {
    "channel": "Channel",
    "length": "Length",
    "month": "Month",
    "masked": "Personal data",
    "language": "Language",
    "customers": "Customers",
    "product": "Product",
}


def slices_section(evaluation: Evaluation) -> dict[str, Any] | None:
    """Quality on parts of the holdout; None when no part is large enough."""
    parts = [one for one in evaluation.slices if one.rows < evaluation.holdout.rows]
    if not parts:
        return None
    whole = evaluation.models.compressed.macro_f1.value
    weakest = min(parts, key=lambda one: one.macro_f1)
    surely_below = [one for one in parts if one.high < whole]
    title = (
        f"Weakest on {weakest.value}: {number(weakest.macro_f1)}, with {number(whole)} on all tickets"
        if surely_below
        else f"No part of the tickets is surely weaker than the whole, {number(whole)}"
    )
    rows = [
        Row(
            f"{SLICES.get(one.slice, one.slice)}: {one.value} ({one.rows:,})",
            one.macro_f1,
            number(one.macro_f1),
            one.low,
            one.high,
            "bad" if one.high < whole else "plain",
        )
        for one in parts
    ]
    ends = tenths(min(one.low for one in parts), max(one.high for one in parts))
    ticks = [ends.ticks[0], (whole, f"all tickets {number(whole)}"), ends.ticks[-1]]
    axis = Axis(ends.low, ends.high, ticks, whole)
    return {
        "title": title,
        "plot": rows_plot(rows, axis, "Macro-F1 of parts of the tickets with its 95 % interval"),
    }

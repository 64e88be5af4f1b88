"""What the release report says of parts of the holdout: a mean hides a channel that got worse."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Evaluation
from ticket_sentiment.gates.words import between, share
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
    whole = evaluation.models.compressed.accuracy.value
    surely_below = [one for one in parts if one.right.high < whole]
    weakest = min(surely_below, key=lambda one: one.right.value, default=None)
    title = (
        f"Weakest on {weakest.value}: {share(weakest.right.value)} of the answers are right, "
        f"{share(whole)} on all tickets"
        if weakest
        else f"In no part of the tickets are surely fewer answers right than in all, {share(whole)}"
    )
    rows = [
        Row(
            f"{SLICES.get(one.slice, one.slice)}: {one.value} ({one.rows:,})",
            one.right.value,
            between(one.right) + (", surely below" if one in surely_below else ""),
            one.right.low,
            one.right.high,
            "bad" if one in surely_below else "plain",
        )
        for one in parts
    ]
    ends = tenths(min(one.right.low for one in parts), max(one.right.high for one in parts))
    ticks = [
        (ends.low, share(ends.low)),
        (whole, f"all tickets {share(whole)}"),
        (ends.high, share(ends.high)),
    ]
    axis = Axis(ends.low, ends.high, ticks, whole)
    return {
        "title": title,
        "plot": rows_plot(rows, axis, "Share of right answers in parts of the tickets, with 95 % interval"),
    }

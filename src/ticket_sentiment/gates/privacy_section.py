"""What the release report says of personal data: how much was masked, month by month."""

from typing import Any

from ticket_sentiment.gates.evidence_types import Validation
from ticket_sentiment.gates.words import months


def privacy_section(validation: Validation) -> dict[str, Any]:
    """How much personal data was masked, month by month."""
    kinds = sorted({kind for month in validation.months.values() for kind in month.masks})
    rows = [
        (name, f"{month.rows:,}", *(f"{month.masks.get(kind, 0):,}" for kind in kinds))
        for name, month in sorted(validation.months.items())
    ]
    total = sum(count for month in validation.months.values() for count in month.masks.values())
    return {
        "title": f"{total:,} pieces of personal data were masked in {months(validation.months)}",
        "kinds": [kind.capitalize() if kind != "URL" else kind for kind in kinds],
        "rows": rows,
    }

"""The gate `data`: the tickets are in order, and the holdout is later than what was learnt from."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import months


@gate(place=10)
def data(evidence: Evidence, limits: Limits) -> Looked:
    """The tickets passed validation, are those that lie here, and the holdout is later than the training."""
    validation, split, tickets = (
        need(evidence.validation),
        need(evidence.split),
        need(evidence.tickets_sha256),
    )

    def findings() -> Iterator[Finding]:
        rules = [failure.sentence for failure in validation.failures]
        more = f" ({len(rules) - 1} more in reports/validation)" if len(rules) > 1 else ""
        broken = f"The tickets fail validation: {rules[0]}{more}" if rules else "The tickets fail validation."
        rows = sum(month.rows for month in validation.months.values())
        yield found(
            validation.success and not rules,
            "fail",
            f"All {rows:,} tickets of {months(validation.months)} passed validation.",
            broken,
        )
        if tickets != validation.data_sha256:
            yield finding("fail", "The tickets have changed since they were validated.")
        train, tune, holdout = split.months.train, split.months.tune, split.months.holdout
        if not (max(train) < min(tune) and max(tune) < min(holdout)):
            yield finding(
                "fail",
                "The months overlap: training must end before tuning, and tuning before the holdout.",
            )
        yield found(
            split.rows.holdout >= limits.gate.min_holdout_rows,
            limits.missed("min_holdout_rows"),
            f"{split.rows.holdout:,} tickets of {months(holdout)} were held out, "
            f"at least {limits.gate.min_holdout_rows:,} are needed for a decision without a person.",
        )

    return findings(), {"data_sha256": validation.data_sha256, "holdout_rows": split.rows.holdout}

"""The gate `leakage`: what the model is judged on is not among what it learnt from."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, gate, need
from ticket_sentiment.gates.verdict import Finding

SPLIT = {
    "train_holdout": "the training tickets and the holdout",
    "tune_holdout": "the tuning tickets and the holdout",
    "train_tune": "the training and the tuning tickets",
}
TABLES = SPLIT | {
    "corrected_holdout": "the corrected tickets and the holdout",
    "earlier_holdout": "the tickets of earlier hotfixes and the holdout",
}


@gate("Is the holdout unknown to it?", place=15)
def leakage(evidence: Evidence, limits: Limits) -> Looked:
    """No ticket, customer or text is in two of the tables, and nothing that a hotfix learnt in the holdout.

    Customers may be where `prepare.customers` was `shared` when the tables were made.
    """
    report, split = need(evidence.inspection), need(evidence.split)
    apart = split.customers == "apart"

    def findings() -> Iterator[Finding]:
        for pair, where in TABLES.items():
            counts = getattr(report.shared, pair)
            if counts is None:
                continue
            found = [
                f"{count:,} {what}"
                for what, count in counts.model_dump().items()
                if count and (apart or what != "customers")
            ]
            if found:
                remedy = "`dvc repro -f -s prepare`" if pair in SPLIT else "`ticket-sentiment hotfix` again"
                yield finding("fail", f"{' and '.join(found)} are in both {where}: run {remedy}.")
        if apart:
            yield finding("pass", "No ticket, customer or text is on two sides of the split.")
        else:
            yield finding(
                "pass",
                "No ticket or text is on two sides of the split. Customers are, as `prepare.customers` is "
                f"`shared`: {report.shared.train_holdout.customers:,} of the holdout's also wrote training "
                "tickets, so that the scores are too good for customers who are new.",
            )

    return findings(), {"shared": report.shared.model_dump()}

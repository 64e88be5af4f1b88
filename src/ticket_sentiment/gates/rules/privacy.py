"""The gate `privacy`: no personal data is left in what the model learns from."""

from collections.abc import Iterator

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, found, gate, need
from ticket_sentiment.gates.inspection import CORRECTED
from ticket_sentiment.gates.verdict import Finding


@gate("Is it free of personal data?", place=16)
def privacy(evidence: Evidence, limits: Limits) -> Looked:
    """The masking rules find nothing more in the prepared tables."""
    report = need(evidence.inspection)
    rows = sum(report.rows.values())

    def findings() -> Iterator[Finding]:
        if report.rows.keys() != report.unmasked.keys():
            yield finding(
                "fail", "Not every table was searched for personal data: run `dvc repro -f -s inspect`."
            )
        for table, count in report.unmasked.items():
            if count:
                remedy = (
                    "run `ticket-sentiment hotfix` again, which masks what it is given"
                    if table in CORRECTED
                    else "run `ticket-sentiment collect`, which masks stored months, and `dvc repro`"
                )
                yield finding(
                    "fail",
                    f"{count:,} texts of data/prepared/{table}.parquet hold personal data that is not "
                    f"masked: {remedy}.",
                )
        yield found(rows > 0, "fail", f"No personal data was found in {rows:,} prepared tickets.")

    return findings(), {"rows": rows, "unmasked": sum(report.unmasked.values())}

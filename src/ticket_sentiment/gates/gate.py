"""Stage `gate`: one decision from all evidence. It travels in reports/gate.json, never in an exit code."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ticket_sentiment.files import write_json
from ticket_sentiment.gates.evidence import Evidence, Missing, gather
from ticket_sentiment.gates.fail_closed import Limits
from ticket_sentiment.gates.rules import gates_for
from ticket_sentiment.gates.verdict import combine
from ticket_sentiment.params import Params

RESULT = Path("reports/gate.json")


def judge(evidence: Evidence, limits: Limits) -> dict[str, Any]:
    """The content of reports/gate.json: the decision, why, and every gate's verdict."""
    verdicts = [function(evidence, limits) for function in gates_for(evidence)]
    decision, reasons = combine(verdicts)

    def digest(bundle: Any) -> str | None:
        return None if isinstance(bundle, Missing) else bundle.digest

    return {
        "decision": decision,
        "reasons": reasons,
        "bundle_digest": digest(evidence.cpu),
        "gpu_bundle_digest": digest(evidence.gpu),
        "holdout_sha256": None if isinstance(evidence.holdout_sha256, Missing) else evidence.holdout_sha256,
        "verdicts": [verdict.model_dump(mode="json") for verdict in verdicts],
    }


def main(params: Params, now: datetime | None = None) -> None:
    """Write reports/gate.json. The decision is in the file: any decision is a success of the stage.

    Args:
        params: sections `gate` and `budget` hold the thresholds.
        now: for tests; by default the present time.
    """
    write_json(RESULT, judge(gather(now or datetime.now(UTC)), Limits.of(params)))

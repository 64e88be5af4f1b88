"""Stage `hotfix-compare`: a hotfix beside its champion, on the corrected tickets and on the holdout.

The corrected tickets were learnt, so their share says whether the hotfix does what it is for and nothing
about quality. What it broke is counted on the holdout, which no choice was made on.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from ticket_sentiment.files import read_json, replacing, sha256_file, sha256_tree, write_json
from ticket_sentiment.gates import metrics
from ticket_sentiment.gates.scored import CHAMPION, CPU_BUNDLE, HOLDOUT, score_bundle
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Evaluate, Params

STARTED_FROM = Path("champion/version.json")
PREPARED = Path("data/prepared")
CORRECTED = PREPARED / "corrected.parquet"
PREDICTIONS = Path("reports/evaluation/predictions.parquet")
RESULT = Path("reports/hotfix.json")
ANSWERS = Path("reports/corrected.parquet")


def broken_share(
    right_before: NDArray, right_now: NDArray, clusters: NDArray, settings: Evaluate
) -> dict[str, Any]:
    """Of the tickets that were answered right, the share that is not any more, with its 95 % interval.

    Args:
        right_before: whether the champion is right, [rows].
        right_now: whether the hotfix is, [rows].
        clusters: `metrics.cluster_codes`, [rows].
        settings: resamples and seed.
    """

    def share(confusion: NDArray) -> NDArray:
        rows = confusion[..., 1, :].sum(axis=-1)
        return np.divide(confusion[..., 1, 0], rows, out=np.full(np.shape(rows), np.nan), where=rows > 0)

    before, now = right_before.astype(int), right_now.astype(int)
    drawn = metrics.bootstrap_confusions(
        before, {"now": now}, clusters, settings.bootstrap_samples, settings.seed, classes=2
    )["now"]
    whole = metrics.confusion_matrix(before, now, classes=2)
    groups = len(np.unique(clusters[right_before.astype(bool)]))
    return metrics.clustered_interval(float(share(whole)), share(drawn), groups).as_json()


def on_corrected(table: pd.DataFrame) -> tuple[pd.DataFrame, dict[str, str]]:
    """What both answer to the corrected tickets (ids and labels, no text), and the digests of both."""
    answers = pd.DataFrame({"ticket_id": table["ticket_id"], "label": table["label"]})
    digests = {}
    for name, path in (("champion", CHAMPION), ("compressed", CPU_BUNDLE)):
        digests[name], scored = score_bundle(path, table["text"].tolist())
        answers[f"{name}_label"] = [LABELS[index] for index in scored.predicted]
        answers[f"{name}_confidence"] = scored.probabilities.max(axis=1).astype(np.float32)
    return answers, digests


def corrected_counts(answers: pd.DataFrame) -> dict[str, int]:
    """The counts of `evidence_types.Corrected` in what `on_corrected` gives."""
    before, now = (answers[f"{name}_label"] == answers["label"] for name in ("champion", "compressed"))
    counts = {
        "right_before": before,
        "right_now": now,
        "wrong_before": ~before,
        "mended": ~before & now,
        "spoilt": before & ~now,
    }
    return {"rows": len(answers)} | {name: int(chosen.sum()) for name, chosen in counts.items()}


def main(params: Params) -> None:
    """Write reports/hotfix.json and reports/corrected.parquet."""
    answers, digests = on_corrected(read_prepared(CORRECTED, ("ticket_id", "text", "label")))
    predictions = read_prepared(PREDICTIONS, ("ticket_id", "label", "champion_label", "compressed_label"))
    holdout = read_prepared(HOLDOUT, ("ticket_id", "customer_id"))
    table = predictions.merge(holdout[["ticket_id", "customer_id"]], on="ticket_id", validate="one_to_one")
    before, now = (table[f"{name}_label"] == table["label"] for name in ("champion", "compressed"))
    clusters = metrics.cluster_codes(table["customer_id"].tolist(), len(table))
    with replacing(ANSWERS) as temporary:
        answers.to_parquet(temporary, index=False)
    write_json(
        RESULT,
        {
            "champion": {"version": read_json(STARTED_FROM)["version"], "digest": digests["champion"]},
            "bundle_digest": digests["compressed"],
            "prepared_sha256": sha256_tree(PREPARED),
            "holdout_sha256": sha256_file(HOLDOUT),
            "corrected": corrected_counts(answers),
            "kept": {
                "right_before": int(before.sum()),
                "broken": broken_share(before.to_numpy(), now.to_numpy(), clusters, params.evaluate),
                "mended": int((~before & now).sum()),
            },
        },
    )

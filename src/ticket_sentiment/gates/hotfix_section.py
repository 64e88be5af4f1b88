"""What the release report says of a hotfix: the corrected tickets before and after, by id."""

from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.gates.changes import examples
from ticket_sentiment.gates.evidence import Missing
from ticket_sentiment.gates.evidence_types import Corrected, Hotfix
from ticket_sentiment.gates.words import between, share

CORRECTED = Path("data/prepared/corrected.parquet")
ANSWERS = Path("reports/corrected.parquet")


def _corrected_in_words(corrected: Corrected) -> str:
    return (
        f"{corrected.mended:,} of {corrected.wrong_before:,} corrected tickets that were wrong are right "
        f"now; {corrected.right_now:,} of all {corrected.rows:,} are, {corrected.right_before:,} were before"
    )


def hotfix_line(report: Hotfix) -> str:
    """For the summary."""
    kept = report.kept
    return (
        f"of version {report.champion.version}: {_corrected_in_words(report.corrected)}; of "
        f"{kept.right_before:,} others that were right {between(kept.broken, 1)} are wrong now"
    )


def hotfix_section(report: Hotfix | Missing, shown: int) -> dict[str, Any]:
    """Title, numbers, examples, and what was answered to every corrected ticket.

    Args:
        report: of the stage.
        shown: examples of each kind.
    """
    absent = {"reached": None, "missing": None, "answers": None}
    if isinstance(report, Missing):
        return absent | {"title": "What the hotfix changed is not known", "missing": report.sentence}
    corrected, kept = report.corrected, report.kept
    section = absent | {
        "title": f"This is a hotfix of version {report.champion.version}: {_corrected_in_words(corrected)}",
        "reached": share(corrected.right_now / corrected.rows, 1),
        "broken": between(kept.broken, 1),
        "kept": f"{kept.right_before:,}",
        "mended": f"{kept.mended:,}",
    }
    if not (CORRECTED.is_file() and ANSWERS.is_file()):
        return section | {"missing": "The corrected tickets or the answers to them are missing."}
    answers = pd.read_parquet(ANSWERS).rename(columns={"compressed_confidence": "confidence"})
    texts = pd.read_parquet(CORRECTED, columns=["ticket_id", "text"]).assign(channel="corrected")
    table = answers.merge(texts, on="ticket_id", validate="one_to_one")
    was, now = table["champion_label"] == table["label"], table["compressed_label"] == table["label"]
    order = table.assign(right=now).sort_values(["right", "ticket_id"], kind="stable")
    return section | {
        "corrected_examples": examples(table[~was & now], "champion_label", shown),
        "wrong_examples": examples(table[~now], "champion_label", shown),
        "answers": list(
            order[["ticket_id", "label", "champion_label", "compressed_label", "right"]].itertuples(
                index=False
            )
        ),
    }

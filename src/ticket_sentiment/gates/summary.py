"""reports/summary.txt: the report in about fifteen short lines, for the end of a run."""

import textwrap
from pathlib import Path
from typing import Any

from ticket_sentiment.gates.behaviour_section import behaviour_line
from ticket_sentiment.gates.cost_section import cost_lines
from ticket_sentiment.gates.decision_section import in_words, next_step
from ticket_sentiment.gates.drift_section import drift_line
from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import (
    BehaviourReport,
    Benchmark,
    Compression,
    Cost,
    Drift,
    Evaluation,
    Hotfix,
    JoinedLabels,
    Split,
    Validation,
)
from ticket_sentiment.gates.frontier_section import summary_line
from ticket_sentiment.gates.hotfix_section import hotfix_line
from ticket_sentiment.gates.privacy_section import privacy_section
from ticket_sentiment.gates.quality_section import quality_lines
from ticket_sentiment.gates.speed_section import speed_lines
from ticket_sentiment.params import Budget

REASONS = 4
WIDTH, INDENT = 110, 10  # characters of a line, and of its first column


def _feedback_line(joined: JoinedLabels) -> str:
    """What people's labels changed; which of them cannot be used is what a person has to look at."""
    open_ends = [
        f"{joined.orphans:,} labels of tickets that are not collected" if joined.orphans else "",
        f"{joined.conflicts:,} tickets with contradicting labels" if joined.conflicts else "",
    ]
    return ", ".join(
        [
            f"{joined.changed:,} tickets corrected and {joined.added:,} newly labelled by "
            f"{joined.labels:,} labels of people",
            *filter(None, open_ends),
        ]
    )


def _split_line(split: Split) -> str:
    """How many tickets are learnt from, and how many could not be as their customers are judged on."""
    return (
        f"{split.rows.train + split.rows.tune:,} tickets to learn from; {split.known_customers:,} left out: "
        "their customers wrote later, too (prepare.customers)"
    )


def _wrapped(name: str, text: str) -> str:
    return (
        textwrap.fill(text, WIDTH, initial_indent=f"{name:<{INDENT}}", subsequent_indent=" " * INDENT) + "\n"
    )


def summary(evidence: Evidence, gate: dict[str, Any], budget: Budget, page: Path) -> str:
    """About fifteen short lines for the end of a run.

    Args:
        evidence: as the gate saw it.
        gate: reports/gate.json.
        budget: the limits of compression.
        page: where the report lies.
    """
    decision, reasons = gate["decision"], gate["reasons"]
    lines = [("Decision", in_words(decision, evidence))]
    if decision == "pass":
        lines.append(("", f"all {len(gate['verdicts'])} checks passed"))
    else:
        lines += [("", f"- {reason}") for reason in reasons[:REASONS]]
        if len(reasons) > REASONS:
            lines.append(("", f"- and {len(reasons) - REASONS} more in the report"))
    if isinstance(evidence.hotfix, Hotfix):
        lines.append(("Hotfix", hotfix_line(evidence.hotfix)))
    if isinstance(evidence.evaluation, Evaluation):
        lines += quality_lines(evidence.evaluation)
    if isinstance(evidence.behaviour, BehaviourReport):
        lines.append(("Behaviour", behaviour_line(evidence.behaviour)))
    if isinstance(evidence.compression, Compression):
        lines.append(("Shape", summary_line(evidence.compression, budget)))
    if isinstance(evidence.benchmark, Benchmark):
        lines += speed_lines(evidence.benchmark)
    if isinstance(evidence.cost, Cost):
        lines += zip(("Cost", ""), cost_lines(evidence.cost), strict=True)
    if isinstance(evidence.drift, Drift):
        lines.append(("Drift", drift_line(evidence.drift)))
    if isinstance(evidence.validation, Validation):
        lines.append(("Privacy", privacy_section(evidence.validation)["title"]))
    if isinstance(evidence.split, Split) and evidence.split.known_customers:
        lines.append(("Split", _split_line(evidence.split)))
    if isinstance(evidence.split, Split) and evidence.split.feedback.labels:
        lines.append(("Feedback", _feedback_line(evidence.split.feedback)))
    lines += [("Report", str(page)), ("Next", next_step(decision, evidence))]
    return "".join(_wrapped(name, text) for name, text in lines)

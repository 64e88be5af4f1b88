"""Stage `report`: reports/release.html, which a support lead reads, and reports/summary.txt for the terminal.

Both say the same and depend on nothing but the evidence: equal files give equal bytes. The page stands alone:
no network, no script, no image file. It shows short excerpts of masked tickets; nothing else here does.
"""

import textwrap
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.files import read_json, write_json, write_text
from ticket_sentiment.gates import sections
from ticket_sentiment.gates.behaviour_section import behaviour_line, behaviour_section
from ticket_sentiment.gates.behaviour_types import BehaviourReport
from ticket_sentiment.gates.changes import Changes, changes
from ticket_sentiment.gates.cost_section import cost_lines, cost_section
from ticket_sentiment.gates.drift_section import drift_line, drift_section
from ticket_sentiment.gates.evidence import HOLDOUT, Evidence, Missing, gather
from ticket_sentiment.gates.evidence_types import (
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
from ticket_sentiment.gates.frontier_section import frontier, summary_line
from ticket_sentiment.gates.gate import RESULT as GATE
from ticket_sentiment.gates.headline import headline
from ticket_sentiment.gates.hotfix_section import hotfix_line, hotfix_section
from ticket_sentiment.gates.verdict import Verdict
from ticket_sentiment.gates.words import (
    bytes_in_words,
    measure,
    months,
    number,
    points,
    share,
    times,
)
from ticket_sentiment.pages.figures import reliability_plot
from ticket_sentiment.pages.render import render
from ticket_sentiment.params import Budget, Params

PREDICTIONS = Path("reports/evaluation/predictions.parquet")
RELIABILITY = Path("reports/evaluation/reliability.csv")
PAGE = Path("reports/release.html")
TEMPLATE = Path(__file__).parent / "templates/release.html"
SUMMARY = Path("reports/summary.txt")
HEADLINE = Path("reports/metrics.json")

QUESTIONS = {
    "data": "Are the tickets in order?",
    "quality": "Is it good enough?",
    "baseline": "Has it learnt more than simple methods?",
    "compression": "Did making it small cost little?",
    "champion": "Is it as good as the present model?",
    "behaviour": "Does it still understand plain cases?",
    "calibration": "Can its confidence be trusted?",
    "drift": "Has the month changed, and is the holdout like live traffic?",
    "benchmark": "Is it small and fast?",
    "integrity": "Is every report about this very model?",
    "hotfix": "Are the corrected tickets right now, and the others still?",
}
DECISIONS = {
    "pass": "Pass: the new model may be released",
    "review": "Review: a person has to decide",
    "fail": "Fail: the new model must not be released",
}
REASONS_IN_SUMMARY = 4
WIDTH, INDENT = 110, 10  # characters of a line of the summary, and of its first column


def in_words(decision: str, evidence: Evidence) -> str:
    """The decision as a heading."""
    words = DECISIONS[decision]
    return words if evidence.hotfix is None else words.replace("new model", "hotfix")


def next_step(decision: str, evidence: Evidence) -> str:
    """What happens now, and what a person does."""
    if decision == "fail":
        return (
            "The model is not registered and what serves today stays. Correct what the reasons name, "
            f"then run {'make retrain' if evidence.hotfix is None else 'the hotfix'} again."
        )
    if decision == "review":
        return (
            "The model is registered and waits; what serves today stays. "
            "If you accept it, move the alias champion to it in MLflow (make ui)."
        )
    if getattr(evidence.champion, "digest", None) == getattr(evidence.cpu, "digest", ""):
        return "It is the present champion already: make serve answers with it."
    if evidence.champion is None:
        return "It is the first model and becomes the champion: make serve answers with it."
    if evidence.hotfix is not None:
        return "The short rollout of a hotfix begins, beside the champion: ticket-sentiment status."
    return "Its rollout beside the champion begins, unseen by customers at first: ticket-sentiment status."


def read_changes(evaluation: Evaluation | Missing) -> Changes | None:
    """What got better and worse, or None where the tables that say so are not there."""
    if isinstance(evaluation, Missing) or not (PREDICTIONS.is_file() and HOLDOUT.is_file()):
        return None
    return changes(
        pd.read_parquet(PREDICTIONS), pd.read_parquet(HOLDOUT, columns=["ticket_id", "channel", "text"])
    )


def read_reliability(evaluation: Evaluation | Missing) -> dict[str, Any] | None:
    """The plot of the compressed model's calibration, or None where its table is not there."""
    if isinstance(evaluation, Missing) or not RELIABILITY.is_file():
        return None
    table = pd.read_csv(RELIABILITY)
    ours = table[table["model"] == "compressed"]
    bins = list(ours[["confidence", "accuracy", "rows"]].itertuples(index=False, name=None))
    scores = evaluation.models.compressed
    off = points(scores.calibration_error, sign=False)
    described = ". ".join(f"Stated {share(stated)}: right {share(right)}" for stated, right, _ in bins)
    raw = scores.calibration_error_uncalibrated
    return {
        "title": f"Its stated confidence is {off} away from the truth on average",
        "plot": reliability_plot(bins, f"Confidence and share of right answers. {described}"),
        "before": None if raw is None else points(raw, sign=False),
    }


def context(evidence: Evidence, gate: dict[str, Any], params: Params) -> dict[str, Any]:
    """All that the template shows.

    Args:
        evidence: as the gate saw it.
        gate: reports/gate.json.
        params: section `budget` and the key train.base_model are read.
    """
    evaluation, base_model = evidence.evaluation, params.train.base_model

    def made(part: Any, *builders: Any) -> list[Any]:
        return [None if isinstance(part, Missing) else builder(part) for builder in builders]

    quality, confusion, slices = made(evaluation, sections.quality, sections.confusion, sections.slices)
    (speed,) = made(evidence.benchmark, sections.speed)
    (cost,) = made(evidence.cost, cost_section)
    (behaviour,) = made(evidence.behaviour, behaviour_section)
    (drift,) = made(evidence.drift, drift_section)
    (masks,) = made(evidence.validation, sections.masks)
    parts = {
        "evaluation": evaluation,
        "benchmark": evidence.benchmark,
        "cost": evidence.cost,
        "behaviour": evidence.behaviour,
        "drift": evidence.drift,
        "frontier": evidence.frontier,
    }
    return {
        "decision": gate["decision"],
        "headline": in_words(gate["decision"], evidence),
        "reasons": gate["reasons"],
        "next_step": next_step(gate["decision"], evidence),
        "checks": [
            (QUESTIONS[verdict.gate], verdict) for verdict in map(Verdict.model_validate, gate["verdicts"])
        ],
        "hotfix": None if evidence.hotfix is None else hotfix_section(evidence.hotfix),
        "holdout": None if isinstance(evaluation, Missing) else evaluation.holdout,
        "quality": quality,
        "confusion": confusion,
        "slices": slices,
        "reliability": read_reliability(evaluation),
        "changes": read_changes(evaluation),
        "behaviour": behaviour,
        "drift": drift,
        "frontier": frontier(evidence, params.budget, base_model),
        "speed": speed,
        "cost": cost,
        "masks": masks,
        "missing": {name: part.sentence for name, part in parts.items() if isinstance(part, Missing)},
        "lineage": sections.lineage(evidence, base_model, version("ticket-sentiment")),
        "labels": sections.LABELS,
        "models": sections.MODELS,
    }


def _quality_lines(evaluation: Evaluation) -> list[tuple[str, str]]:
    models, differences = evaluation.models, evaluation.differences
    rows, when = f"{evaluation.holdout.rows:,}", months(evaluation.holdout.months)
    against = differences.compressed_minus_champion
    return [
        (
            "Quality",
            f"macro-F1 {measure(models.compressed.macro_f1)} compressed, on {rows} tickets of {when}",
        ),
        ("", f"macro-F1 {measure(models.dense.macro_f1)} dense, before compression"),
        ("", f"{points(differences.compressed_minus_dense.macro_f1)} compressed against dense"),
        (
            "",
            f"{points(differences.compressed_minus_tfidf.macro_f1)} against TF-IDF with logistic regression",
        ),
        (
            "",
            f"{points(against.macro_f1)} against the champion" if against else "first model, no champion yet",
        ),
    ]


def _speed_lines(report: Benchmark) -> list[tuple[str, str]]:
    ours = report.variants.cpu_bundle
    torch = report.ratios.cpu_bundle_over_dense_torch_fp32.throughput
    onnx = report.ratios.cpu_bundle_over_dense_onnx_fp32.throughput
    return [
        ("Size", f"{bytes_in_words(ours.bytes)}, {times(report.size_ratio)} smaller than dense"),
        (
            "Speed",
            f"{ours.batch1.texts_per_second:,.0f} tickets/s a thread, {times(torch.median)} dense in PyTorch "
            f"({number(torch.low, 1)} to {number(torch.high, 1)}), {times(onnx.median)} in ONNX Runtime",
        ),
    ]


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


def _wrapped(name: str, text: str) -> str:
    return (
        textwrap.fill(text, WIDTH, initial_indent=f"{name:<{INDENT}}", subsequent_indent=" " * INDENT) + "\n"
    )


def summary(evidence: Evidence, gate: dict[str, Any], budget: Budget) -> str:
    """About fifteen short lines for the end of a run."""
    decision, reasons = gate["decision"], gate["reasons"]
    lines = [("Decision", in_words(decision, evidence))]
    if decision == "pass":
        lines.append(("", f"all {len(gate['verdicts'])} checks passed"))
    else:
        lines += [("", f"- {reason}") for reason in reasons[:REASONS_IN_SUMMARY]]
        if len(reasons) > REASONS_IN_SUMMARY:
            lines.append(("", f"- and {len(reasons) - REASONS_IN_SUMMARY} more in the report"))
    if isinstance(evidence.hotfix, Hotfix):
        lines.append(("Hotfix", hotfix_line(evidence.hotfix)))
    if isinstance(evidence.evaluation, Evaluation):
        lines += _quality_lines(evidence.evaluation)
    if isinstance(evidence.behaviour, BehaviourReport):
        lines.append(("Behaviour", behaviour_line(evidence.behaviour)))
    if isinstance(evidence.compression, Compression):
        lines.append(("Shape", summary_line(evidence.compression, budget)))
    if isinstance(evidence.benchmark, Benchmark):
        lines += _speed_lines(evidence.benchmark)
    if isinstance(evidence.cost, Cost):
        lines += zip(("Cost", ""), cost_lines(evidence.cost), strict=True)
    if isinstance(evidence.drift, Drift):
        lines.append(("Drift", drift_line(evidence.drift)))
    if isinstance(evidence.validation, Validation):
        lines.append(("Privacy", sections.masks(evidence.validation)["title"]))
    if isinstance(evidence.split, Split) and evidence.split.feedback.labels:
        lines.append(("Feedback", _feedback_line(evidence.split.feedback)))
    lines += [("Report", str(PAGE)), ("Next", next_step(decision, evidence))]
    return "".join(_wrapped(name, text) for name, text in lines)


def main(params: Params) -> None:
    """Write the page, the summary and the headline numbers from the reports of all stages before."""
    evidence = gather(datetime.now(UTC))  # only the gate counts the age of evidence
    gate = read_json(GATE)
    page = render(TEMPLATE, context(evidence, gate, params), {"months": months, "share": share})
    write_text(PAGE, page)
    write_text(SUMMARY, summary(evidence, gate, params.budget))
    write_json(HEADLINE, headline(evidence, gate))

"""Stage `report`: reports/release.html, which a support lead reads, and reports/summary.txt for the terminal.

Both say the same and depend on nothing but the evidence: equal files give equal bytes. The page stands alone:
no network, no script, no image file. Its first screen is the decision; each part of the evidence is a fold
below, made by its own `*_section.py` and shown by the file of the same name in templates/release/. It shows
short excerpts of masked tickets (as many as `report.excerpts` allows); nothing else here does.
"""

from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ticket_sentiment.files import read_json, write_json, write_text
from ticket_sentiment.gates.behaviour_section import behaviour_section
from ticket_sentiment.gates.card import make_card, write_card
from ticket_sentiment.gates.changes_section import changes_section, first_screen, read_changes
from ticket_sentiment.gates.confidence_section import confidence_section
from ticket_sentiment.gates.cost_section import cost_section
from ticket_sentiment.gates.decision_section import decision_section
from ticket_sentiment.gates.drift_section import drift_section
from ticket_sentiment.gates.evidence import Evidence, Missing, gather
from ticket_sentiment.gates.frontier_section import frontier
from ticket_sentiment.gates.gate import RESULT as GATE
from ticket_sentiment.gates.headline import headline
from ticket_sentiment.gates.hotfix_section import hotfix_section
from ticket_sentiment.gates.lineage_section import lineage_section
from ticket_sentiment.gates.mistakes_section import mistakes_section
from ticket_sentiment.gates.privacy_section import privacy_section
from ticket_sentiment.gates.quality_section import quality_section
from ticket_sentiment.gates.slices_section import slices_section
from ticket_sentiment.gates.speed_section import speed_section
from ticket_sentiment.gates.summary import summary
from ticket_sentiment.gates.words import months, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.pages.render import render
from ticket_sentiment.params import Params

PAGE = Path("reports/release.html")
TEMPLATE = Path(__file__).parent / "templates/release.html"
SUMMARY = Path("reports/summary.txt")
HEADLINE = Path("reports/metrics.json")


def context(evidence: Evidence, gate: dict[str, Any], params: Params) -> dict[str, Any]:
    """All that the template shows.

    Args:
        evidence: as the gate saw it.
        gate: reports/gate.json.
        params: sections `budget` and `report` and the keys serve.abstain_below and train.base_model are read.
    """
    evaluation, base_model, excerpts = evidence.evaluation, params.train.base_model, params.report.excerpts
    parts = {
        "evaluation": evaluation,
        "benchmark": evidence.benchmark,
        "behaviour": evidence.behaviour,
        "drift": evidence.drift,
        "frontier": evidence.frontier,
        "cost": evidence.cost,
    }

    def made(builder: Any, part: Any) -> Any:
        return None if isinstance(part, Missing) else builder(part)

    changes = read_changes(evaluation, excerpts)
    return {
        **decision_section(evidence, gate),
        "customers": changes and first_screen(changes),
        "hotfix": None if evidence.hotfix is None else hotfix_section(evidence.hotfix, excerpts),
        "holdout": None if isinstance(evaluation, Missing) else evaluation.holdout,
        "quality": made(quality_section, evaluation),
        "mistakes": made(mistakes_section, evaluation),
        "slices": made(slices_section, evaluation),
        "confidence": confidence_section(evaluation, params.serve.abstain_below),
        "changes": changes and changes_section(changes),
        "behaviour": made(behaviour_section, evidence.behaviour),
        "drift": made(drift_section, evidence.drift),
        "frontier": frontier(evidence, params.budget, base_model),
        "speed": made(speed_section, evidence.benchmark),
        "cost": made(cost_section, evidence.cost),
        "privacy": made(privacy_section, evidence.validation),
        "missing": {name: part.sentence for name, part in parts.items() if isinstance(part, Missing)},
        "lineage": lineage_section(evidence, base_model, version("ticket-sentiment")),
        "labels": LABELS,
        "excerpts": excerpts,
    }


def main(params: Params) -> None:
    """Write the page, the model card, the summary and the headline numbers from all reports before."""
    evidence = gather(datetime.now(UTC))  # only the gate counts the age of evidence
    gate = read_json(GATE)
    page = render(TEMPLATE, context(evidence, gate, params), {"months": months, "share": share})
    write_text(PAGE, page)
    write_card(make_card(evidence, gate, params))
    write_text(SUMMARY, summary(evidence, gate, params.budget, PAGE))
    write_json(HEADLINE, headline(evidence, gate))

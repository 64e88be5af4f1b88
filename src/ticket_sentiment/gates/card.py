"""The model card: what a model is for, how good it is and where it ends, for whoever meets it years later.

Stage `report` makes it from the bundles and the reports about them, so it is as new as they are; it names the
bundles that it is about, and a result is not registered with a card about others. It does not lie in the
bundle: a bundle's digest names the model's content, and what was measured of a model (its speed, for one) is
no part of that. It goes with the bundle into MLflow and into the Bentos instead.

One content is written twice: card.html for people, card.md for tools (YAML front matter, as on model hubs).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.files import write_text
from ticket_sentiment.gates import card_parts
from ticket_sentiment.gates.card_front import MARKDOWN
from ticket_sentiment.gates.card_parts import Part
from ticket_sentiment.gates.decision_section import in_words
from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.evidence_types import Compression, Evaluation
from ticket_sentiment.gates.licence import licence_of
from ticket_sentiment.gates.words import bytes_in_words, number
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.pages.render import markdown_text, render
from ticket_sentiment.params import Params

PAGE = Path("reports/card.html")
TEMPLATES = Path(__file__).parent / "templates"
DEVICES = ("cpu", "gpu", "edge")


@dataclass(frozen=True)
class Card:
    """What both forms show. `front` is for programs: digests of the bundles, licence, decision."""

    title: str
    lead: str
    decision: str
    front: dict[str, Any]
    parts: tuple[Part, ...]


def _title(evidence: Evidence) -> str:
    if isinstance(report := evidence.compression, Compression):
        return f"Sentiment of customer tickets, {report.chosen.shape}"
    return "Sentiment of customer tickets"


def _lead(evidence: Evidence) -> str:
    """In two sentences what it is."""
    said = f"It reads a ticket and says {', '.join(LABELS[:-1])} or {LABELS[-1]}, and how sure it is."
    if isinstance(evidence.cpu, Bundle):
        said += f" It takes {bytes_in_words(evidence.cpu.size_bytes)} and answers on one CPU core."
    if isinstance(evidence.evaluation, Evaluation):
        right = 100 * evidence.evaluation.models.compressed.accuracy.value
        said += f" Of 100 tickets it was judged on, {number(right, 0)} got the right answer."
    return said


def make_card(evidence: Evidence, gate: dict[str, Any], params: Params) -> Card:
    """The card of the bundles in models/release.

    Args:
        evidence: as the gate saw it.
        gate: reports/gate.json.
        params: sections `report`, `tickets`, `prepare`, `validate`, `serve` and `train` are read.
    """
    bundles = {device: getattr(evidence, device) for device in DEVICES}
    licence = licence_of(params.train)
    front = {
        "license": licence,
        "base_model": params.train.base_model,
        "language": params.validate_.language,
        "pipeline_tag": "text-classification",
        "labels": list(LABELS),
        "decision": gate["decision"],
        "bundles": {
            device: bundle.digest for device, bundle in bundles.items() if not isinstance(bundle, Missing)
        },
        "holdout_sha256": gate.get("holdout_sha256"),
    }
    return Card(
        title=_title(evidence),
        lead=_lead(evidence),
        decision=f"{in_words(gate['decision'], evidence)}.",
        front=front,
        parts=(
            card_parts.intended_use(params),
            card_parts.limits(evidence, params),
            card_parts.data(evidence, params),
            card_parts.metrics(evidence),
            card_parts.slices(evidence),
            card_parts.behaviour(evidence),
            card_parts.confidence(evidence, params),
            card_parts.cost_and_energy(evidence, params),
            card_parts.licence_and_lineage(evidence, params, licence),
        ),
    )


def write_card(card: Card) -> None:
    """Write reports/card.html and reports/card.md."""
    values = {"card": card, "front": yaml.safe_dump(card.front, sort_keys=True, allow_unicode=True)}
    write_text(PAGE, render(TEMPLATES / "card.html", values, {}))
    write_text(MARKDOWN, render(TEMPLATES / "card.md", values, {"plain": markdown_text}, escape=False))

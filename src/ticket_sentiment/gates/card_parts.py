"""The parts of the model card, from the evidence; what is not known is said to be so."""

from dataclasses import dataclass
from importlib import metadata

from ticket_sentiment.gates.behaviour_section import KINDS, by_capability, pooled
from ticket_sentiment.gates.confidence_section import abstaining
from ticket_sentiment.gates.cost_section import cost_lines
from ticket_sentiment.gates.energy import assumptions, watt_hours
from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.evidence_types import (
    BehaviourReport,
    Benchmark,
    Cost,
    Evaluation,
    Split,
    Validation,
)
from ticket_sentiment.gates.lineage_section import lineage_section
from ticket_sentiment.gates.mistakes_section import mistakes_title
from ticket_sentiment.gates.quality_section import MODELS
from ticket_sentiment.gates.slices_section import SLICES
from ticket_sentiment.gates.speed_section import VARIANTS
from ticket_sentiment.gates.words import between, measure, months, number, points, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.params import Params

OFTEN = 0.10  # share of a capability's cases that fail, from which it is called a limit
THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)  # of confidence, beside serve.abstain_below
MILLION = 1_000_000


@dataclass(frozen=True)
class Table:
    """Rows of words; the first column names the row, the others hold numbers."""

    caption: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Part:
    """A part of the card."""

    title: str
    texts: tuple[str, ...]
    tables: tuple[Table, ...] = ()


def _unknown(title: str, part: object) -> Part:
    return Part(title, (f"Not known. {getattr(part, 'sentence', 'There is nothing to show here.')}",))


def intended_use(params: Params) -> Part:
    """What it is for, what it is not for, and who answers for it, as params.yaml says."""
    said = params.report
    owner = f"Responsible: {said.owner}" if said.owner else "Responsible: not stated (report.owner)."
    return Part("Intended use", (said.intended_use, f"Not for: {said.not_for}", owner))


def limits(evidence: Evidence, params: Params) -> Part:
    """Where it ends, by what was measured."""
    said = [f"It was validated on tickets of one language alone: {params.validate_.language}."]
    if isinstance(evidence.cpu, Bundle):
        said.append(
            f"It reads the first {evidence.cpu.manifest.max_length} tokens of a ticket, nothing after them."
        )
    if isinstance(evaluation := evidence.evaluation, Evaluation):
        scores = evaluation.models.compressed
        said.append(f"{mistakes_title(evaluation)}.")
        weak = [one for one in evaluation.slices if one.right.high < scores.accuracy.value]
        if weak:
            named = ", ".join(f"{one.value} ({share(one.right.value)})" for one in weak)
            said.append(
                f"Surely fewer right answers than on all tickets ({share(scores.accuracy.value)}): {named}."
            )
        said.append(
            f"It was judged on {months(evaluation.holdout.months)}: what tickets say changes, and its "
            "numbers hold for tickets like those."
        )
    if isinstance(report := evidence.behaviour, BehaviourReport):
        rates = [
            (pooled(tests, "compressed") or 0.0, name) for (_, name), tests in by_capability(report).items()
        ]
        often = sorted((rate, name) for rate, name in rates if rate >= OFTEN)
        if often:
            named = ", ".join(f"{name} ({share(rate)})" for rate, name in reversed(often))
            said.append(f"Made-up cases that it often fails: {named}.")
    return Part("Limits", tuple(said))


def data(evidence: Evidence, params: Params) -> Part:
    """What it learnt from and was judged on."""
    if not isinstance(split := evidence.split, Split):
        return _unknown("Data", split)
    source = params.tickets.source.kind
    apart = (
        "Customers and texts of the holdout are not in the training."
        if split.customers == "apart"
        else "Texts of the holdout are not in the training; customers may be (prepare.customers: shared), so "
        "that the numbers are too good for customers who are new."
    )
    texts = [
        f"Source of the tickets: {source}. Labels that count, the first who gave one: "
        f"{', '.join(params.prepare.label_sources)}. {apart}"
    ]
    if isinstance(validation := evidence.validation, Validation):
        rows = sum(month.rows for month in validation.months.values())
        masks = sum(count for month in validation.months.values() for count in month.masks.values())
        texts.append(
            f"{rows:,} tickets of {months(validation.months)} were validated; {masks:,} pieces of personal "
            "data were masked before anything was stored."
        )
    if split.feedback.labels:
        texts.append(
            f"People corrected {split.feedback.changed:,} labels and added {split.feedback.added:,}."
        )
    uses = (("train", "training"), ("tune", "tuning: early stopping, calibration"), ("holdout", "judging"))
    rows = [
        (what, months(getattr(split.months, name)), f"{getattr(split.rows, name):,}") for name, what in uses
    ]
    tables = [Table("Labelled tickets by use", ("Use", "Months", "Tickets"), tuple(rows))]
    if isinstance(evaluation := evidence.evaluation, Evaluation):
        counts = {label: evaluation.models.compressed.classes[label].rows for label in LABELS}
        whole = sum(counts.values()) or 1
        tables.append(
            Table(
                "Labels of the holdout",
                ("Label", "Tickets", "Share"),
                tuple((label, f"{count:,}", share(count / whole)) for label, count in counts.items()),
            )
        )
    return Part("Data", tuple(texts), tuple(tables))


def metrics(evidence: Evidence) -> Part:
    """Quality of the model, beside those that it is compared with."""
    if not isinstance(evaluation := evidence.evaluation, Evaluation):
        return _unknown("Metrics", evaluation)
    scored = {name: getattr(evaluation.models, name) for name in MODELS}
    rows = tuple(
        (MODELS[name], measure(one.macro_f1), measure(one.accuracy), number(one.brier, 3))
        for name, one in scored.items()
        if one is not None
    )
    classes = evaluation.models.compressed.classes
    by_label = tuple(
        (
            label,
            *("–" if value is None else share(value) for value in (one.precision, one.recall)),
            f"{one.rows:,}",
        )
        for label, one in ((label, classes[label]) for label in LABELS)
    )
    return Part(
        "Metrics",
        (
            f"On {evaluation.holdout.rows:,} tickets of {months(evaluation.holdout.months)}, in brackets the "
            "95 % interval over customers. Macro-F1 is the mean over the labels of how completely and how "
            "exactly each is found.",
            *filter(None, [evaluation.left_out()]),
        ),
        (
            Table("All models on the same tickets", ("Model", "Macro-F1", "Accuracy", "Brier score"), rows),
            Table("The model by label", ("Label", "Precision", "Recall", "Tickets"), by_label),
        ),
    )


def slices(evidence: Evidence) -> Part:
    """Quality on parts of the tickets."""
    if not isinstance(evaluation := evidence.evaluation, Evaluation):
        return _unknown("Parts of the tickets", evaluation)
    rows = tuple(
        (
            f"{SLICES.get(one.slice, one.slice)}: {one.value}",
            between(one.right),
            f"{one.rows:,}",
        )
        for one in evaluation.slices
    )
    table = Table("Right answers with their 95 % interval", ("Part", "Right", "Tickets"), rows)
    return Part(
        "Parts of the tickets", () if rows else ("No part is large enough.",), (table,) if rows else ()
    )


def behaviour(evidence: Evidence) -> Part:
    """Share of made-up cases that it fails, by capability."""
    if not isinstance(report := evidence.behaviour, BehaviourReport):
        return _unknown("Behaviour", report)
    models = [name for name in ("compressed", "dense", "champion") if pooled(report.tests, name) is not None]
    rows = tuple(
        (
            f"{name}: {KINDS.get(kind, kind).lower()}",
            *(share(pooled(tests, model) or 0.0, 1) for model in models),
            f"{sum(test.cases for test in tests):,}",
        )
        for (kind, name), tests in by_capability(report).items()
    )
    heads = {"compressed": "This model", "dense": "Dense model", "champion": "Champion then"}
    return Part(
        "Behaviour",
        (f"{report.cases:,} short tickets that were made up to show what a model can do.",),
        (
            Table(
                "Share of the cases that fail",
                ("Capability", *(heads[model] for model in models), "Cases"),
                rows,
            ),
        ),
    )


def confidence(evidence: Evidence, params: Params) -> Part:
    """Calibration, and what is left to a person at several thresholds."""
    title = "Confidence"
    if not isinstance(evaluation := evidence.evaluation, Evaluation):
        return _unknown(title, evaluation)
    error = evaluation.models.compressed.calibration_error
    said = f"Stated confidence is {points(error, sign=False)} away from the share of right answers on average"
    if isinstance(evidence.cpu, Bundle):
        said += (
            f" (expected calibration error), at a temperature of {number(evidence.cpu.manifest.temperature)}"
        )
    used = params.serve.abstain_below
    rows = abstaining(sorted({used, *THRESHOLDS}))
    if rows is None:
        return Part(title, (f"{said}.", "What it would leave to a person is not known."))
    table = Table(
        f"Answers under a confidence are marked for a person; the service marks those under {share(used)}",
        ("Confidence under", "Left to a person", "Right among the others"),
        tuple(
            (share(one.below), share(one.left, 1), "–" if one.right is None else share(one.right, 1))
            for one in rows
        ),
    )
    return Part(title, (f"{said}.",), (table,))


def cost_and_energy(evidence: Evidence, params: Params) -> Part:
    """What a ticket costs, in money and electricity."""
    if not isinstance(report := evidence.benchmark, Benchmark):
        return _unknown("Cost and energy", report)
    cost, rows = evidence.cost, []
    for name, words in VARIANTS.items():
        variant = getattr(report.variants, name)
        used = watt_hours(variant, report.threads, MILLION, params.report)
        rows.append((words, f"{variant.batch1.texts_per_second:,.0f}", f"{number(used, 1)} Wh"))
    table = Table(
        "Tickets a second on one thread, and the electricity of a million tickets",
        ("Model", "Tickets a second", "A million tickets"),
        tuple(rows),
    )
    return Part(
        "Cost and energy",
        (
            *((f"{line}." for line in cost_lines(cost)) if isinstance(cost, Cost) else (cost.sentence,)),
            assumptions(report, params.report),
        ),
        (table,),
    )


def licence_and_lineage(evidence: Evidence, params: Params, licence: str) -> Part:
    """Under what terms the weights are, and what leads back to what they were made from."""
    base = params.train.base_model
    rows = tuple(lineage_section(evidence, base, metadata.version("ticket-sentiment")))
    texts = (
        f"Licence of the base weights ({base}): {licence}.",
        "The tickets that it learnt from are your organisation's own data: what they may be used for is for "
        "it to say.",
    )
    if params.tickets.source.kind == "demo":
        texts = (
            texts[0],
            "The demo's sentences are from vaderSentiment (Hutto and Gilbert 2014), MIT licence.",
        )
    return Part("Licence and lineage", texts, (Table("Lineage", ("What", "Value"), rows),))

"""The gates themselves, failing closed.

Each gate is a pure function of the evidence and the thresholds. Evidence that a gate needs and that is
missing, null, not a number, stale or about something else is `fail`, with a sentence that says so.
"""

from collections.abc import Iterator, Sequence
from datetime import timedelta

from ticket_sentiment.gates.behaviour import behaviour
from ticket_sentiment.gates.compression import compression
from ticket_sentiment.gates.drift_rule import drift
from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import (
    GateFunction,
    Limits,
    Looked,
    MissingEvidence,
    finding,
    found,
    gate,
    need,
)
from ticket_sentiment.gates.hotfix import hotfix
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.gates.words import measure, months, number, points, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.frontier import FrontierPoint


@gate
def data(evidence: Evidence, limits: Limits) -> Looked:
    """The tickets passed validation, are those that lie here, and the holdout is later than the training."""
    validation, split, tickets = (
        need(evidence.validation),
        need(evidence.split),
        need(evidence.tickets_sha256),
    )

    def findings() -> Iterator[Finding]:
        rules = [failure.sentence for failure in validation.failures]
        more = f" ({len(rules) - 1} more in reports/validation)" if len(rules) > 1 else ""
        broken = f"The tickets fail validation: {rules[0]}{more}" if rules else "The tickets fail validation."
        rows = sum(month.rows for month in validation.months.values())
        yield found(
            validation.success and not rules,
            "fail",
            f"All {rows:,} tickets of {months(validation.months)} passed validation.",
            broken,
        )
        if tickets != validation.data_sha256:
            yield finding("fail", "The tickets have changed since they were validated.")
        train, tune, holdout = split.months.train, split.months.tune, split.months.holdout
        if not (max(train) < min(tune) and max(tune) < min(holdout)):
            yield finding(
                "fail",
                "The months overlap: training must end before tuning, and tuning before the holdout.",
            )
        yield found(
            split.rows.holdout >= limits.gate.min_holdout_rows,
            "review",
            f"{split.rows.holdout:,} tickets of {months(holdout)} were held out, "
            f"at least {limits.gate.min_holdout_rows:,} are needed for a decision without a person.",
        )

    return findings(), {"data_sha256": validation.data_sha256, "holdout_rows": split.rows.holdout}


@gate
def quality(evidence: Evidence, limits: Limits) -> Looked:
    """The compressed model is good enough as a whole and on each class."""
    evaluation = need(evidence.evaluation)
    scores = evaluation.models.compressed
    floor = limits.gate.min_class_recall
    recalls = {label: scores.classes[label].recall for label in LABELS}

    def findings() -> Iterator[Finding]:
        yield found(
            scores.macro_f1.value >= limits.gate.min_macro_f1,
            "fail",
            f"Macro-F1 {measure(scores.macro_f1)} on {evaluation.holdout.rows:,} tickets of "
            f"{months(evaluation.holdout.months)}, floor {number(limits.gate.min_macro_f1)}.",
        )
        for label, recall in recalls.items():
            if recall is None:
                yield finding("fail", f"The holdout has no {label} ticket to judge the model on.")
                continue
            yield found(
                recall >= floor,
                "fail",
                f"It finds {share(recall)} of the {label} tickets, floor {share(floor)}.",
            )

    return findings(), {"macro_f1": scores.macro_f1.model_dump(), "recall": recalls}


@gate
def baseline(evidence: Evidence, limits: Limits) -> Looked:
    """The model has learnt something: it beats a bag of words, and the same answer for every ticket."""
    evaluation = need(evidence.evaluation)
    models, gain = evaluation.models, evaluation.differences.compressed_minus_tfidf.macro_f1
    wanted = limits.gate.min_gain_over_tfidf
    over_majority = models.compressed.macro_f1.value - models.majority.macro_f1.value

    def findings() -> Iterator[Finding]:
        yield found(
            gain.value >= wanted,
            "fail",
            f"{points(gain)} of macro-F1 over a bag of words (TF-IDF with logistic regression, "
            f"{number(models.tfidf.macro_f1.value)}), at least {points(wanted)} wanted.",
        )
        if not over_majority > 0:
            yield finding(
                "fail",
                f"Macro-F1 {number(models.compressed.macro_f1.value)} is no better than giving every "
                f"ticket the commonest label ({number(models.majority.macro_f1.value)}): "
                "are the labels in the right rows?",
            )

    return findings(), {"gain_over_tfidf": gain.model_dump(), "gain_over_majority": over_majority}


@gate
def champion(evidence: Evidence, limits: Limits) -> Looked:
    """The model is not worse than the present champion, both scored on the same tickets."""
    evaluation, present = need(evidence.evaluation), need(evidence.champion)
    digest = present.digest if present else None
    if evaluation.champion_digest != digest:
        raise MissingEvidence(
            "The present champion was not scored on this holdout: run `dvc repro evaluate`."
        )
    if digest is None:
        return iter([finding("pass", "First model: there is no champion to compare with.")]), {}
    if digest == need(evidence.cpu).digest:
        return iter([finding("pass", "Nothing to compare: this is the present champion itself.")]), {}
    if evaluation.differences.compressed_minus_champion is None:
        raise MissingEvidence(
            "The comparison with the present champion is missing: run `dvc repro evaluate`."
        )
    difference = evaluation.differences.compressed_minus_champion.macro_f1
    compared = f"{points(difference)} of macro-F1 against the champion on the same tickets"

    def findings() -> Iterator[Finding]:
        accepted = f"a loss of up to {points(limits.gate.max_loss_to_champion, sign=False)}"
        if difference.high < 0:
            yield finding("fail", f"Worse than the champion beyond doubt: {compared}.")
        yield found(
            difference.low >= -limits.gate.max_loss_to_champion,
            "review",
            f"{compared}; {accepted} is accepted.",
            f"{compared}: more than {accepted} cannot be ruled out.",
        )

    return findings(), {"champion_digest": digest, "difference": difference.model_dump()}


@gate
def calibration(evidence: Evidence, limits: Limits) -> Looked:
    """When the model says 80 %, it is right about 80 times in 100."""
    error = need(evidence.evaluation).models.compressed.calibration_error
    sentence = (
        f"Stated confidence and share of right answers differ by {points(error, sign=False)} on average, "
        f"limit {points(limits.gate.max_calibration_error, sign=False)}."
    )
    return iter([found(error <= limits.gate.max_calibration_error, "review", sentence)]), {
        "calibration_error": error
    }


@gate
def benchmark(evidence: Evidence, limits: Limits) -> Looked:
    """The bundle is small and fast enough, by a measurement of this month."""
    report, bundle = need(evidence.benchmark), need(evidence.cpu)
    speed, megabytes = report.ratios.cpu_bundle_over_dense_torch_fp32.throughput, bundle.size_bytes / 1e6

    def findings() -> Iterator[Finding]:
        if report.measured_at > evidence.now:
            yield finding("fail", "The benchmark bears a date in the future: check the clock.")
        if evidence.now - report.measured_at > timedelta(days=limits.gate.max_report_age_days):
            yield finding(
                "fail",
                f"The benchmark of {report.measured_at:%Y-%m-%d} is older than "
                f"{limits.gate.max_report_age_days} days: run `dvc repro -f benchmark`.",
            )
        yield found(
            megabytes <= limits.gate.max_bundle_mb,
            "fail",
            f"The bundle takes {number(megabytes, 1)} MB, limit {number(limits.gate.max_bundle_mb, 1)} MB.",
        )
        yield found(
            speed.median >= limits.gate.min_speedup,
            "fail",
            f"{number(speed.median, 1)} times ({number(speed.low, 1)} to {number(speed.high, 1)}) as many "
            "tickets a second as the dense model in PyTorch, "
            f"at least {number(limits.gate.min_speedup, 1)} times wanted.",
        )

    return findings(), {"megabytes": megabytes, "speedup": speed.model_dump()}


def holds_shape(bundle: Bundle, name: str, frontier: Sequence[FrontierPoint]) -> bool:
    """Whether a bundle has the layers, heads, neurons and embeddings of the frontier's shape of this name."""
    found = bundle.manifest.architecture
    return any(
        (len(found.heads), max(found.heads, default=0), max(found.ffn, default=0), found.embedding_bytes)
        == (point.layers, point.heads, point.ffn, point.embedding_bytes)
        for point in frontier
        if point.name == name
    )


@gate
def integrity(evidence: Evidence, limits: Limits) -> Looked:
    """All reports are about these very bundles and this very holdout."""
    bundles = {name: need(getattr(evidence, name)) for name in ("cpu", "gpu", "edge")}
    split, evaluation, report, speed = (
        need(part) for part in (evidence.split, evidence.evaluation, evidence.compression, evidence.benchmark)
    )
    prepared, holdout = need(evidence.prepared_sha256), need(evidence.holdout_sha256)
    digests = {name: bundle.digest for name, bundle in bundles.items()}
    models = {
        name: (bundle.manifest.architecture, bundle.manifest.files["tokenizer.json"])
        for name, bundle in bundles.items()
    }
    trained_on = {bundle.manifest.training_data for bundle in bundles.values()}
    scored_on = (evaluation.holdout.sha256, evaluation.holdout.rows)
    checks = (
        (evaluation.bundle_digest == digests["cpu"], "The evaluation is about another bundle", "evaluate"),
        (speed.bundle_digest == digests["cpu"], "The benchmark is about another bundle", "benchmark"),
        (
            all(getattr(report, name).digest == digest for name, digest in digests.items()),
            "The compression report is about other bundles",
            "-f quantize",
        ),
        (
            models["gpu"] == models["cpu"],
            "The GPU bundle holds another model than the CPU bundle",
            "-f quantize",
        ),
        (
            models["edge"] == models["cpu"],
            "The edge bundle holds another model than the CPU bundle",
            "-f quantize",
        ),
        (
            report.chosen.dense or holds_shape(bundles["cpu"], report.chosen.shape, need(evidence.frontier)),
            "The bundles have another shape than the one that was chosen",
            "-f quantize",
        ),
        (trained_on == {prepared}, "The bundles were made from other tickets than data/prepared", "quantize"),
        (holdout == split.sha256.holdout, "The holdout is not the one that the split names", "-f prepare"),
        (
            scored_on == (split.sha256.holdout, split.rows.holdout),
            "The evaluation was made on another holdout",
            "evaluate",
        ),
    )

    def findings() -> Iterator[Finding]:
        for holds, problem, stage in checks:
            if not holds:
                yield finding("fail", f"{problem}: run `dvc repro {stage}`.")
        yield finding(
            "pass",
            "All three bundles verify, and every report is about them and about this holdout.",
        )

    return findings(), {**digests, "holdout_sha256": split.sha256.holdout}


GATES: dict[str, GateFunction] = {
    function.__name__: function
    for function in (
        data,
        quality,
        baseline,
        compression,
        champion,
        behaviour,
        calibration,
        drift,
        benchmark,
        integrity,
    )
}


def gates_for(evidence: Evidence) -> list[GateFunction]:
    """Those that a result is judged by: a hotfix by one more."""
    return [*GATES.values(), *([] if evidence.hotfix is None else [hotfix])]

"""The gates themselves, failing closed.

Each gate is a pure function of the evidence and the thresholds. Evidence that a gate needs and that is
missing, null, not a number, stale or about something else is `fail`, with a sentence that says so.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.verdict import Decision, Finding, Verdict, decide
from ticket_sentiment.gates.words import measure, months, number, points, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Gate

DECIDING_DRIFT = ("label", "predicted_label")  # with the embedding; the other columns are shown only

Looked = tuple[Iterator[Finding], dict[str, Any]]
GateFunction = Callable[[Evidence, Gate], Verdict]
GATES: dict[str, GateFunction] = {}


class MissingEvidence(Exception):
    """Raised inside a gate that needs what is not there; never leaves it."""


def need(part: Any) -> Any:
    """The evidence, or out of the gate with its sentence."""
    if isinstance(part, Missing):
        raise MissingEvidence(part.sentence)
    return part


def gate(function: Callable[[Evidence, Gate], Looked]) -> GateFunction:
    """Make a verdict of what a gate found; missing evidence is `fail`. Registers the gate by its name."""
    name = function.__name__

    def judged(evidence: Evidence, limits: Gate) -> Verdict:
        try:
            findings, looked_at = function(evidence, limits)
            return decide(name, findings, looked_at)
        except MissingEvidence as missing:
            return Verdict(gate=name, decision="fail", reasons=(str(missing),))

    judged.__name__, judged.__doc__ = name, function.__doc__
    GATES[name] = judged
    return judged


def finding(decision: Decision, sentence: str) -> Finding:
    """A finding, by position."""
    return Finding(decision=decision, sentence=sentence)


def found(good: bool, otherwise: Decision, sentence: str, bad_sentence: str | None = None) -> Finding:
    """`pass` when good, else `otherwise`; the sentence may differ."""
    return finding("pass", sentence) if good else finding(otherwise, bad_sentence or sentence)


@gate
def data(evidence: Evidence, limits: Gate) -> Looked:
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
            split.rows.holdout >= limits.min_holdout_rows,
            "review",
            f"{split.rows.holdout:,} tickets of {months(holdout)} were held out, "
            f"at least {limits.min_holdout_rows:,} are needed for a decision without a person.",
        )

    return findings(), {"data_sha256": validation.data_sha256, "holdout_rows": split.rows.holdout}


@gate
def quality(evidence: Evidence, limits: Gate) -> Looked:
    """The compressed model is good enough as a whole and on each class."""
    evaluation = need(evidence.evaluation)
    scores = evaluation.models.compressed
    recalls = {label: scores.classes[label].recall for label in LABELS}

    def findings() -> Iterator[Finding]:
        yield found(
            scores.macro_f1.value >= limits.min_macro_f1,
            "fail",
            f"Macro-F1 {measure(scores.macro_f1)} on {evaluation.holdout.rows:,} tickets of "
            f"{months(evaluation.holdout.months)}, floor {number(limits.min_macro_f1)}.",
        )
        for label, recall in recalls.items():
            if recall is None:
                yield finding("fail", f"The holdout has no {label} ticket to judge the model on.")
                continue
            yield found(
                recall >= limits.min_class_recall,
                "fail",
                f"It finds {share(recall)} of the {label} tickets, floor {share(limits.min_class_recall)}.",
            )

    return findings(), {"macro_f1": scores.macro_f1.model_dump(), "recall": recalls}


@gate
def baseline(evidence: Evidence, limits: Gate) -> Looked:
    """The model has learnt something: it beats a bag of words, and the same answer for every ticket."""
    evaluation = need(evidence.evaluation)
    models, gain = evaluation.models, evaluation.differences.compressed_minus_tfidf.macro_f1
    over_majority = models.compressed.macro_f1.value - models.majority.macro_f1.value

    def findings() -> Iterator[Finding]:
        yield found(
            gain.value >= limits.min_gain_over_tfidf,
            "fail",
            f"{points(gain)} of macro-F1 over a bag of words (TF-IDF with logistic regression, "
            f"{number(models.tfidf.macro_f1.value)}), at least {points(limits.min_gain_over_tfidf)} wanted.",
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
def compression(evidence: Evidence, limits: Gate) -> Looked:
    """Pruning and quantization cost little, and the conversion to ONNX changed nothing."""
    evaluation, report = need(evidence.evaluation), need(evidence.compression)
    difference = evaluation.differences.compressed_minus_dense.macro_f1
    loss, parity = -difference.value, report.parity

    def findings() -> Iterator[Finding]:
        yield found(
            loss <= limits.max_loss_to_dense,
            "fail",
            f"Compression changes macro-F1 by {points(difference)}; "
            f"a loss of up to {points(limits.max_loss_to_dense, sign=False)} is accepted.",
        )
        # int8 is judged by its quality above. fp16 reaches the GPU service without being scored.
        for name, where in (("fp32", "ONNX in full precision"), ("fp16", "The GPU bundle")):
            agreement = getattr(parity, name)
            yield found(
                agreement.label_agreement >= limits.min_label_agreement,
                "fail",
                f"{where} gives the label of the PyTorch model for {share(agreement.label_agreement, 2)} of "
                f"{agreement.rows:,} tickets, floor {share(limits.min_label_agreement, 2)}.",
            )

    agreements = {name: getattr(parity, name).label_agreement for name in ("fp32", "int8", "fp16")}
    return findings(), {"loss_to_dense": loss, "label_agreement": agreements}


@gate
def champion(evidence: Evidence, limits: Gate) -> Looked:
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
        accepted = f"a loss of up to {points(limits.max_loss_to_champion, sign=False)}"
        if difference.high < 0:
            yield finding("fail", f"Worse than the champion beyond doubt: {compared}.")
        yield found(
            difference.low >= -limits.max_loss_to_champion,
            "review",
            f"{compared}; {accepted} is accepted.",
            f"{compared}: more than {accepted} cannot be ruled out.",
        )

    return findings(), {"champion_digest": digest, "difference": difference.model_dump()}


@gate
def calibration(evidence: Evidence, limits: Gate) -> Looked:
    """When the model says 80 %, it is right about 80 times in 100."""
    error = need(evidence.evaluation).models.compressed.calibration_error
    sentence = (
        f"Stated confidence and share of right answers differ by {points(error, sign=False)} on average, "
        f"limit {points(limits.max_calibration_error, sign=False)}."
    )
    return iter([found(error <= limits.max_calibration_error, "review", sentence)]), {
        "calibration_error": error
    }


@gate
def drift(evidence: Evidence, limits: Gate) -> Looked:
    """The newest month resembles the training months in labels, predictions and meaning."""
    report, split = need(evidence.drift), need(evidence.split)
    if (report.reference.sha256, report.current.sha256) != (split.sha256.train, split.sha256.holdout):
        raise MissingEvidence(
            "The drift report is about other tickets than this model's: run `dvc repro drift`."
        )
    tests = {**report.columns, "embedding": report.embedding}
    absent = [name for name in DECIDING_DRIFT if name not in tests]
    if absent:
        raise MissingEvidence(f"The drift report says nothing about {absent[0]}: run `dvc repro -f drift`.")
    names = {
        "label": "the mix of labels",
        "predicted_label": "the mix of predictions",
        "embedding": "what is written",
    }

    def findings() -> Iterator[Finding]:
        for name, test in tests.items():
            if not test.usable:
                yield finding("fail", f"The drift test of {name} gave no usable answer.")
            elif test.drifted and name in names:
                yield finding(
                    "review",
                    f"In {report.current.month} {names[name]} has moved away from the training months: "
                    f"distance {number(test.value, 3)} ({test.method}), limit {number(test.threshold, 3)}.",
                )
        yield finding(
            "pass",
            f"Labels, predictions and meaning of {report.current.month} resemble the training months.",
        )

    return findings(), {"drifted": sorted(name for name, test in tests.items() if test.drifted)}


@gate
def benchmark(evidence: Evidence, limits: Gate) -> Looked:
    """The bundle is small and fast enough, by a measurement of this month."""
    report, bundle = need(evidence.benchmark), need(evidence.cpu)
    speed, megabytes = report.ratios.cpu_bundle_over_dense_torch_fp32.throughput, bundle.size_bytes / 1e6

    def findings() -> Iterator[Finding]:
        if report.measured_at > evidence.now:
            yield finding("fail", "The benchmark bears a date in the future: check the clock.")
        if evidence.now - report.measured_at > timedelta(days=limits.max_report_age_days):
            yield finding(
                "fail",
                f"The benchmark of {report.measured_at:%Y-%m-%d} is older than "
                f"{limits.max_report_age_days} days: run `dvc repro -f benchmark`.",
            )
        yield found(
            megabytes <= limits.max_bundle_mb,
            "fail",
            f"The bundle takes {number(megabytes, 1)} MB, limit {number(limits.max_bundle_mb, 1)} MB.",
        )
        yield found(
            speed.median >= limits.min_speedup,
            "fail",
            f"{number(speed.median, 1)} times ({number(speed.low, 1)} to {number(speed.high, 1)}) as many "
            "tickets a second as the dense model in PyTorch, "
            f"at least {number(limits.min_speedup, 1)} times wanted.",
        )

    return findings(), {"megabytes": megabytes, "speedup": speed.model_dump()}


@gate
def integrity(evidence: Evidence, limits: Gate) -> Looked:
    """All reports are about these very bundles and this very holdout."""
    cpu, gpu, split = need(evidence.cpu), need(evidence.gpu), need(evidence.split)
    evaluation, report, speed = (
        need(evidence.evaluation),
        need(evidence.compression),
        need(evidence.benchmark),
    )
    cpu_model, gpu_model = (
        (one.manifest.architecture, one.manifest.files["tokenizer.json"]) for one in (cpu, gpu)
    )
    scored_on = (evaluation.holdout.sha256, evaluation.holdout.rows)
    trained_on = {cpu.manifest.training_data, gpu.manifest.training_data}
    prepared, holdout = need(evidence.prepared_sha256), need(evidence.holdout_sha256)
    checks = (
        (evaluation.bundle_digest == cpu.digest, "The evaluation is about another bundle", "evaluate"),
        (speed.bundle_digest == cpu.digest, "The benchmark is about another bundle", "benchmark"),
        (
            (report.cpu.digest, report.gpu.digest) == (cpu.digest, gpu.digest),
            "The compression report is about other bundles",
            "-f quantize",
        ),
        (cpu_model == gpu_model, "The GPU bundle holds another model than the CPU bundle", "-f quantize"),
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
            "Both bundles verify, and every report is about them and about this holdout.",
        )

    return findings(), {"cpu": cpu.digest, "gpu": gpu.digest, "holdout_sha256": split.sha256.holdout}

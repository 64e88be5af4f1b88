"""The gate `integrity`: all that is looked at belongs together."""

from collections.abc import Iterator, Sequence

from ticket_sentiment.gates.evidence import Evidence
from ticket_sentiment.gates.fail_closed import Limits, Looked, finding, gate, need
from ticket_sentiment.gates.verdict import Finding
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.model.frontier import FrontierPoint


def holds_shape(bundle: Bundle, name: str, frontier: Sequence[FrontierPoint]) -> bool:
    """Whether a bundle has the layers, heads, neurons and embeddings of the frontier's shape of this name."""
    found = bundle.manifest.architecture
    return any(
        (len(found.heads), max(found.heads, default=0), max(found.ffn, default=0), found.embedding_bytes)
        == (point.layers, point.heads, point.ffn, point.embedding_bytes)
        for point in frontier
        if point.name == name
    )


@gate("Is every report about this very model?", place=100)
def integrity(evidence: Evidence, limits: Limits) -> Looked:
    """All reports are about these very bundles and this very holdout."""
    bundles = {name: need(getattr(evidence, name)) for name in ("cpu", "gpu", "edge")}
    report, split = need(evidence.compression), need(evidence.split)
    need(evidence.benchmark)  # that it is about this bundle was seen when it was read
    evaluation = need(evidence.evaluation)
    prepared, holdout = need(evidence.prepared_sha256), need(evidence.holdout_sha256)
    digests = {name: bundle.digest for name, bundle in bundles.items()}
    models = {
        name: (bundle.manifest.architecture, bundle.manifest.files["tokenizer.json"])
        for name, bundle in bundles.items()
    }
    lengths = {bundle.manifest.max_length for bundle in bundles.values()}
    trained_on = {bundle.manifest.training_data for bundle in bundles.values()}
    checks = (
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
        (len(lengths) == 1, "The bundles cut tickets at different lengths", "-f quantize"),
        (trained_on == {prepared}, "The bundles were made from other tickets than data/prepared", "quantize"),
        (holdout == split.sha256.holdout, "The holdout is not the one that the split names", "-f prepare"),
        (
            evaluation.holdout.rows == split.rows.holdout,
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

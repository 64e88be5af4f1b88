"""What the release report says of lineage: names and values that lead back to what made the model."""

from ticket_sentiment.gates.evidence import Evidence, Missing
from ticket_sentiment.gates.evidence_types import Benchmark, Drift, Split
from ticket_sentiment.gates.words import months
from ticket_sentiment.model.bundle import Bundle


def lineage_section(evidence: Evidence, base_model: str, version: str) -> list[tuple[str, str]]:
    """Names and values that lead from this report back to what the model was made from."""
    rows: list[tuple[str, str]] = []
    if isinstance(split := evidence.split, Split):
        rows += [
            (
                f"{what} months",
                f"{months(getattr(split.months, name))}, {getattr(split.rows, name):,} tickets",
            )
            for name, what in (("train", "Training"), ("tune", "Tuning"), ("holdout", "Holdout"))
        ]
    rows.append(("Base model", base_model))
    if not isinstance(report := evidence.compression, Missing):
        rows.append(
            ("Weights", f"{report.dense.parameters:,} before pruning, {report.pruned.parameters:,} after")
        )
    if isinstance(evidence.cpu, Bundle):
        shape = evidence.cpu.manifest.architecture
        rows.append(("Layers", f"{len(shape.heads)}, vocabulary {shape.vocabulary:,}"))
    digests = {
        "CPU bundle": getattr(evidence.cpu, "digest", None),
        "GPU bundle": getattr(evidence.gpu, "digest", None),
        "Edge bundle": getattr(evidence.edge, "digest", None),
        "Champion compared with": getattr(evidence.champion, "digest", None),
        "Tickets (SHA-256)": evidence.tickets_sha256,
        "Prepared tickets (SHA-256)": evidence.prepared_sha256,
        "Holdout (SHA-256)": evidence.holdout_sha256,
    }
    rows += [(name, value) for name, value in digests.items() if isinstance(value, str)]
    versions = {"ticket-sentiment": version}
    if isinstance(evidence.drift, Drift):
        versions["evidently"] = evidence.drift.evidently
    if isinstance(evidence.benchmark, Benchmark):
        versions |= evidence.benchmark.machine.versions
    return [*rows, ("Versions", ", ".join(f"{name} {value}" for name, value in sorted(versions.items())))]

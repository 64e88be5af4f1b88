"""Results as Markdown."""

from collections.abc import Iterator, Sequence
from datetime import date
from importlib.metadata import version

from benchmarks.serving.bars import Result, Verdict
from benchmarks.serving.load import Window
from benchmarks.serving.peers import Peer
from benchmarks.serving.rounds import Settings, Table
from ticket_sentiment.gates.benchmark import machine

VERSIONS = (
    "bentoml",
    "fastapi",
    "mlflow",
    "onnxruntime",
    "tokenizers",
    "torch",
    "transformers",
    "uvicorn",
    "uvloop",
)


def heading(settings: Settings, workers: int, peers: Sequence[type[Peer]], ceiling: Window) -> str:
    """The machine, the versions, and what the client can do at most."""
    about = machine()
    pinned = [package for peer in peers for package in peer.packages if "==" in package]
    installed = (f"{name} {version(name)}" for name in VERSIONS)
    versions = ", ".join([*installed, *dict.fromkeys(pinned)])
    return (
        f"{date.today()}, {about['cpu']}. Servers of {workers} processes where no other number is said, the "
        f"client on the same machine. Median of {settings.rounds} rounds of {settings.seconds:g} s (lowest "
        "to highest), in which the servers take turns in random order; those that wait are frozen.\n\n"
        f"Versions: {versions}.\n\n"
        f"The client reaches {ceiling.rps:,.0f} requests/s on a server that only sends a constant."
    )


def table(title: str, rows: Table) -> str:
    """A comparison; the first row is ours. p50 and p99 are medians over the rounds."""
    ours = next(iter(rows.values())).median("rps")
    lines = [
        f"### {title}",
        "",
        "| server | requests/s | ours is | p50 ms | p99 ms | CPU ms a request | memory MB | errors |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    for name, row in rows.items():
        low, high = row.spread("rps")
        cpu = sorted(row.cpu_ms)[len(row.cpu_ms) // 2]
        errors = sum(row.errors.values())
        cells = (
            name,
            f"{row.median('rps'):,.0f} ({low:,.0f}–{high:,.0f})",
            f"{ours / row.median('rps'):.1f}×",
            f"{row.median('p50'):.1f}",
            f"{row.median('p99'):.1f}",
            f"{cpu:.2f}",
            f"{row.memory_mb:.0f}",
            str(errors),
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def verdicts(found: Sequence[Verdict]) -> str:
    """All claims, one a line."""
    lines = ["### Verdicts", "", "| bar | claim | seen | |", "| --- | --- | --- | --- |"]
    for verdict in sorted(found, key=lambda item: item.bar):
        holds = "holds" if verdict.holds else "**missed**"
        lines.append(f"| {verdict.bar} | {verdict.claim} | {verdict.seen} | {holds} |")
    return "\n".join(lines)


def report(results: Sequence[Result]) -> Iterator[str]:
    """Every table, then the verdicts."""
    for result in results:
        for title, rows in result.tables.items():
            yield table(title, rows)
    yield verdicts([verdict for result in results for verdict in result.verdicts])

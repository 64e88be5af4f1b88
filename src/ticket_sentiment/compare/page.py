"""What the command `compare` shows: a page that opens without a network, and the same in a few lines."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ticket_sentiment.compare.bundles import Side
from ticket_sentiment.compare.differences import Differences, Part, Quality
from ticket_sentiment.files import write_text
from ticket_sentiment.gates.changes import excerpt
from ticket_sentiment.gates.changes_section import of_thousand
from ticket_sentiment.gates.evidence_types import Estimate
from ticket_sentiment.gates.metrics import Interval
from ticket_sentiment.gates.mistakes_section import matrix_rows
from ticket_sentiment.gates.slices_section import SLICES
from ticket_sentiment.gates.words import bytes_in_words, measure, number, points, share
from ticket_sentiment.labels import LABELS
from ticket_sentiment.pages.figures import Axis, Row, reliability_plot, rows_plot, tenths
from ticket_sentiment.pages.render import render

TEMPLATE = Path(__file__).parent / "templates/compare.html"
PRINTED = 5  # of the worst changes, in the terminal


@dataclass(frozen=True)
class Compared:
    """Two versions, the table, and what differs."""

    a: Side
    b: Side
    data: str
    found: Differences
    abstain_below: float
    faster: dict[str, float] | None  # times as fast B is as A; None where it was not measured
    by_heart: int = 0  # tickets that were left out, as one of the two learnt them as a hotfix

    @property
    def same(self) -> bool:
        """Whether both are one bundle."""
        return self.a.bundle.digest == self.b.bundle.digest


def _estimate(interval: Interval) -> Estimate:
    return Estimate(**asdict(interval))


def left_out(compared: Compared) -> list[str]:
    """What hotfixes learnt, and what is not known of it, a sentence each."""
    said = []
    if compared.by_heart:
        said.append(f"{compared.by_heart:,} tickets that one of them learnt as a hotfix are left out.")
    for name, side in (("A", compared.a), ("B", compared.b)):
        if side.unknown:
            said.append(
                f"Which tickets {name} learnt as a hotfix is not known, so none is left out: {side.unknown}."
            )
    return said


def title(compared: Compared) -> str:
    """The finding."""
    found = compared.found
    if compared.same:
        return "A and B are the same bundle"
    if not found.moved:
        return "B answers every ticket as A does"
    return f"B answers {of_thousand(found.moved, found.rows)} of 1,000 tickets otherwise than A"


def verdict(quality: Quality) -> str:
    """Whether the difference of quality is one."""
    better = points(_estimate(quality.difference))
    if quality.difference.low > 0:
        return f"Surely better: {better} of macro-F1"
    if quality.difference.high < 0:
        return f"Surely worse: {better} of macro-F1"
    return f"No sure difference of quality: {better} of macro-F1"


def _agreement(found: Differences) -> str:
    low, high = number(100 * found.agreement.low, 1), number(100 * found.agreement.high, 1)
    return f"{share(found.agreement.value, 1)} ({low} to {high}) of the answers are the same"


def _tiles(found: Differences) -> list[tuple[str, str]]:
    tiles = [
        (share(found.agreement.value, 1), "of the answers are the same"),
        (f"{found.moved:,}", f"of {found.rows:,} tickets get another answer"),
    ]
    if found.quality:
        tiles += [
            (f"+{found.quality.better:,}", "right with B, wrong with A"),
            (f"−{found.quality.worse:,}", "wrong with B, right with A"),
        ]
    return tiles


def _quality(quality: Quality) -> dict[str, Any]:
    scores = {"A": _estimate(quality.a), "B": _estimate(quality.b)}
    rows = [
        Row(name, one.value, measure(one), one.low, one.high, "main" if name == "B" else "plain")
        for name, one in scores.items()
    ]
    axis = tenths(min(row.low for row in rows), max(row.high for row in rows))
    errors = [points(error, sign=False) for error in quality.calibration_errors]
    return {
        "title": verdict(quality),
        "rows": f"{quality.rows:,}",
        "plot": rows_plot(rows, axis, "Macro-F1 of both with its 95 % interval"),
        "recalls": [
            (label, *("–" if value is None else share(value, 1) for value in both))
            for label, *both in quality.recalls
        ],
        "confidence": f"Stated confidence is {errors[0]} away from the truth with A, {errors[1]} with B",
        "reliability": [
            (
                f"{name}: {error} away",
                reliability_plot(
                    [(row["confidence"], row["accuracy"], row["rows"]) for row in table],
                    f"Confidence and share of right answers of {name}; {error} apart on average",
                ),
            )
            for name, error, table in zip("AB", errors, quality.reliability, strict=True)
        ],
    }


def _part_name(part: Part) -> str:
    return f"{SLICES.get(part.slice, part.slice)}: {part.value} ({part.rows:,})"


def _parts(parts: tuple[Part, ...]) -> dict[str, Any] | None:
    """The difference of quality in each part; where nothing is labelled, how often both answer alike."""
    if not parts:
        return None
    judged = [(part, _estimate(part.difference)) for part in parts if part.difference]
    if not judged:
        least = min(parts, key=lambda part: part.agreement)
        rows = [Row(_part_name(part), part.agreement, share(part.agreement, 1)) for part in parts]
        return {
            "title": f"They differ most on {least.value}: {share(least.agreement, 1)} of answers are equal",
            "plot": rows_plot(rows, Axis(0, 1, [(0, "0 %"), (1, "100 %")]), "Share of equal answers by part"),
            "note": "Share of equal answers; the number of tickets is in brackets.",
        }
    worse = [part.value for part, one in judged if one.high < 0]
    better = [part.value for part, one in judged if one.low > 0]
    said = [f"worse on {', '.join(worse)}"] if worse else []
    said += [f"better on {', '.join(better)}"] if better else []
    rows = [
        Row(_part_name(part), one.value, points(one), one.low, one.high, "bad" if one.high < 0 else "plain")
        for part, one in judged
    ]
    widest = max(abs(bound) for _, one in judged for bound in (one.low, one.high)) or 0.01
    ticks = [(-widest, "A better"), (0.0, "equal"), (widest, "B better")]
    return {
        "title": f"B is surely {' and '.join(said)}"
        if said
        else "In no part of the tickets is either surely better",
        "plot": rows_plot(
            rows, Axis(-widest, widest, ticks, 0.0), "Difference of macro-F1 by part with its 95 % interval"
        ),
        "note": "Macro-F1 of B minus A in points with its 95 % interval; their tickets are in brackets. "
        "Of 20 parts one is expected to stand out by chance.",
    }


def _speed(compared: Compared) -> dict[str, Any]:
    sides = (compared.a, compared.b)
    ratio = compared.b.bytes / compared.a.bytes
    smaller = f"B takes {share(ratio)} of A's {bytes_in_words(compared.a.bytes)}"
    faster = compared.faster
    measured = (
        f"; it is {number(faster['median'])} times as fast "
        f"({number(faster['low'])} to {number(faster['high'])})"
        if faster
        else ""
    )
    manifests = [side.bundle.manifest for side in sides]
    shapes = [manifest.architecture for manifest in manifests]
    return {
        "title": smaller + measured,
        "rows": [
            ("Size", *(bytes_in_words(side.bytes) for side in sides)),
            ("Precision", *(manifest.precision for manifest in manifests)),
            ("Layers", *(str(len(shape.heads)) for shape in shapes)),
            ("Weights", *(f"{shape.parameters:,}" for shape in shapes)),
            ("Longest ticket, in tokens", *(str(manifest.max_length) for manifest in manifests)),
            ("Base model", *(manifest.base_model for manifest in manifests)),
            ("Bundle (SHA-256)", *(side.bundle.digest for side in sides)),
        ],
        "note": "" if faster else "Speed was not measured: --speed does so, in a minute or two.",
    }


def context(compared: Compared, show_text: bool) -> dict[str, Any]:
    """All that the template shows."""
    found = compared.found
    median, high, most = found.shift
    return {
        "title": title(compared),
        "verdict": verdict(found.quality)
        if found.quality
        else "Too few tickets are labelled to say which is better.",
        "a": compared.a.name,
        "b": compared.b.name,
        "data": compared.data,
        "rows": f"{found.rows:,}",
        "left_out": left_out(compared),
        "counts": _tiles(found),
        "agreement": _agreement(found),
        "transitions": matrix_rows(found.transitions.tolist()),
        "moves": [
            (move.before, move.after, *(f"{count:,}" for count in (move.rows, move.better, move.worse)))
            for move in found.moves
        ],
        "quality": found.quality and _quality(found.quality),
        "parts": _parts(found.parts),
        "shift": f"Half of the tickets get probabilities at most {number(median, 3)} apart, 95 of 100 "
        f"at most {number(high, 3)}",
        "most": number(most, 3),
        "means": [(label, *(share(value, 1) for value in both)) for label, *both in found.mean_probabilities],
        "called": [(label, *(f"{count:,}" for count in both)) for label, *both in found.answers],
        "abstained": [of_thousand(count, found.rows) for count in found.abstained],
        "abstain_below": share(compared.abstain_below),
        "speed": _speed(compared),
        "worst": [
            (
                one.ticket_id,
                one.label or "–",
                one.a,
                one.b,
                number(one.loss),
                excerpt(one.text) if show_text else "",
            )
            for one in found.worst
        ],
        "show_text": show_text,
        "labels": LABELS,
    }


def write_page(compared: Compared, path: Path, show_text: bool) -> None:
    """Write the page as a whole; text of tickets is in it only with `show_text`: masked excerpts."""
    write_text(path, render(TEMPLATE, context(compared, show_text), {"share": share}))


def lines(compared: Compared) -> list[str]:
    """The same for the terminal, without any text of a ticket."""
    found = compared.found
    moved = ", ".join(f"{move.before} → {move.after} {move.rows:,}" for move in found.moves)
    said = [
        f"A         {compared.a.name}, bundle {compared.a.bundle.digest[:12]}",
        f"B         {compared.b.name}, bundle {compared.b.bundle.digest[:12]}",
        f"Table     {compared.data}, {found.rows:,} tickets",
        *(f"          {sentence}" for sentence in left_out(compared)),
        f"Agreement {_agreement(found)}",
    ]
    if moved:
        said.append(f"Changes   {moved}")
    if found.quality:
        quality = found.quality
        said += [
            f"Quality   macro-F1 {measure(_estimate(quality.a))} A, {measure(_estimate(quality.b))} B, "
            f"on {quality.rows:,} labelled tickets",
            f"          {points(_estimate(quality.difference))} B against A; {quality.better:,} tickets got "
            f"better, {quality.worse:,} worse",
        ]
        if parts := _parts(found.parts):
            said.append(f"Parts     {parts['title']}")
        said.append(f"Certainty {_quality(quality)['confidence']}")
    said.append(f"Size      {_speed(compared)['title']}")
    if found.worst:
        said.append("Worst     " + ", ".join(one.ticket_id for one in found.worst[:PRINTED]))
    return said

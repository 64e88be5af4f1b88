"""What the gates look at: the files of the stages before, read once.

A file that is missing, or a field that is null, NaN or of the wrong type, becomes `Missing` with a sentence;
whatever needs it fails.
"""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file, sha256_tree
from ticket_sentiment.gates.evidence_types import (
    BehaviourReport,
    Benchmark,
    Compression,
    Cost,
    Drift,
    Evaluation,
    Hotfix,
    Inspection,
    Part,
    Split,
    Subject,
    Validation,
)
from ticket_sentiment.model.bundle import MANIFEST, Bundle, load_bundle
from ticket_sentiment.model.frontier import FRONTIER, FrontierPoint, read_frontier

TICKETS = Path("data/tickets")
PREPARED = Path("data/prepared")
INSPECTION = Path("reports/inspection.json")
SPLIT = Path("data/prepared/split.json")
HOLDOUT = Path("data/prepared/holdout.parquet")
VALIDATION = Path("reports/validation/result.json")
EVALUATION = Path("reports/evaluation/metrics.json")
COMPRESSION = Path("reports/compression.json")
DRIFT = Path("reports/drift.json")
BENCHMARK = Path("reports/benchmark.json")
COST = Path("reports/cost.json")
BEHAVIOUR = Path("reports/behaviour.json")
CPU_BUNDLE = Path("models/release/cpu")
GPU_BUNDLE = Path("models/release/gpu")
EDGE_BUNDLE = Path("models/release/edge")
CHAMPION = Path("models/champion/bundle")
LEARNT = Path("models/champion/learnt.json")
HOTFIX = Path("reports/hotfix.json")
STARTED_FROM = Path("champion/version.json")  # lies where a hotfix is made, and nowhere else


@dataclass(frozen=True)
class Missing:
    """Evidence that is not there or cannot be used, and why: a sentence."""

    sentence: str


@dataclass(frozen=True)
class Evidence:
    """All that a decision is made from."""

    validation: Validation | Missing
    split: Split | Missing
    inspection: Inspection | Missing
    evaluation: Evaluation | Missing
    compression: Compression | Missing
    drift: Drift | Missing
    benchmark: Benchmark | Missing
    cost: Cost | Missing  # shown, judged by no gate
    behaviour: BehaviourReport | Missing
    cpu: Bundle | Missing
    gpu: Bundle | Missing
    edge: Bundle | Missing
    champion: Bundle | Missing | None  # None: there is none yet
    hotfix: Hotfix | Missing | None  # None: this is no hotfix
    frontier: tuple[FrontierPoint, ...] | Missing
    tickets_sha256: str | Missing
    prepared_sha256: str | Missing
    holdout_sha256: str | Missing
    now: datetime


PartType = TypeVar("PartType", bound=Part)


def read_part(path: Path, kind: type[PartType], what: str) -> PartType | Missing:
    """Read one JSON file as `kind`.

    Args:
        path: the file.
        kind: its type.
        what: what it says, for the sentence, e.g. "The drift report".
    """
    try:
        return kind.model_validate_json(path.read_bytes())
    except OSError:
        return Missing(f"{what} is missing: there is no {path}.")
    except ValidationError as error:
        first = error.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        others = f" and {error.error_count() - 1} more" if error.error_count() > 1 else ""
        return Missing(
            f"{what} cannot be used: {path}: {where + ': ' if where else ''}{first['msg']}{others}."
        )


def read_bundle(path: Path) -> Bundle | Missing:
    """Verify a bundle; what is wrong with it becomes the sentence."""
    try:
        return load_bundle(path)
    except TicketSentimentError as error:
        return Missing(f"A model bundle cannot be trusted: {error}.")


def read_points(path: Path = FRONTIER) -> tuple[FrontierPoint, ...] | Missing:
    """Read the frontier."""
    try:
        return tuple(read_frontier(path))
    except TicketSentimentError as error:
        return Missing(f"The measured shapes cannot be used: {error}.")


def _digest(bundle: Bundle | Missing | None) -> str | None:
    return bundle.digest if isinstance(bundle, Bundle) else None


def _hash(value: str | Missing) -> str | None:
    return None if isinstance(value, Missing) else value


def about(report: PartType | Missing, subject: Subject) -> PartType | Missing:
    """The report, unless it is about another candidate, champion or holdout than lies here."""
    foreign = None if isinstance(report, Missing) else report.foreign(subject)
    return report if foreign is None else Missing(foreign)


def gather(now: datetime) -> Evidence:
    """Read everything, relative to the repository's root.

    Args:
        now: the time that the age of the benchmark is counted to, with a time zone.
    """
    bundles = {
        "cpu": read_bundle(CPU_BUNDLE),
        "gpu": read_bundle(GPU_BUNDLE),
        "edge": read_bundle(EDGE_BUNDLE),
        "champion": read_bundle(CHAMPION) if (CHAMPION / MANIFEST).exists() else None,
    }
    prepared = sha256_tree(PREPARED) if PREPARED.is_dir() else Missing(f"There is no {PREPARED}.")
    holdout = sha256_file(HOLDOUT) if HOLDOUT.is_file() else Missing(f"There is no {HOLDOUT}.")
    subject = Subject(
        **{name: _digest(bundle) for name, bundle in bundles.items()},
        holdout=_hash(holdout),
        prepared=_hash(prepared),
        learnt=sha256_file(LEARNT) if bundles["champion"] and LEARNT.is_file() else None,
    )

    def read(path: Path, kind: type[PartType], what: str) -> PartType | Missing:
        return about(read_part(path, kind, what), subject)

    return Evidence(
        **bundles,
        validation=read(VALIDATION, Validation, "The validation of the tickets"),
        split=read(SPLIT, Split, "The split into training and holdout"),
        inspection=read(INSPECTION, Inspection, "The inspection of the prepared tickets"),
        evaluation=read(EVALUATION, Evaluation, "The evaluation"),
        compression=read(COMPRESSION, Compression, "The compression report"),
        drift=read(DRIFT, Drift, "The drift report"),
        benchmark=read(BENCHMARK, Benchmark, "The benchmark"),
        cost=read(COST, Cost, "The cost report"),
        behaviour=read(BEHAVIOUR, BehaviourReport, "The behaviour report"),
        hotfix=read(HOTFIX, Hotfix, "The comparison of the hotfix with its champion")
        if STARTED_FROM.exists() or HOTFIX.exists()
        else None,
        frontier=read_points(),
        tickets_sha256=sha256_tree(TICKETS) if TICKETS.is_dir() else Missing(f"There is no {TICKETS}."),
        prepared_sha256=prepared,
        holdout_sha256=holdout,
        now=now,
    )

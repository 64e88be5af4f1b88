"""The result that is to be registered: what the gate decided, about which bundles, made from what."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file
from ticket_sentiment.gates.card_front import MARKDOWN, read_front
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.registry import evidence, lineage
from ticket_sentiment.registry.learnt import TAG
from ticket_sentiment.registry.store import EDGE
from ticket_sentiment.tickets.learnt import LEARNT


@dataclass(frozen=True)
class Result:
    """The gate's decision and what it was about."""

    gate: dict[str, Any]
    digests: dict[str, str]  # of the bundles, by device
    tags: dict[str, str]

    @property
    def decision(self) -> str:
        return self.gate["decision"]

    @property
    def key(self) -> str:
        return self.tags["result_key"]


def _read_bundles(root: Path, gate: dict[str, Any]) -> dict[str, str]:
    """Digests of the verified candidate, which must be what the gate judged unless it said fail."""
    judged = {"cpu": gate.get("bundle_digest"), "gpu": gate.get("gpu_bundle_digest")}
    if gate["decision"] == "fail":
        return {device: digest for device, digest in judged.items() if digest}
    for device, digest in judged.items():
        path = root / "models/release" / device
        found = load_bundle(path).digest
        if found != digest:
            raise TicketSentimentError(
                f"reports/gate.json judged bundle {str(digest)[:12]}, but {path} is {found[:12]}: "
                "run `dvc repro`, then register again"
            )
    return judged


def _edge_bundle(root: Path, decision: str) -> dict[str, str]:
    """The tag of the verified edge bundle, which goes with the others and names no version."""
    path = root / "models/release" / EDGE
    return {f"bundle.{EDGE}.digest": load_bundle(path).digest} if decision != "fail" and path.is_dir() else {}


def _refuse_foreign_card(root: Path, gate: dict[str, Any]) -> None:
    """A model card goes with the bundles for years: it must be about them and this decision."""
    path = root / MARKDOWN
    card = read_front(path)
    told = (card["bundles"].get("cpu"), card["bundles"].get("gpu"), card.get("decision"))
    judged = (gate.get("bundle_digest"), gate.get("gpu_bundle_digest"), gate["decision"])
    if told != judged:
        said, wanted = (f"bundle {str(cpu)[:12]} ({decision})" for cpu, _, decision in (told, judged))
        raise TicketSentimentError(
            f"{path} is about {said}, but reports/gate.json judged {wanted}: run `dvc repro report`, then "
            "register again"
        )


def _months(root: Path) -> dict[str, str]:
    path = root / "data/prepared/split.json"
    months = read_json(path)["months"] if path.is_file() else {}
    return {
        f"data.{split}.months": " ".join(months.get(split, [])) or lineage.NONE
        for split in ("train", "holdout")
    }


def _hotfix(root: Path) -> dict[str, str]:
    """What a hotfix started from and learnt; nothing of another result."""
    path = root / "champion/version.json"
    if not path.is_file():
        return {}
    prepared = root / "data/prepared"
    champion, split = read_json(path), read_json(prepared / "split.json")
    return {
        "release.kind": "hotfix",
        "hotfix.champion.version": champion["version"],
        "hotfix.champion.digest": champion["digest"],
        "hotfix.corrections.sha256": champion["corrections_sha256"],
        "hotfix.corrections.rows": str(split["corrected"]["rows"]),
        TAG: sha256_file(prepared / LEARNT) if (prepared / LEARNT).is_file() else lineage.NONE,
    }


def read_result(root: Path, made_in: Path | None = None) -> Result:
    """Read reports/gate.json and everything that names the result.

    Args:
        root: the repository.
        made_in: where the stages ran, if not there.

    Raises:
        TicketSentimentError: the gate has not been run, it judged other bundles than those in
            models/release, or the model card is about others.
    """
    folder = made_in or root
    gate = read_json(folder / "reports/gate.json")
    digests = _read_bundles(folder, gate)
    if gate["decision"] != "fail":
        _refuse_foreign_card(folder, gate)
    tags = lineage.lineage(root, folder) | _months(folder) | _hotfix(folder)
    evaluation = folder / evidence.METRIC_FILES["evaluation"]
    named = [digests, tags["dvc.lock.sha256"], gate["decision"]]
    named.append(sha256_file(evaluation) if evaluation.is_file() else None)
    tags |= {
        "result_key": hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest(),
        "gate.decision": gate["decision"],
        "holdout.sha256": gate.get("holdout_sha256") or lineage.NONE,
        **{f"bundle.{device}.digest": digest for device, digest in digests.items()},
        **_edge_bundle(folder, gate["decision"]),
    }
    return Result(gate, digests, tags)

"""The champion as it was made: its weights and its tickets, by the snapshot that its version names."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.registry.lineage import NONE, read_snapshot, snapshot_tag
from ticket_sentiment.registry.releases import release_name
from ticket_sentiment.registry.store import Store, champion_version, digest_at, place_bundle
from ticket_sentiment.yaml_files import parse_yaml

# What a hotfix starts from: stage of the snapshot's dvc.lock, its output.
OUTPUTS = {"prepare": "data/prepared", "train": "models/dense", "prune": "models/pruned"}


@dataclass(frozen=True)
class Champion:
    """The version that a hotfix starts from.

    Attributes:
        version: its number.
        digest: of its CPU bundle.
        commit: the snapshot.
        outputs: DVC's entry (hash, size) of each of OUTPUTS.
        params: its params.yaml.
        corrections: `content_digest` of those that it was made from; None where it is no hotfix.
    """

    version: str
    digest: str
    commit: str
    outputs: dict[str, dict[str, Any]]
    params: dict[str, Any]
    corrections: str | None

    def require(self, root: Path, path: str) -> bytes:
        """A file of the snapshot.

        Raises:
            TicketSentimentError: it is not in there.
        """
        content = read_snapshot(root, self.commit, path)
        if content is None:
            raise TicketSentimentError(
                f"the champion, version {self.version}, has no {path} in its snapshot "
                f"{snapshot_tag(self.version)}: a hotfix cannot start from it; run `make retrain`"
            )
        return content


def read_champion(store: Store, root: Path) -> Champion:
    """Find the champion and its snapshot.

    Raises:
        TicketSentimentError: there is no champion, it was deleted, or its snapshot is not in this git
            repository.
    """
    held = champion_version(store)
    if held is None:
        raise TicketSentimentError("there is no champion to correct: `make retrain` makes the first model")
    version, commit = str(held.version), held.tags.get("git.snapshot", NONE)
    if commit == NONE:
        raise TicketSentimentError(
            f"the champion, version {version}, was registered outside of a git repository, so its weights "
            "cannot be found: run `make retrain` in one"
        )
    champion = Champion(
        version, release_name(store, version), commit, {}, {}, held.tags.get("hotfix.corrections.sha256")
    )
    return replace(
        champion,
        outputs=_outputs(champion, root),
        params=parse_yaml(champion.require(root, "params.yaml"), "params.yaml"),
    )


def _outputs(champion: Champion, root: Path) -> dict[str, dict[str, Any]]:
    tag = snapshot_tag(champion.version)
    lock = read_snapshot(root, champion.commit, "dvc.lock")
    if lock is None:
        raise TicketSentimentError(
            f"the snapshot of the champion, version {champion.version}, is not in this git repository: "
            f"`git fetch origin tag {tag}`; where the version was made, `git push origin {tag}` sends it"
        )
    stages, found = yaml.safe_load(lock).get("stages", {}), {}
    for stage, path in OUTPUTS.items():
        outs = [out for out in stages.get(stage, {}).get("outs", []) if out["path"] == path]
        if not outs:
            raise TicketSentimentError(
                f"the snapshot {tag} of the champion does not say what {path} was: run `make retrain`"
            )
        found[path] = outs[0]
    return found


def fetch_bundle(store: Store, champion: Champion, target: Path) -> None:
    """Put the champion's CPU bundle into a folder, unless it is there.

    Raises:
        TicketSentimentError: it cannot be fetched or does not verify.
    """
    if digest_at(target) == champion.digest:
        return
    held = store.client.get_model_version(store.model, champion.version)
    place_bundle(store, held, "cpu", target)

"""The two things that are compared: versions of the registry, or folders that hold a bundle."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json
from ticket_sentiment.model.bundle import MANIFEST, Bundle, load_bundle
from ticket_sentiment.params import Params
from ticket_sentiment.registry.learnt import learnt_by
from ticket_sentiment.registry.store import by_alias, connect, download_bundle
from ticket_sentiment.tickets.learnt import KEYS, LEARNT, Learnt

NOTHING = Learnt(frozenset(), frozenset())


@dataclass(frozen=True)
class Side:
    """One of the two.

    Attributes:
        name: what a person calls it.
        bundle: the CPU one, verified.
        bytes: of that.
        learnt: the tickets that it learnt as a hotfix: it knows them by heart, so they say nothing of it.
        unknown: why it is a hotfix and the list cannot be had.
    """

    name: str
    bundle: Bundle
    bytes: int
    learnt: Learnt = NOTHING
    unknown: str | None = None

    @classmethod
    def of(cls, name: str, bundle: Bundle, about: dict[str, Any] | None = None) -> "Side":
        """With the size as it is now: a version's bundle lies in a folder that goes away.

        Args:
            name: see the class.
            bundle: the same.
            about: `registry.learnt.learnt_by`.
        """
        unknown = about.get("unknown") if about else None
        learnt = Learnt(*(frozenset(about[key]) for key in KEYS)) if about and not unknown else NOTHING
        return cls(name, bundle, bundle.size_bytes, learnt, unknown)


def learnt_beside(bundle: Bundle) -> dict[str, Any] | None:
    """What lies beside a champion's folder of what it learnt as a hotfix, if it is about this bundle."""
    path = bundle.path.parent / LEARNT
    if not path.is_file():
        return None
    about = read_json(path)
    return about if isinstance(about, dict) and about.get("bundle_digest") == bundle.digest else None


def find_side(name: str, params: Params, folder: Path, root: Path = Path()) -> Side:
    """The bundle that a person names.

    Args:
        name: a folder with a bundle in it, a version's number or an alias.
        params: section `registry` says where versions are kept.
        folder: where a version's bundle is put; its own for each side.
        root: the repository.

    Raises:
        TicketSentimentError: there is no such thing, or the bundle does not verify.
    """
    if (Path(name) / MANIFEST).is_file():
        bundle = load_bundle(Path(name))
        return Side.of(str(Path(name)), bundle, learnt_beside(bundle))
    store = connect(params, root)
    version: ModelVersion | None
    if name.isdecimal():
        try:
            version = store.client.get_model_version(store.model, name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            version = None
    else:
        version = by_alias(store, name)
    if version is None:
        raise TicketSentimentError(
            f"{name!r} is no version and no alias of {store.model}, and no folder with {MANIFEST} in it: "
            "`ticket-sentiment status` lists the versions"
        )
    held = f"version {version.version}"
    folder.mkdir(parents=True, exist_ok=True)
    bundle = download_bundle(store, version, "cpu", folder)
    about = learnt_by(store, version, folder / LEARNT)
    return Side.of(held if name.isdecimal() else f"{held} ({name})", bundle, about)

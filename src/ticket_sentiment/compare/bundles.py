"""The two things that are compared: versions of the registry, or folders that hold a bundle."""

from dataclasses import dataclass
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import MANIFEST, Bundle, load_bundle
from ticket_sentiment.params import Params
from ticket_sentiment.registry.store import by_alias, connect, download_bundle


@dataclass(frozen=True)
class Side:
    """One of the two: what a person calls it, its verified CPU bundle, and the bytes of that."""

    name: str
    bundle: Bundle
    bytes: int

    @classmethod
    def of(cls, name: str, bundle: Bundle) -> "Side":
        """With the size as it is now: a version's bundle lies in a folder that goes away."""
        return cls(name, bundle, bundle.size_bytes)


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
        return Side.of(str(Path(name)), load_bundle(Path(name)))
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
    return Side.of(
        held if name.isdecimal() else f"{held} ({name})", download_bundle(store, version, "cpu", folder)
    )

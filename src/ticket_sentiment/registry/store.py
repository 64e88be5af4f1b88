"""The MLflow store: where it lies, who holds which alias, and the bundles of a version."""

import contextlib
import logging
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from mlflow import MlflowClient
from mlflow.artifacts import download_artifacts
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from sqlalchemy.exc import InterfaceError, OperationalError

from ticket_sentiment.errors import TicketSentimentError, Unavailable, is_away
from ticket_sentiment.files import replacing_folder, sha256_file
from ticket_sentiment.gates.card_front import MARKDOWN as CARD
from ticket_sentiment.model.bundle import MANIFEST, Bundle, load_bundle
from ticket_sentiment.params import Params

logger = logging.getLogger(__name__)

# MLflow tells `Champion` from `champion` silently, so nobody spells an alias by hand.
CHAMPION = "champion"
CHALLENGER = "challenger"

DEVICES = ("cpu", "gpu")  # of services, each with a Bento
EDGE = "edge"
SQLITE = "sqlite:///"
# MLflow's codes where its server or database is away, or refuses for now.
PASSING = ("INTERNAL_ERROR", "TEMPORARILY_UNAVAILABLE", "REQUEST_LIMIT_EXCEEDED")


@dataclass(frozen=True)
class Store:
    """An open MLflow store and the names under which this project writes to it."""

    client: MlflowClient
    uri: str
    experiment: str
    model: str
    artifacts: str | None  # where a new experiment keeps its artifacts; None leaves it to the server


def connect(params: Params, root: Path = Path()) -> Store:
    """Open the MLflow store.

    MLFLOW_TRACKING_URI goes before `registry.tracking_uri`. A relative SQLite path is meant from `root`;
    the artifacts of such a store lie beside the database in `mlartifacts/`.

    Raises:
        Unavailable: the database that the address names does not answer. A server is not asked yet.
        TicketSentimentError: the address is none.
    """
    os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
    # By itself MLflow's client tries for minutes, during which the rollout flow would not look.
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", "10")  # seconds
    uri = os.environ.get("MLFLOW_TRACKING_URI") or params.registry.tracking_uri
    artifacts = None
    if uri.startswith(SQLITE):
        database = (root / uri.removeprefix(SQLITE)).resolve()
        database.parent.mkdir(parents=True, exist_ok=True)
        uri = f"{SQLITE}{database}"
        artifacts = (database.parent / "mlartifacts").as_uri()
    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
    except Exception as error:  # MLflow's, SQLAlchemy's or a driver's
        if "out-of-date database schema" in str(error):
            raise TicketSentimentError(
                "MLflow's database was made by another version of MLflow: back it up, then run "
                "`mlflow db upgrade` with its address, or go back to the version before"
            ) from None
        raise refusal(
            error,
            f"MLflow cannot be opened ({reason(error)}): see to registry.tracking_uri, MLFLOW_TRACKING_URI",
        ) from None
    return Store(client, uri, params.registry.experiment, params.registry.model, artifacts)


def reason(error: Exception) -> str:
    """What failed, in words that hold no address: MLflow's code, else the class."""
    return error.error_code if isinstance(error, MlflowException) else type(error).__name__


def refusal(error: Exception, message: str) -> TicketSentimentError:
    """In the place of MLflow's error, its database's or a cloud's: `Unavailable` where it may pass."""
    away = is_away(error) or isinstance(error, OperationalError | InterfaceError) or reason(error) in PASSING
    return Unavailable(message) if away else TicketSentimentError(message)


@contextlib.contextmanager
def asking(consequence: str) -> Iterator[None]:
    """Makes of MLflow's failures, whose text quotes its address with the password, one without.

    Args:
        consequence: what is not done or not known then.

    Raises:
        Unavailable: MLflow does not answer.
        TicketSentimentError: it refuses.
    """
    try:
        yield
    except MlflowException as error:
        raise refusal(
            error,
            f"MLflow does not do what it was asked ({reason(error)}): {consequence}; see that its server or "
            "database answers and lets you in (registry.tracking_uri, MLFLOW_TRACKING_URI, the password)",
        ) from None


def by_alias(store: Store, alias: str) -> ModelVersion | None:
    """The version that holds an alias; None when nobody does or the model is not there yet."""
    try:
        return store.client.get_model_version_by_alias(store.model, alias)
    except MlflowException as error:
        # A missing alias is INVALID_PARAMETER_VALUE, a missing model RESOURCE_DOES_NOT_EXIST.
        if error.error_code in ("INVALID_PARAMETER_VALUE", "RESOURCE_DOES_NOT_EXIST"):
            return None
        raise


def base_tag(alias: str) -> str:
    """The tag of the registered model that says to whom promotion/ gave an alias; in a move, from and to."""
    return f"ledger.{alias}"


def signature_tag(device: str) -> str:
    """The tag of a version that holds the signature of its bundle for a device."""
    return f"signature.{device}"


def adopted(store: Store) -> str | None:
    """The version that the ledger named champion last, by what promotion/ noted; None when it never did.

    The ledger is changed before the alias, so while that is being moved the one it goes to is the ledger's.
    """
    try:
        tags = store.client.get_registered_model(store.model).tags
    except MlflowException as error:
        if error.error_code == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise
    return next(iter(reversed(tags.get(base_tag(CHAMPION), "").split())), None)


def champion_version(store: Store) -> ModelVersion | None:
    """The champion that a new version is made of or judged against; None when there is none yet.

    The alias alone does not say it: it may lie on a version that was refused, or have been taken away.

    Raises:
        TicketSentimentError: the version that the ledger names was deleted.
    """
    number = adopted(store)
    if number is None:
        return by_alias(store, CHAMPION)
    try:
        return store.client.get_model_version(store.model, number)
    except MlflowException as error:
        if error.error_code != "RESOURCE_DOES_NOT_EXIST":
            raise
    raise TicketSentimentError(
        f"the champion, version {number} of {store.model}, was deleted in MLflow: give the alias "
        f"`{CHAMPION}` to another version, then `make reconcile`"
    )


def require_champion(store: Store) -> ModelVersion:
    """The champion, that answers. Where a person gave the alias to another version, a line says so.

    Raises:
        TicketSentimentError: there is none, or the version that the ledger names was deleted.
    """
    champion = champion_version(store)
    if champion is None:
        raise TicketSentimentError(
            f"{store.model} has no version with the alias `{CHAMPION}`: run `make retrain`, "
            "or give the alias to a version in MLflow (`make ui`)"
        )
    holder = by_alias(store, CHAMPION)
    if holder is not None and holder.version != champion.version:
        logger.warning(
            "the alias `%s` is on version %s, and version %s is still the champion: `make reconcile`, or the "
            "deployment of that name, looks at it",
            CHAMPION, holder.version, champion.version,
        )  # fmt: skip
    return champion


def registered_version(store: Store, number: str) -> ModelVersion:
    """A version of the registered model.

    Raises:
        Unavailable: MLflow does not answer.
        TicketSentimentError: there is none of this number.
    """
    try:
        return store.client.get_model_version(store.model, number)
    except MlflowException as error:
        if reason(error) in PASSING:
            raise Unavailable(f"MLflow does not answer ({reason(error)}): try again when it does") from None
        raise TicketSentimentError(
            f"{store.model} has no version {number}: `ticket-sentiment status` lists those that there are"
        ) from None


def all_versions(store: Store) -> list[ModelVersion]:
    """All versions, oldest first, each with its aliases."""
    return [store.client.get_model_version(store.model, item.version) for item in registered(store)]


def registered(store: Store) -> list[ModelVersion]:
    """All versions, oldest first, with their tags but not their aliases, which a search leaves out."""
    found = store.client.search_model_versions(f"name = '{store.model}'")
    return sorted(found, key=lambda item: int(item.version))


def release_digests(store: Store, release: str) -> frozenset[str]:
    """Digests of a release's bundles for all devices: under these its services record what they answer.

    Args:
        store: the MLflow store.
        release: digest of its CPU bundle, by which a rollout state names it on every device.

    Returns:
        With the release's own, which is alone where no version has it.

    Raises:
        Unavailable: MLflow does not answer.
        TicketSentimentError: it refuses.
    """
    try:
        tags = [item.tags for item in registered(store)]
    except Exception as error:  # MLflow's, or its database's
        raise refusal(
            error, f"MLflow does not answer ({reason(error)}): which bundles a release has is unknown"
        ) from None
    of_release = [version for version in tags if version.get("bundle.cpu.digest") == release]
    names = [f"bundle.{device}.digest" for device in (*DEVICES, EDGE)]
    return frozenset({release, *(found for tag in of_release for name in names if (found := tag.get(name)))})


def download_bundle(store: Store, version: ModelVersion, device: str, folder: Path) -> Bundle:
    """Fetch a version's bundle into `folder` and verify it.

    Args:
        store: the MLflow store.
        version: of the registered model.
        device: cpu, gpu or edge.
        folder: an empty folder; the bundle is put into a folder in it.

    Raises:
        Unavailable: where it lies does not answer.
        TicketSentimentError: the artifact is gone, does not verify or is not the one that was registered.
    """
    source = store.client.get_model_version_download_uri(store.model, version.version)
    name = f"bundle of {store.model} version {version.version} ({device})"
    try:
        path = download_artifacts(f"{source}/{device}", dst_path=str(folder), tracking_uri=store.uri)
    except Exception as error:  # MLflow's, the disk's, or any of a cloud's client: no credentials
        raise refusal(
            error,
            f"the {name} cannot be had from {source} ({type(error).__name__}): restore MLflow's artifacts, "
            "see that their store answers, give this machine its credentials, or move the alias to another "
            "version",
        ) from None
    try:
        bundle = load_bundle(Path(path))
    except TicketSentimentError as error:  # its remedies are those of a bundle that was made here
        why = str(error).replace(f"{path}/", "").replace(str(path), "it").split(";")[0]
        raise TicketSentimentError(
            f"the {name} is damaged ({why}): restore MLflow's artifacts or move the alias to another version"
        ) from None
    expected = version.tags.get(f"bundle.{device}.digest")
    if bundle.digest != expected:
        raise TicketSentimentError(
            f"the {name} has digest {bundle.digest[:12]}, registered was {str(expected)[:12]}: "
            "restore MLflow's artifacts or move the alias to another version"
        )
    return bundle


def download_card(store: Store, version: ModelVersion, folder: Path) -> Path | None:
    """Fetch a version's model card into `folder`; None for a version that was registered without."""
    held = store.client.list_artifacts(version.run_id, CARD.parent.as_posix()) if version.run_id else []
    if CARD.as_posix() not in {item.path for item in held}:
        return None
    return Path(store.client.download_artifacts(version.run_id, CARD.as_posix(), str(folder)))


def place_bundle(store: Store, version: ModelVersion, device: str, target: Path) -> None:
    """Put a version's verified bundle in the place of a folder.

    Raises:
        TicketSentimentError: as `download_bundle`.
    """
    with replacing_folder(target) as folder, tempfile.TemporaryDirectory() as download:
        bundle = download_bundle(store, version, device, Path(download))
        shutil.copytree(bundle.path, folder, dirs_exist_ok=True)


def digest_at(path: Path) -> str | None:
    """Digest of the bundle in a folder without verifying it; None when there is none."""
    manifest = path / MANIFEST
    return sha256_file(manifest) if manifest.is_file() else None

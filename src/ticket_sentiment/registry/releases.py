"""Releases for running services: from MLflow to the folder of rollout/releases.py."""

import contextlib
import re
import shutil
import tempfile
import time
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, write_json, write_text
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.params import Device, Params
from ticket_sentiment.registry.store import (
    DEVICES,
    Store,
    asking,
    connect,
    download_bundle,
    registered_version,
    require_champion,
    signature_tag,
)
from ticket_sentiment.rollout.releases import RELEASE, is_whole, read_release
from ticket_sentiment.signing.keys import public_keys
from ticket_sentiment.signing.signature import Subject, signature_path, verify

NAME = re.compile("[0-9a-f]{64}")
LEFTOVER = re.compile(r"\.[0-9a-f]{64}\..+")  # as files.replacing_folder names it
LEFTOVER_S = 86_400  # after which it is nobody's work any more


def release_name(store: Store, version: int | str) -> str:
    """How rollout states name a version: the digest of its CPU bundle.

    Raises:
        TicketSentimentError: the version was registered without.
    """
    return _digests(store, store.client.get_model_version(store.model, str(version)))["cpu"]


def put_release(
    store: Store, params: Params, version: int | str, root: Path = Path(), wanted: str | None = None
) -> str:
    """Bring a version's bundles into `serve.releases`, unless they are there and whole; and its signatures.

    Args:
        store: the MLflow store.
        params: of params.yaml.
        version: of the registered model.
        root: the repository.
        wanted: the name that it must have.

    Returns:
        The release's name.

    Raises:
        TicketSentimentError: the bundles are not in MLflow's artifacts, do not verify, are others than
            wanted, or are not signed and services would refuse them for it.
    """
    held, folder = store.client.get_model_version(store.model, str(version)), root / params.serve.releases
    digests = _digests(store, held)
    name = digests["cpu"]
    if wanted is not None and wanted != name:
        raise TicketSentimentError(
            f"version {held.version} of {store.model} is bundle {name[:12]} in MLflow, and the ledger means "
            f"{wanted[:12]}: MLflow was set up anew; give `champion` to the version that shall answer"
        )
    signatures = {device: held.tags.get(signature_tag(device)) for device in DEVICES}
    _require_signed(store, params, held, digests, root)
    manifest = {"version": str(held.version), "bundles": digests}
    if is_whole(folder, name) and (found := read_release(folder, name)).bundles == digests:
        if found.version != manifest["version"]:  # deleted in MLflow and registered anew
            write_json(folder / name / RELEASE, manifest)
        _write_signatures(folder / name, signatures)
        return name
    with replacing_folder(folder / name) as temporary, tempfile.TemporaryDirectory() as download:
        for device in DEVICES:
            place = Path(download) / device
            place.mkdir()
            shutil.copytree(download_bundle(store, held, device, place).path, temporary / device)
        _write_signatures(temporary, signatures)
        write_json(temporary / RELEASE, manifest)
    return name


@contextlib.contextmanager
def registered_bundle(
    params: Params, version: str | None = None, root: Path = Path()
) -> Iterator[tuple[Bundle, str]]:
    """A registered version's bundle for a CPU, as long as the block runs.

    Args:
        params: of params.yaml.
        version: of the registry; None is the champion, with which the service answers.
        root: the repository.

    Yields:
        The verified bundle, and its version.

    Raises:
        TicketSentimentError: there is no champion or no such version, the bundle does not verify, or it is
            not signed and services would refuse it for it.
    """
    with tempfile.TemporaryDirectory() as download:
        with asking("no bundle to score with is there"):
            store = connect(params, root)
            held = require_champion(store) if version is None else registered_version(store, version)
            bundle = download_bundle(store, held, "cpu", Path(download))
            _require_signed(store, params, held, {"cpu": bundle.digest}, root)
        yield bundle, str(held.version)


def subject(version: ModelVersion, digests: Mapping[str, str], device: Device) -> Subject:
    """What the signature of a version's bundle for a device is about; `digests` are those of its bundles."""
    return Subject(digests[device], str(version.version), digests["cpu"], device)


def signed_by(
    store: Store,
    version: ModelVersion,
    digests: Mapping[str, str],
    device: Device,
    keys: Mapping[str, bytes],
) -> str | None:
    """The name of the key that signed a version's bundle; None where the bundle is not signed.

    Raises:
        TicketSentimentError: the signature is none, is about something else, or is of no key that counts.
    """
    tag = signature_tag(device)
    text = version.tags.get(tag)
    if text is None:
        return None
    where = f"{store.model} version {version.version}, tag {tag}"
    return verify(text, subject(version, digests, device), keys, where)


def _digests(store: Store, version: ModelVersion) -> dict[Device, str]:
    """The registered digests of a version's bundles, with which download_bundle agrees."""
    digests = {device: version.tags.get(f"bundle.{device}.digest") for device in DEVICES}
    missing = [f"`bundle.{device}.digest`" for device, digest in digests.items() if digest is None]
    if missing or version.tags.get("registration") != "complete":
        why = f"it has no tag {' and '.join(missing)}" if missing else "its registration is not complete"
        raise TicketSentimentError(
            f"{store.model} version {version.version} was not registered by `make retrain`: {why}; "
            "give the alias to another version"
        )
    return {device: digest for device, digest in digests.items() if digest is not None}


def _require_signed(
    store: Store, params: Params, version: ModelVersion, digests: Mapping[Device, str], root: Path
) -> None:
    """Refuse bundles (`digests` by device) that services would refuse."""
    if not params.serve.require_signature:
        return
    keys = public_keys(params.serve, root)
    if not all([signed_by(store, version, digests, device, keys) for device in digests]):
        raise TicketSentimentError(
            f"{store.model} version {version.version} is not signed, and serve.require_signature is true: "
            f"`ticket-sentiment sign {version.version}` signs it where the key is"
        )


def _write_signatures(release: Path, signatures: Mapping[str, str | None]) -> None:
    """Beside the bundles of a release, where they are not the same already: a version may be signed again."""
    for device, text in signatures.items():
        path = signature_path(release / device)
        if text and not (path.is_file() and path.read_text(encoding="utf-8") == text):
            write_text(path, text)


def remove_releases(params: Params, keep: Collection[str], root: Path = Path()) -> list[str]:
    """Remove all releases but those named, and what `put_release` or this left where it was killed.

    Returns:
        The names of the releases removed.
    """
    gone = []
    for path in sorted((root / params.serve.releases).glob("*")):
        if LEFTOVER.fullmatch(path.name):  # another process may still be at work on it
            if time.time() - path.stat().st_mtime > LEFTOVER_S:
                shutil.rmtree(path, ignore_errors=True)
        elif path.name not in keep and NAME.fullmatch(path.name):  # whatever is left of it
            shutil.rmtree(path)
            gone.append(path.name)
    return gone

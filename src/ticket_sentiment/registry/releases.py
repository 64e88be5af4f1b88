"""Releases for running services: from MLflow to the folder of rollout/releases.py."""

import shutil
import tempfile
from collections.abc import Collection
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, write_json
from ticket_sentiment.params import Params
from ticket_sentiment.registry.store import DEVICES, Store, download_bundle
from ticket_sentiment.rollout.releases import RELEASE, is_whole


def release_name(store: Store, version: int | str) -> str:
    """How rollout states name a version: the digest of its CPU bundle.

    Raises:
        TicketSentimentError: the version was registered without.
    """
    held = store.client.get_model_version(store.model, str(version))
    name = held.tags.get("bundle.cpu.digest")
    if name is None or held.tags.get("registration") != "complete":
        raise TicketSentimentError(
            f"{store.model} version {version} was not registered by `make retrain`: it has no tag "
            "`bundle.cpu.digest`, or its registration is not complete; give the alias to another version"
        )
    return name


def put_release(store: Store, params: Params, version: int | str, root: Path = Path()) -> str:
    """Bring a version's bundles into `serve.releases`, unless they are there and whole.

    Args:
        store: the MLflow store.
        params: of params.yaml.
        version: of the registered model.
        root: the repository.

    Returns:
        The release's name.

    Raises:
        TicketSentimentError: the bundles are not in MLflow's artifacts, or do not verify.
    """
    name, folder = release_name(store, version), root / params.serve.releases
    if is_whole(folder, name):
        return name
    held = store.client.get_model_version(store.model, str(version))
    with replacing_folder(folder / name) as temporary, tempfile.TemporaryDirectory() as download:
        digests = {}
        for device in DEVICES:
            place = Path(download) / device
            place.mkdir()
            bundle = download_bundle(store, held, device, place)
            shutil.copytree(bundle.path, temporary / device)
            digests[device] = bundle.digest
        write_json(temporary / RELEASE, {"version": str(held.version), "bundles": digests})
    return name


def remove_releases(params: Params, keep: Collection[str], root: Path = Path()) -> list[str]:
    """Remove all releases but those named.

    Returns:
        The names of those removed.
    """
    gone = [
        path
        for path in sorted((root / params.serve.releases).glob("*"))
        if path.name not in keep and (path / RELEASE).is_file()
    ]
    for path in gone:
        shutil.rmtree(path)
    return [path.name for path in gone]

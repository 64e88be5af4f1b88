"""Signatures of registered versions: tags of the version, by device, beside the digests that they are of."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Device, Params
from ticket_sentiment.registry.lineage import read_snapshot, snapshot_tag
from ticket_sentiment.registry.releases import put_release, release_name, signed_by, subject
from ticket_sentiment.registry.store import (
    DEVICES,
    Store,
    connect,
    download_bundle,
    registered_version,
    signature_tag,
)
from ticket_sentiment.signing import signature
from ticket_sentiment.signing.keys import SigningKey, public_keys, signing_key


def sign_bundles(store: Store, version: ModelVersion, digests: Mapping[str, str], key: SigningKey) -> None:
    """Sign verified bundles of a version, by their digests; may be repeated."""
    for device in DEVICES:
        text = signature.sign(subject(version, digests, device), key).text
        store.client.set_model_version_tag(store.model, version.version, signature_tag(device), text)


def _verified(store: Store, version: ModelVersion) -> dict[str, str]:
    """Digests of a version's bundles, which are fetched for it: a tag alone is not signed."""
    digests = {}
    for device in DEVICES:
        with tempfile.TemporaryDirectory() as folder:
            digests[device] = download_bundle(store, version, device, Path(folder)).digest
    return digests


def sign(params: Params, number: str, root: Path = Path(), trust_mlflow: bool = False) -> None:
    """ticket-sentiment sign: sign a version that is registered already, with a first key or another one.

    Its bundles are fetched and verified for it. Where its release is in `serve.releases`, running services
    find the signature there.

    Args:
        params: of params.yaml.
        number: of the version.
        root: the repository.
        trust_mlflow: sign what MLflow holds where neither git nor a signature knows what was registered.

    Raises:
        TicketSentimentError: there is no key or no such version, its bundles do not verify, or they are not
            known to be those that were registered.
    """
    store, key = connect(params, root), signing_key(params.registry, root)
    if key is None:
        raise TicketSentimentError(
            f"no signing key is here: set {params.registry.signing_key_env} or registry.signing_key_file; "
            "`ticket-sentiment keygen` makes one"
        )
    version = registered_version(store, number)
    digests = _verified(store, version)
    unknown = _unknown(store, version, digests, root, params)
    if unknown and not trust_mlflow:
        raise TicketSentimentError(
            f"{store.model} version {number}: neither the git tag {snapshot_tag(number)} nor a signature "
            f"knows the {unknown[0]} bundle that was registered: run `git fetch --tags`, or give "
            "`--trust-mlflow` where nobody else could have written to MLflow"
        )
    sign_bundles(store, version, digests, key)
    print(f"version {number}: signed with key {key.name}")
    if (root / params.serve.releases / release_name(store, number)).is_dir():
        put_release(store, params, number, root)


def _unknown(
    store: Store, version: ModelVersion, digests: Mapping[str, str], root: Path, params: Params
) -> list[Device]:
    """The devices of whose bundles nobody here knows whether they are those that were registered.

    What was registered is known by the release's report in its git tag, else by its old signature.

    Raises:
        TicketSentimentError: a bundle took the place of that one, with the tag of its digest.
    """
    number, unknown = version.version, []
    judged = read_snapshot(root, snapshot_tag(number), "reports/gate.json")
    gate = {} if judged is None else json.loads(judged)
    kept = {"cpu": gate.get("bundle_digest"), "gpu": gate.get("gpu_bundle_digest")}
    for device in DEVICES:
        why = None
        if kept[device] is not None:
            if kept[device] != digests[device]:
                why = f"git tag {snapshot_tag(number)} knows it by another digest"
        elif signature_tag(device) in version.tags:
            keys = public_keys(params.serve, root)
            try:
                signed_by(store, version, digests, device, keys)
            except TicketSentimentError:
                why = (
                    "its signature is of none of the public keys: keep the old one there until this is "
                    "signed anew"
                )
        else:
            unknown.append(device)
        if why:
            raise TicketSentimentError(
                f"{store.model} version {number}: the {device} bundle may not be what was registered: {why}"
            )
    return unknown


def verify(params: Params, number: str, root: Path = Path()) -> None:
    """ticket-sentiment verify: fetch a version's bundles, verify them and their signatures, and say so.

    Raises:
        TicketSentimentError: something is not as a service with `serve.require_signature` wants it.
    """
    store, keys = connect(params, root), public_keys(params.serve, root)
    version = registered_version(store, number)
    digests = _verified(store, version)
    for device in DEVICES:
        name = signed_by(store, version, digests, device, keys)
        if name is None:
            raise TicketSentimentError(
                f"{store.model} version {number}, tag {signature_tag(device)}, is missing: "
                f"`ticket-sentiment sign {number}` signs it where the key is"
            )
        print(f"version {number}, {device}: bundle {digests[device][:12]} is signed with key {name}")

"""Signatures of registered versions: tags of the version, by device, beside the digests that they are of."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

from mlflow.entities.model_registry import ModelVersion

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Params
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


def sign(params: Params, number: str, root: Path = Path()) -> None:
    """ticket-sentiment sign: sign a version that is registered already, with a first key or another one.

    Its bundles are fetched and verified for it. Where its release is in `serve.releases`, running services
    find the signature there.

    Raises:
        TicketSentimentError: there is no key or no such version, or its bundles do not verify.
    """
    store, key = connect(params, root), signing_key(params.registry, root)
    if key is None:
        raise TicketSentimentError(
            f"no signing key is here: set {params.registry.signing_key_env} or registry.signing_key_file; "
            "`ticket-sentiment keygen` makes one"
        )
    version = registered_version(store, number)
    digests = _verified(store, version)
    _require_own(store, version, digests, root, params)
    sign_bundles(store, version, digests, key)
    print(f"version {number}: signed with key {key.name}")
    if (root / params.serve.releases / release_name(store, number)).is_dir():
        put_release(store, params, number, root)


def _require_own(
    store: Store, version: ModelVersion, digests: Mapping[str, str], root: Path, params: Params
) -> None:
    """Refuse bundles that took the place of those that were registered, with the tags of their digests.

    What was registered is known by the release's report in its git tag, else by its old signatures.
    """
    number = version.version
    judged = read_snapshot(root, snapshot_tag(number), "reports/gate.json")
    if judged is not None:
        gate = json.loads(judged)
        kept = {"cpu": gate.get("bundle_digest"), "gpu": gate.get("gpu_bundle_digest")}
        foreign = [device for device in DEVICES if kept.get(device) not in (None, digests[device])]
        why = f"git tag {snapshot_tag(number)} knows it by another digest"
    else:
        signed = [device for device in DEVICES if signature_tag(device) in version.tags]
        keys = public_keys(params.serve, root) if signed else {}
        foreign = []
        for device in signed:
            try:
                signed_by(store, version, digests, device, keys)
            except TicketSentimentError:
                foreign.append(device)
        why = "its signature is of none of the public keys: keep the old one there until this is signed anew"
    if foreign:
        raise TicketSentimentError(
            f"{store.model} version {number}: the {foreign[0]} bundle may not be what was registered: {why}"
        )


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

"""The folder of releases: bundles that a running service takes up when the rollout state names them.

    <digest of the release's CPU bundle>/cpu/        a bundle
                                        /gpu/        the same model's for a GPU
                                        /cpu.signature.json, gpu.signature.json   where the version is signed
                                        /release.json   the version in the registry, and the bundles' digests

registry/releases.py puts a release there whole or not at all. Its name is the same on every device, so one
rollout state speaks to all of them.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import get_args

from pydantic import ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.bundle import Bundle, Sha256, load_bundle
from ticket_sentiment.params import Device, Section
from ticket_sentiment.signing.signature import Subject, require_signature

RELEASE = "release.json"


class ReleaseManifest(Section):
    """release.json."""

    version: str
    bundles: dict[Device, Sha256]


def read_release(folder: Path, name: str) -> ReleaseManifest:
    """What release.json says.

    Raises:
        TicketSentimentError: the release is not there, or it is another one than its name says.
    """
    path = folder / name / RELEASE
    try:
        release = ReleaseManifest.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        raise TicketSentimentError(
            f"{path} is missing: `ticket-sentiment releases` brings it from the registry"
        ) from None
    except ValidationError as error:
        raise TicketSentimentError(f"{path}: {error.errors()[0]['msg']}; remove its folder") from None
    if release.bundles.get("cpu") != name:
        raise TicketSentimentError(f"{path} is of another release than its folder's name says; remove it")
    return release


def load_release(
    folder: Path, name: str, device: Device, keys: Mapping[str, bytes] | None = None
) -> tuple[Bundle, str]:
    """A release's verified bundle for a device, and its version.

    Args:
        folder: of releases.
        name: of the release, as the rollout state has it.
        device: of this service.
        keys: whose signature it must have; None asks for none.

    Raises:
        TicketSentimentError: it is not there, does not verify, is not the bundle that was released, or not
            signed as it must be.
    """
    release = read_release(folder, name)
    bundle = load_bundle(folder / name / device)
    if bundle.digest != release.bundles.get(device):
        raise TicketSentimentError(
            f"{folder / name / device} is not the bundle that release.json names; remove its folder"
        )
    if keys is not None:
        require_signature(bundle.path, Subject(bundle.digest, release.version, name, device), keys)
    return bundle, release.version


def is_whole(folder: Path, name: str, keys: Mapping[str, bytes] | None = None) -> bool:
    """Whether a release is in the folder, all its bundles verified; `keys` as of `load_release`."""
    try:
        release = read_release(folder, name)
        digests = {device: load_release(folder, name, device, keys)[0].digest for device in get_args(Device)}
    except TicketSentimentError:
        return False
    return digests == release.bundles

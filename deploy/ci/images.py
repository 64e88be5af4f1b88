"""From images that `make images` built to manifests by digest: the steps of a release, each a make target.

    var/built.json          what was built: its engine, and of each device the image's name and id
    var/released/vN/        the prepared tickets of each version in those images (`make champion-state`)
    var/<device>.cdx.json   bills of materials (`make sbom`)
    var/images.json         what a registry confirmed (`make images-push`): of each device its name by digest,
                            and the id that it had here

A digest names the content, a tag only whoever moved it last: the digest is what is signed and what a cluster
runs. No step but the first asks MLflow: what was tested is what is signed, whatever becomes the champion
meanwhile.
"""

import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, TypeAdapter
from ruamel.yaml import YAML

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing, write_json
from ticket_sentiment.registry.images import Image, read_built, read_record
from ticket_sentiment.supply.sbom import image_of_bill
from ticket_sentiment.supply.sbom import main as write_bill
from ticket_sentiment.supply.scan import PREPARED, read_tickets
from ticket_sentiment.supply.scan import main as scan

PUSHED = Path("var/images.json")
BILLS = Path("var")
RELEASED = Path("var/released")
OVERLAYS = Path("deploy/kubernetes/overlays")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.:/_-]*[a-z0-9]")


class Pushed(BaseModel):
    """An image in a registry."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    image: str  # its name by digest
    id: str  # that it had in the engine that pushed it


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()[-1]
        raise TicketSentimentError(f"{' '.join(command[:3])} failed: {last}")
    return done.stdout


def _pushed_digest(engine: str, image: str, folder: Path) -> str:
    """Push, and the digest that the registry gave."""
    if engine == "docker":
        _run(engine, "push", image)
        named = _run(engine, "image", "inspect", "--format", '{{join .RepoDigests " "}}', image).split()
        repository = image.rpartition(":")[0]
        return next((name.partition("@")[2] for name in named if name.startswith(f"{repository}@")), "")
    file = folder / "digest"
    _run(engine, "push", "--digestfile", str(file), image)
    return file.read_text().strip()


def push(images: Mapping[str, Image], repository: str, engine: str) -> dict[str, Pushed]:
    """Push images, by device, to a repository of a registry that the engine is logged in to.

    Args:
        images: by device.
        repository: e.g. ghcr.io/team/ticket-sentiment; a tag is added.
        engine: docker, podman or buildah.

    Returns:
        What the registry has, by device.

    Raises:
        TicketSentimentError: the repository is none, or the registry did not take an image.
    """
    if not REPOSITORY.fullmatch(repository):
        raise TicketSentimentError(
            f"IMAGE_REPOSITORY is {repository or 'not set'}: expected registry/name without a tag"
        )
    pushed = {}
    with tempfile.TemporaryDirectory() as folder:
        for device, image in images.items():
            target = f"{repository}:{image.name.rpartition(':')[2]}"
            _run(engine, "tag", image.id, target)
            digest = _pushed_digest(engine, target, Path(folder))
            if not DIGEST.fullmatch(digest):
                raise TicketSentimentError(f"{engine} push {target} told no digest: nothing is released")
            pushed[device] = Pushed(image=f"{repository}@{digest}", id=image.id)
    return pushed


def sign(pushed: Mapping[str, Pushed]) -> None:
    """Sign each image by digest and attest its bill of materials, keyless: as the workflow that runs this.

    Raises:
        TicketSentimentError: cosign is not here or refuses, or a bill of materials is missing or of another
            image; then nothing is signed.
    """
    bills = {device: BILLS / f"{device}.cdx.json" for device in pushed}
    for device, bill in bills.items():
        if not bill.is_file():
            raise TicketSentimentError(f"{bill} is missing: `make sbom` writes it")
        if image_of_bill(bill) != pushed[device].id:
            raise TicketSentimentError(f"{bill} is not of the image that was pushed: `make sbom` writes it")
    for device, held in pushed.items():
        _run("cosign", "sign", "--yes", held.image)
        _run(
            "cosign", "attest", "--yes", "--type", "cyclonedx", "--predicate", str(bills[device]), held.image
        )
        print(f"{held.image}: signed, with its bill of materials")


def set_digests(pushed: Mapping[str, Pushed], overlay: Path) -> list[str]:
    """Write the images of an overlay anew, in its kustomization.yaml; its comments stay.

    Returns:
        The names that were set.

    Raises:
        TicketSentimentError: the overlay names an image that was not pushed, or none at all.
    """
    path = overlay / "kustomization.yaml"
    if not path.is_file():
        raise TicketSentimentError(f"OVERLAY: {overlay} is no overlay: {path} is missing")
    yaml = YAML()
    yaml.preserve_quotes, yaml.width = True, 4096
    yaml.indent(mapping=2, sequence=4, offset=2)
    content = yaml.load(path.read_text(encoding="utf-8"))
    done = []
    for entry in content.get("images", []):
        device = entry["name"].removeprefix("ticket-sentiment-")
        if device not in pushed:
            raise TicketSentimentError(f"{path} wants the image {entry['name']}, which was not pushed")
        entry["newName"], _, entry["digest"] = pushed[device].image.partition("@")
        entry.pop("newTag", None)
        done.append(entry["name"])
    if not done:
        raise TicketSentimentError(f"{path} sets no images: name an overlay that does")
    with replacing(path) as temporary:
        yaml.dump(content, temporary)
    return done


def _chosen() -> tuple[str, dict[str, Image]]:
    """The engine that built, and what it built, of DEVICE alone where that is set."""
    built, device = read_built(), os.environ.get("DEVICE")
    if device and device not in built.images:
        raise TicketSentimentError(
            f"no image for {device} was built last, but {', '.join(built.images)}: "
            f"`make images DEVICE={device}` builds it"
        )
    return built.engine, {device: built.images[device]} if device else dict(built.images)


def _tickets_of(images: Mapping[str, Image]) -> list[Path]:
    """Where the tickets of all versions in the images are, by `make champion-state`, else the usual place."""
    versions = {version for image in images.values() for version in image.versions}
    brought = [RELEASED / f"v{version}" for version in sorted(versions, key=int)]
    return brought if brought and all(folder.is_dir() for folder in brought) else [PREPARED]


def _read_pushed() -> dict[str, Pushed]:
    return read_record(PUSHED, TypeAdapter(dict[str, Pushed]), "run `make images-push`, which writes it")


def main(step: str) -> None:
    """One step."""
    if step in ("names", "ids", "engine"):
        engine, images = _chosen()
        said = [image.name if step == "names" else image.id for image in images.values()]
        print("\n".join([engine] if step == "engine" else said))
    elif step == "scan":
        engine, images = _chosen()
        named = {image.name: image.id for image in images.values()}
        scan(named, engine, read_tickets(_tickets_of(images)))
    elif step == "bills":
        engine, images = _chosen()
        for device, image in images.items():
            write_bill(image.id, BILLS / f"{device}.cdx.json", engine, image.name)
    elif step == "push":
        engine, images = _chosen()
        pushed = push(images, os.environ.get("IMAGE_REPOSITORY", "").lower(), engine)
        write_json(PUSHED, {device: held.model_dump() for device, held in pushed.items()})
        print("\n".join(held.image for held in pushed.values()))
    elif step == "sign":
        sign(_read_pushed())
    else:
        overlay = OVERLAYS / os.environ.get("OVERLAY", "cpu")
        print(f"{overlay}: {', '.join(set_digests(_read_pushed(), overlay))}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")

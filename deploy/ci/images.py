"""From images here to manifests by digest: `make images-push`, `images-sign` and `manifests-digest`.

    var/images.json   {"cpu": "ghcr.io/team/ticket-sentiment@sha256:..."}, what a registry confirmed

A digest names the content, a tag only whoever moved it last: the digest is what is signed and what a cluster
runs.
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from ruamel.yaml import YAML

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, replacing, write_json
from ticket_sentiment.params import Params, load_params
from ticket_sentiment.registry.images import build_images, find_engine
from ticket_sentiment.registry.store import DEVICES

PUSHED = Path("var/images.json")
BILLS = Path("var")  # <device>.cdx.json of `make sbom`
OVERLAYS = Path("deploy/kubernetes/overlays")
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REPOSITORY = re.compile(r"[a-z0-9][a-z0-9.:/_-]*[a-z0-9]")


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


def push(images: dict[str, str], repository: str, engine: str) -> dict[str, str]:
    """Push images, by device, to a repository of a registry that the engine is logged in to.

    Args:
        images: their names here, by device.
        repository: e.g. ghcr.io/team/ticket-sentiment; a tag is added.
        engine: docker or podman.

    Returns:
        Names by digest, by device.

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
            target = f"{repository}:{image.rpartition(':')[2]}"
            _run(engine, "tag", image, target)
            digest = _pushed_digest(engine, target, Path(folder))
            if not DIGEST.fullmatch(digest):
                raise TicketSentimentError(f"{engine} push {target} told no digest: nothing is released")
            pushed[device] = f"{repository}@{digest}"
    return pushed


def sign(pushed: dict[str, str]) -> None:
    """Sign each image by digest and attest its bill of materials, keyless: as the workflow that runs this.

    Raises:
        TicketSentimentError: cosign is not here or refuses, or a bill of materials is missing.
    """
    for device, image in pushed.items():
        bill = BILLS / f"{device}.cdx.json"
        if not bill.is_file():
            raise TicketSentimentError(f"{bill} is missing: `make sbom` writes it")
        _run("cosign", "sign", "--yes", image)
        _run("cosign", "attest", "--yes", "--type", "cyclonedx", "--predicate", str(bill), image)
        print(f"{image}: signed, with its bill of materials")


def set_digests(pushed: dict[str, str], overlay: Path) -> list[str]:
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
        entry["newName"], _, entry["digest"] = pushed[device].partition("@")
        entry.pop("newTag", None)
        done.append(entry["name"])
    if not done:
        raise TicketSentimentError(f"{path} sets no images: name an overlay that does")
    with replacing(path) as temporary:
        yaml.dump(content, temporary)
    return done


def _built(params: Params) -> tuple[str, dict[str, str]]:
    engine = find_engine(os.environ.get("ENGINE") or None)
    devices = [device for device in DEVICES if os.environ.get("DEVICE") in (None, "", device)]
    return engine, build_images(params, devices, engine, os.environ.get("BASE_IMAGE") or None)


def main(step: str) -> None:
    """One of the three."""
    if step == "push":
        engine, images = _built(load_params())
        pushed = push(images, os.environ.get("IMAGE_REPOSITORY", "").lower(), engine)
        write_json(PUSHED, pushed)
        print("\n".join(pushed.values()))
    elif step == "sign":
        sign(read_json(PUSHED))
    else:
        overlay = OVERLAYS / os.environ.get("OVERLAY", "cpu")
        print(f"{overlay}: {', '.join(set_digests(read_json(PUSHED), overlay))}")


if __name__ == "__main__":
    try:
        main(sys.argv[1])
    except TicketSentimentError as error:
        sys.exit(f"error: {error}")

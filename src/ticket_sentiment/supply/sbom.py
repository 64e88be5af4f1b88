"""ticket-sentiment sbom: what is in an image, as CycloneDX, which vulnerability scanners and auditors read.

It is read from the image's files, not from what this machine has installed: the metadata of each Python
package (core metadata of PyPA) and dpkg's status. The same image gives the same bytes.
"""

import json
import re
import uuid
from collections.abc import Iterator
from datetime import datetime
from email.message import Message
from email.parser import BytesParser, Parser
from pathlib import Path
from typing import Any

from cyclonedx.factory.license import LicenseFactory
from cyclonedx.model import HashAlgorithm, HashType, Property
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentType
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import write_text
from ticket_sentiment.supply.contents import CONFIG, WHITEOUT, File, files_of, opened

PYTHON = re.compile(r"(?:^|/)(?:site|dist)-packages/[^/]+\.(?:dist-info/METADATA|egg-info/PKG-INFO)$")
DPKG = "var/lib/dpkg/status"
DPKG_FOLDER = "var/lib/dpkg/status.d/"  # of images without a shell, a file a package
OS_RELEASE = re.compile(r"^(?:etc|usr/lib)/os-release$")
BUNDLE = re.compile(r"(?:^|/)src/(bundle|challenger)/bundle\.json$")
LICENCES = LicenseFactory()
IMAGE_ID = "ticket-sentiment:image-id"  # property of the image: what its engine knows its content by


def _is_read(path: str) -> bool:
    return bool(
        PYTHON.search(path) or OS_RELEASE.match(path) or BUNDLE.search(path) or path in (DPKG, CONFIG)
    ) or (path.startswith(DPKG_FOLDER) and not path.endswith(".md5sums"))


def _forget(held: dict[str, tuple[str, bytes]], file: File) -> bool:
    """Carry out a whiteout of lower layers: what it deletes is in no container. True when it was one."""
    folder, _, name = file.path.rpartition("/")
    if not name.startswith(WHITEOUT):
        return False
    whole_folder = name == f"{WHITEOUT}{WHITEOUT}.opq"
    gone = folder if whole_folder else f"{folder}/{name.removeprefix(WHITEOUT)}".lstrip("/")
    for path in [path for path in held if path == gone or path.startswith(f"{gone}/")]:
        if held[path][0] != file.layer:  # its own layer it leaves alone, in whatever order that is written
            del held[path]
    return True


def _last_layers(image: Path) -> dict[str, bytes]:
    """What a container of the image would find, of the files that are read here."""
    held: dict[str, tuple[str, bytes]] = {}
    for file in files_of(image):
        if not _forget(held, file) and _is_read(file.path):
            with file.open() as stream:
                held[file.path] = file.layer, stream.read()
    return {path: content for path, (_, content) in held.items()}


def _licence(message: Message) -> str | None:
    """Of a Python package: the SPDX expression, else what its author wrote in the older field."""
    text = message.get("License-Expression") or message.get("License") or ""
    return text.strip() if 0 < len(text.strip()) <= 100 and "\n" not in text.strip() else None


def _component(name: str, version: str, url: PackageURL, licence: str | None = None) -> Component:
    return Component(
        type=ComponentType.LIBRARY,
        name=name,
        version=version,
        purl=url,
        bom_ref=url.to_string(),
        licenses=[LICENCES.make_from_string(licence)] if licence else [],
    )


def _python(content: bytes) -> Component | None:
    message = BytesParser().parsebytes(content, headersonly=True)
    name, version = message.get("Name"), message.get("Version")
    if not name or not version:
        return None
    url = PackageURL("pypi", name=re.sub(r"[-_.]+", "-", name).lower(), version=version)
    return _component(name, version, url, _licence(message))


def _debian(content: bytes, system: str, version_id: str) -> Iterator[Component]:
    """Packages of dpkg. Whose they are, Debian's or Ubuntu's, says which advisories are about them."""
    for paragraph in content.decode("utf-8", "replace").split("\n\n"):
        message = Parser().parsestr(paragraph.strip(), headersonly=True)
        name, version = message.get("Package"), message.get("Version")
        if name and version and message.get("Status", "install ok installed").endswith(" installed"):
            qualifiers = {"arch": message.get("Architecture", "all"), "distro": f"{system}-{version_id}"}
            yield _component(name, version, PackageURL("deb", system, name, version, qualifiers))


def _model(path: str, content: bytes) -> Component:
    """A bundle: what its digest is of, with the hash of the weights."""
    manifest = json.loads(content)
    weights = manifest["files"]["model.onnx"]
    return Component(
        type=ComponentType.MACHINE_LEARNING_MODEL,
        name=path.rpartition("/src/")[2].partition("/")[0],
        version=weights[:12],
        bom_ref=f"model:{path}",
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=weights)],
        properties=[
            Property(name=f"ticket-sentiment:{key}", value=str(manifest[key]))
            for key in ("base_model", "precision", "training_data")
        ],
    )


def _components(held: dict[str, bytes]) -> list[Component]:
    release = next((text.decode() for path, text in held.items() if OS_RELEASE.match(path)), "")
    fields = dict(re.findall(r'^(\w+)="?([^"\n]*)"?$', release, re.MULTILINE))
    system = fields.get("ID", "debian"), fields.get("VERSION_ID", "unknown")
    found: dict[str, Component] = {}
    for path, content in sorted(held.items()):
        if PYTHON.search(path):
            components = [component] if (component := _python(content)) else []
        elif path == DPKG or path.startswith(DPKG_FOLDER):
            components = list(_debian(content, *system))
        elif BUNDLE.search(path):
            components = [_model(path, content)]
        else:
            continue
        found |= {str(component.bom_ref.value): component for component in components}
    return [found[key] for key in sorted(found)]


def bill_of_materials(image: Path, name: str, image_id: str | None = None) -> str:
    """CycloneDX 1.6 of a saved image, as JSON.

    Args:
        image: an archive of `docker save` or `podman save`.
        name: of the image.
        image_id: by which it was saved, so that whoever signs it knows the bill to be of that one.

    Raises:
        TicketSentimentError: it is no image, or none of its packages was found, as in one that keeps them
            elsewhere: an empty bill would look like a clean one.
    """
    held = _last_layers(image)
    components = _components(held)
    libraries = [component for component in components if component.purl is not None]
    if not libraries:
        raise TicketSentimentError(f"{name}: neither Python's nor Debian's packages were found in it")
    config: dict[str, Any] = json.loads(held[CONFIG])
    labels = (config.get("config") or {}).get("Labels") or {}
    properties = {**labels, **({IMAGE_ID: image_id} if image_id else {})}
    described = Component(
        type=ComponentType.CONTAINER,
        name=name.rpartition(":")[0] or name,
        version=labels.get("org.opencontainers.image.version", "unknown"),
        bom_ref="image",
        properties=[Property(name=key, value=value) for key, value in sorted(properties.items())],
    )
    created = datetime.fromisoformat(re.sub(r"(\.\d{6})\d+", r"\1", config["created"]))
    bom = Bom(
        components=components,
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, held[CONFIG].decode()),  # it names every layer's digest
        metadata=BomMetaData(component=described, timestamp=created),
    )
    bom.register_dependency(described, components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def image_of_bill(bill: Path) -> str | None:
    """The id of the image that a bill is of; None where it was made by another name, or is no bill."""
    try:
        properties = json.loads(bill.read_text(encoding="utf-8"))["metadata"]["component"]["properties"]
        return next((held["value"] for held in properties if held["name"] == IMAGE_ID), None)
    except (ValueError, KeyError, TypeError):
        return None


def main(target: str, out: Path, engine: str | None = None, name: str | None = None) -> None:
    """Write the bill of materials of an image, and say what it names.

    Args:
        target: a saved image, or an image of an engine.
        out: the bill.
        engine: docker, podman or buildah; None takes the one that answers.
        name: of the image, where the target is its id, which the bill then keeps.

    Raises:
        TicketSentimentError: as of `bill_of_materials`, or the image is not here.
    """
    with opened(target, engine) as image:
        if image.is_dir():
            raise TicketSentimentError(
                f"{target} is a folder: what it needs is installed in an image; name one"
            )
        text = bill_of_materials(image, name or target, target if name else None)
    write_text(out, text)
    print(f"{out}: {len(json.loads(text)['components'])} components of {name or target}, CycloneDX 1.6")

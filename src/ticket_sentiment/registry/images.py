"""From Bentos to container images, with whichever engine is here."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

import bentoml
from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, write_json, write_text
from ticket_sentiment.params import Params
from ticket_sentiment.registry.build import build_champion

ENGINES = ("docker", "podman", "buildah")
CONTAINERFILE = "deploy/Containerfile"
FROM = re.compile(r"^FROM (\S+) AS base-container$", re.MULTILINE)
TRUST_STORE = "/etc/ssl/certs/ca-certificates.crt"
BUILT = Path("var/built.json")
T = TypeVar("T")
VERSION = re.compile(r"(?:^|-)v(\d+)-[0-9a-f]{12}(?=-)")


class Image(BaseModel):
    """An image of an engine. Its name may be given to another one tomorrow; its id is its content."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    id: str

    @property
    def versions(self) -> list[str]:
        """The registered versions in it: the champion, and the challenger if there is one."""
        return VERSION.findall(self.name.rpartition(":")[2])


class Built(BaseModel):
    """The images of one build (var/built.json), which are tested, looked through, pushed and signed.

    Each step takes them from here. Were MLflow asked anew by each, then an alias that moves meanwhile would
    release an image that nobody tested.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: str
    images: dict[str, Image]  # by device


def read_built(root: Path = Path()) -> Built:
    """What `make images` built last.

    Raises:
        TicketSentimentError: nothing was, or the file is none of its.
    """
    remedy = "run `make images`, which builds the images and writes it"
    return read_record(root / BUILT, TypeAdapter(Built), remedy)


def read_record(path: Path, kind: TypeAdapter[T], remedy: str) -> T:
    """What a step of a release has left for the next ones.

    Raises:
        TicketSentimentError: the file is missing, or none of its; with the remedy.
    """
    held = read_json(path, remedy)
    try:
        return kind.validate_python(held)
    except ValidationError as error:
        wrong = error.errors()[0]
        where = ".".join(str(part) for part in wrong["loc"])
        raise TicketSentimentError(f"{path}: {where or 'all of it'}: {wrong['msg']}: {remedy}") from None


def find_engine(engine: str | None = None) -> str:
    """The engine that builds: docker where its daemon answers, else podman, else buildah.

    Raises:
        TicketSentimentError: none is here, or the one that was asked for is not.
    """
    for name in [engine] if engine else ENGINES:
        asked = [name, "info"] if name == "docker" else [name, "--version"]  # a client alone builds nothing
        if shutil.which(name) and subprocess.run(asked, capture_output=True).returncode == 0:
            return name
    raise TicketSentimentError(
        f"no container engine answers ({engine or ', '.join(ENGINES)}): "
        "start Docker, or install podman or buildah"
    )


def containerfile(bento: bentoml.Bento, root: Path) -> tuple[str, str]:
    """The whole recipe of a Bento's image, and the name of the image that it starts from.

    BentoML's Dockerfile for the Bento, with the base image as an argument, and after it deploy/Containerfile:
    the last stage takes over what was installed, not what it was installed with.

    Raises:
        TicketSentimentError: the Bento's Dockerfile does not begin as BentoML 1.4 writes it.
    """
    stages = Path(bento.path_of("env/docker/Dockerfile")).read_text(encoding="utf-8")
    found = FROM.search(stages)
    if found is None:
        raise TicketSentimentError(
            f"{bento.tag}: env/docker/Dockerfile has no stage `base-container`: this BentoML writes it "
            "another way; install the version of requirements.lock"
        )
    stages = FROM.sub("FROM ${BASE_IMAGE} AS base-container", stages)
    last = (root / CONTAINERFILE).read_text(encoding="utf-8")
    environment = {variable.name: variable.value for variable in bento.info.envs}
    if bento.info.args["device"] == "gpu":
        environment["NVIDIA_DRIVER_CAPABILITIES"] = "compute,utility"  # the runtime's default has no CUDA
    lines = [f'ENV {name}="{value}"' for name, value in environment.items()]
    return "\n".join(["ARG BASE_IMAGE", stages, last, *lines, ""]), found[1]


def image_labels(bento: bentoml.Bento, base_image: str) -> dict[str, str]:
    """What an image says about itself: OCI's keys, and the digest of the champion's bundle."""
    held = bento.info.labels
    return {
        "org.opencontainers.image.title": "Ticket Sentiment",
        "org.opencontainers.image.version": held["model_version"],
        "org.opencontainers.image.revision": held["git_commit"],
        "org.opencontainers.image.base.name": base_image,
        "ticket-sentiment.bento": str(bento.tag),
        "ticket-sentiment.bundle-digest": held["bundle_digest"],
        "ticket-sentiment.device": str(bento.info.args["device"]),
    }


def _host_options(folder: Path) -> list[str]:
    """For podman and buildah: what the build borrows from the host, and leaves out of the image.

    The network, the uv of this environment, as a base image may hold neither it nor pip, and the authorities
    that the host trusts, as there may be a company's own among them.
    """
    options = ["--network=host", "--format=docker"]  # of the two formats, the one with a health check
    uv = Path(sys.executable).with_name("uv")
    if uv.exists():
        options.append(f"--volume={uv}:/usr/local/bin/uv:ro")
    authorities = os.environ.get("SSL_CERT_FILE", TRUST_STORE)
    if Path(authorities).exists():
        write_text(folder / "uv.toml", "system-certs = true\n")
        options.append(f"--volume={authorities}:{TRUST_STORE}:ro")
        options.append(f"--volume={folder / 'uv.toml'}:/etc/uv/uv.toml:ro")
    return options


def build_image(tag: str, engine: str, base_image: str | None = None, root: Path = Path()) -> Image:
    """Build the image of a Bento in BentoML's store; the engine's cache of layers makes a second build short.

    Args:
        tag: of the Bento; the image gets the same.
        engine: docker, podman or buildah.
        base_image: instead of the one that the Bento names; it must hold Python 3.11.
        root: the repository, which holds deploy/Containerfile.

    Raises:
        TicketSentimentError: the engine could not build it; the message carries its last line.
    """
    bento = bentoml.get(tag)
    recipe, declared = containerfile(bento, root)
    base = base_image or declared
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_text(folder / "Containerfile", recipe)
        told = folder / "id"
        options = ["--file", str(folder / "Containerfile"), "--tag", tag, f"--iidfile={told}"]
        options += ["--build-arg", f"BASE_IMAGE={base}"]
        options += [f"--label={key}={value}" for key, value in image_labels(bento, base).items()]
        if engine != "docker":
            options += _host_options(folder)
        if engine == "buildah":
            options.append("--layers")
        command = [engine, "build", *options, bento.path]
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        image_id = told.read_text().strip() if told.exists() else ""
    if result.returncode != 0 or not image_id:
        log = root / "var/images.log"
        write_text(log, result.stdout)
        last = (result.stdout.strip() or "no output").splitlines()[-1].strip()
        raise TicketSentimentError(f"{engine} build of {tag} failed: {last} (all of it: {log})")
    return Image(name=tag, id=image_id)


def build_images(
    params: Params,
    devices: Sequence[str],
    engine: str | None = None,
    base_image: str | None = None,
    root: Path = Path(),
) -> Built:
    """Build the images of the registered champion, beside it the challenger if there is one.

    They are named in var/built.json when all are done; what was there before is gone as soon as this begins.

    Args:
        params: of params.yaml.
        devices: cpu, gpu or both.
        engine: docker, podman or buildah; the first that answers where it is None.
        base_image: instead of the one that serving/service.py names.
        root: the repository.

    Raises:
        TicketSentimentError: there is no engine or no champion, or a build failed.
    """
    (root / BUILT).unlink(missing_ok=True)
    builder = find_engine(engine)
    tags = build_champion(params, root)
    images = {device: build_image(tags[device], builder, base_image, root) for device in devices}
    built = Built(engine=builder, images=images)
    write_json(root / BUILT, built.model_dump())
    return built

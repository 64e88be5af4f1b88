"""The files of what is delivered: of a folder, or of every layer of a saved image.

A file that a later layer deletes is still in the earlier one, for whoever pulls the image. So an image is
read as `docker save` or `podman save` writes it, layer by layer, and not as the file system of a container.
"""

import io
import json
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.registry.images import find_engine

WHITEOUT = ".wh."  # of the OCI image specification: a file of this prefix deletes another one
CONFIG = "image configuration"  # environment, labels and history of an image, as if it were a file


@dataclass(frozen=True)
class File:
    """One file, read when asked for, and only until the next one is."""

    path: str  # in an image from its root, without a leading slash
    layer: str  # of an image, e.g. `layer 3 of 5`; empty in a folder
    open: Callable[[], IO[bytes]]

    def __str__(self) -> str:
        return f"{self.path} ({self.layer})" if self.layer else self.path


def _of_folder(folder: Path) -> Iterator[File]:
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            yield File(path.relative_to(folder).as_posix(), "", lambda path=path: path.open("rb"))


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    stream = archive.extractfile(name)
    if stream is None:
        raise KeyError(name)
    return stream


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    images = json.loads(_member(archive, "manifest.json").read())
    if len(images) != 1:
        raise TicketSentimentError(f"the archive holds {len(images)} images: save one at a time")
    return images[0]


def _of_archive(path: Path) -> Iterator[File]:
    try:
        with tarfile.open(path) as archive:
            manifest = _manifest(archive)
            config = _member(archive, manifest["Config"]).read()
            yield File(CONFIG, "", lambda: io.BytesIO(config))
            layers = manifest["Layers"]
            for number, name in enumerate(layers, 1):
                with tarfile.open(fileobj=_member(archive, name)) as layer:
                    for member in layer:
                        if member.isfile():
                            yield File(
                                member.name.removeprefix("./").lstrip("/"),
                                f"layer {number} of {len(layers)}",
                                lambda layer=layer, member=member: layer.extractfile(member),
                            )
                    _require_end(layer)
    except (tarfile.TarError, KeyError, ValueError, EOFError) as error:
        raise TicketSentimentError(
            f"{path} is no saved image ({type(error).__name__}): expected what `docker save` or "
            "`podman save` wrote"
        ) from None


def _require_end(layer: tarfile.TarFile) -> None:
    """tarfile takes a damaged header for the end: behind the true one there are zeros alone."""
    stream = layer.fileobj
    assert stream is not None
    stream.seek(layer.offset)
    while block := stream.read(1 << 20):
        if block.strip(b"\0"):
            raise tarfile.ReadError("a damaged header")


def files_of(place: Path) -> Iterator[File]:
    """All files of a folder, or of all layers of a saved image from the lowest on.

    Raises:
        TicketSentimentError: there is nothing, or the archive is no saved image.
    """
    if place.is_dir():
        return _of_folder(place)
    if not place.is_file():
        raise TicketSentimentError(f"{place} is neither a folder nor a saved image")
    return _of_archive(place)


@contextmanager
def opened(target: str, engine: str | None = None) -> Iterator[Path]:
    """What a person named: a folder or archive that is there, else an image, saved while the block runs.

    Args:
        target: a path, or the name of an image.
        engine: docker, podman or buildah; None takes the one that answers.

    Raises:
        TicketSentimentError: there is no engine, or it does not give the image out.
    """
    if Path(target).exists():
        yield Path(target)
        return
    with _saved(target, find_engine(engine)) as archive:
        yield archive


@contextmanager
def _saved(image: str, engine: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "image.tar"
        command = [engine, "save", "--output", str(path), image]
        if engine == "podman":
            command.insert(2, "--format=docker-archive")
        if engine == "buildah":  # knows no `save`
            command = [engine, "push", "--quiet", image, f"docker-archive:{path}:{image}"]
        result = subprocess.run(command, capture_output=True, text=True)
        if result.returncode != 0:
            last = (result.stderr.strip() or "no output").splitlines()[-1]
            raise TicketSentimentError(f"{' '.join(command[:2])} {image} failed: {last}")
        yield path

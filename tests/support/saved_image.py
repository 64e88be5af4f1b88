"""A saved image of a few files, as `podman save --format docker-archive` writes one."""

import io
import json
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path

CONFIG = {
    "created": "2026-11-01T08:09:10.123456789Z",
    "config": {"Env": ["PATH=/bin"], "Labels": {"org.opencontainers.image.version": "3"}},
    "history": [],
}


def _tar(files: Mapping[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def save_image(path: Path, layers: Sequence[Mapping[str, bytes]], config: Mapping = CONFIG) -> Path:
    """Write an image of these layers, the lowest first."""
    files = {f"{number}.tar": _tar(layer) for number, layer in enumerate(layers)}
    manifest = [{"Config": "config.json", "RepoTags": ["x:1"], "Layers": list(files)}]
    files |= {"config.json": json.dumps(config).encode(), "manifest.json": json.dumps(manifest).encode()}
    path.write_bytes(_tar(files))
    return path

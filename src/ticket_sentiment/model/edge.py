"""A bundle on a small device: ONNX Runtime and numpy, and nothing heavier.

    bundle = open_bundle(Path("models/release/cpu"))
    EdgeRuntime(bundle).probabilities(["Thanks, that was fast!"])

Over `load_bundle` this saves pydantic: about ten megabytes in memory, and time to start. So the manifest is
checked here a second time, by hand; tests/model/test_edge.py holds that a damage an answer could depend on is
refused here too.
"""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.runtime import Runtime
from ticket_sentiment.model.wordpiece import WordPiece

if TYPE_CHECKING:
    from ticket_sentiment.model.bundle import Bundle

# As in model/bundle.py, which cannot be imported without pydantic.
MANIFEST = "bundle.json"
FILES = ("model.onnx", "tokenizer.json")
FORMAT_VERSION = 1
KEYS = {
    "format_version", "files", "labels", "max_length", "precision", "base_model", "architecture",
    "temperature", "training_data", "metrics",
}  # fmt: skip


class EdgeManifest(NamedTuple):
    """What of bundle.json an answer depends on."""

    labels: tuple[str, ...]
    max_length: int
    temperature: float


class EdgeBundle(NamedTuple):
    """A verified bundle on disk; stands for `Bundle`."""

    path: Path
    manifest: EdgeManifest
    digest: str

    @property
    def model_path(self) -> Path:
        return self.path / "model.onnx"

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer.json"


def _wrong_field(raw: dict[str, Any]) -> str | None:
    """The first field that is not as it should be, with what was expected."""
    for key in sorted(raw.keys() ^ KEYS):
        return f"{key}: " + ("no known key" if key in raw else "missing")
    checks = {
        f"format_version: expected {FORMAT_VERSION}": raw["format_version"] == FORMAT_VERSION,
        f"labels: expected {', '.join(LABELS)}": raw["labels"] == list(LABELS),
        f"files: expected exactly {', '.join(FILES)}": isinstance(raw["files"], dict)
        and set(raw["files"]) == set(FILES),
        "max_length: expected a whole number above 0": type(raw["max_length"]) is int
        and raw["max_length"] > 0,
        "temperature: expected a number above 0": type(raw["temperature"]) in (int, float)
        and 0 < raw["temperature"] < math.inf,
    }
    return next((text for text, right in checks.items() if not right), None)


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        raw = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise TicketSentimentError(f"{path.parent} is no bundle: {MANIFEST} is missing") from None
    except ValueError as error:
        raise TicketSentimentError(f"{path} is not JSON ({error}): fetch the bundle again") from None
    if not isinstance(raw, dict):
        raise TicketSentimentError(f"{path}: expected an object: fetch the bundle again")
    return raw


def open_bundle(path: Path) -> EdgeBundle:
    """Verify a bundle without pydantic: format, labels, and the SHA-256 of every file.

    Raises:
        TicketSentimentError: something is not as it should be; the message names the file and the reason.
    """
    raw = _read_manifest(path / MANIFEST)
    if problem := _wrong_field(raw):
        raise TicketSentimentError(f"{path / MANIFEST}: {problem}: fetch the bundle again")
    for item in sorted(path.iterdir()):
        if item.name not in (*FILES, MANIFEST):
            raise TicketSentimentError(f"{path} holds {item.name}, which is no part of a bundle")
    for name in FILES:
        if not (path / name).is_file():
            raise TicketSentimentError(f"{path / name} is missing: fetch the bundle again")
        if sha256_file(path / name) != raw["files"][name]:
            raise TicketSentimentError(
                f"{path / name} is not what {MANIFEST} names (SHA-256 differs): fetch the bundle again"
            )
    manifest = EdgeManifest(tuple(raw["labels"]), raw["max_length"], float(raw["temperature"]))
    return EdgeBundle(path, manifest, sha256_file(path / MANIFEST))


class EdgeRuntime(Runtime):
    """`Runtime` for one processor core and little memory: one thread, and no memory arena.

    Raises:
        TicketSentimentError: the bundle's tokenizer is not of the kind that model/wordpiece.py reads.
    """

    def __init__(self, bundle: "EdgeBundle | Bundle") -> None:
        super().__init__(bundle, arena=False)

    def _open_tokenizer(self) -> Callable[[str], list[int]]:
        return WordPiece(self.bundle.tokenizer_path, self.bundle.manifest.max_length).encode

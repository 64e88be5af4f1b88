"""The bundle: the one folder that passes from training to serving, CPU, GPU or edge.

    model.onnx       the graph and all its weights (no external data: ONNX Runtime checks no hash of it)
    tokenizer.json   the pruned vocabulary, for the `tokenizers` library
    bundle.json      what this is, and the SHA-256 of the other two; written last

A bundle's digest is the SHA-256 of bundle.json: it names the content, so equal results have equal digests.
There is no pickle in it, and nothing is read before its hash has been checked.
"""

import shutil
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, require_space, sha256_file, write_json
from ticket_sentiment.labels import LABELS

MANIFEST = "bundle.json"
FILES = ("model.onnx", "tokenizer.json")
FORMAT_VERSION = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]


class Architecture(BaseModel):
    """The encoder as it is after pruning."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    hidden: int
    head_size: int
    heads: tuple[int, ...]  # of each layer
    ffn: tuple[int, ...]  # neurons of each layer
    vocabulary: int
    positions: int
    embedding_bytes: int = 0  # of a token; 0: a row of numbers
    parameters: int


class Manifest(BaseModel):
    """bundle.json."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = FORMAT_VERSION
    files: dict[str, Sha256]
    labels: tuple[str, ...]
    max_length: int = Field(ge=1)
    precision: Literal["fp32", "int8", "fp16"]
    base_model: str
    architecture: Architecture
    temperature: float = Field(gt=0)
    training_data: Sha256
    metrics: dict[str, float]


class Bundle(BaseModel):
    """A verified bundle on disk."""

    model_config = ConfigDict(frozen=True)

    path: Path
    manifest: Manifest
    digest: Sha256

    @property
    def model_path(self) -> Path:
        return self.path / "model.onnx"

    @property
    def tokenizer_path(self) -> Path:
        return self.path / "tokenizer.json"

    @property
    def size_bytes(self) -> int:
        """Bytes of all files of the bundle."""
        return sum((self.path / name).stat().st_size for name in (*FILES, MANIFEST))


def write_bundle(path: Path, model: Path, tokenizer: Path, **fields: object) -> Bundle:
    """Write a bundle as a whole: in a folder aside, the manifest last, then renamed to `path`.

    Args:
        path: where the bundle shall lie; what lies there is replaced.
        model: the ONNX file, without external data.
        tokenizer: the tokenizer.json.
        **fields: the fields of `Manifest` other than `files` and `labels`.

    Raises:
        TicketSentimentError: there is no space, or what was written does not verify.
    """
    require_space(path.parent, 2 * (model.stat().st_size + tokenizer.stat().st_size))
    with replacing_folder(path) as folder:
        shutil.copyfile(model, folder / "model.onnx")
        shutil.copyfile(tokenizer, folder / "tokenizer.json")
        manifest = Manifest(
            files={name: sha256_file(folder / name) for name in FILES}, labels=LABELS, **fields
        )
        write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    return load_bundle(path)


def load_bundle(path: Path) -> Bundle:
    """Verify and open a bundle.

    Raises:
        TicketSentimentError: the folder, a file, a hash, the schema or the labels are not as they
            should be; the message names the file and the reason.
    """
    remedy = (
        "make it anew: a release by `ticket-sentiment releases`, this month's bundle by `dvc repro quantize`"
    )
    if not (path / MANIFEST).is_file():
        raise TicketSentimentError(f"{path} is no bundle: {MANIFEST} is missing; {remedy}")
    found = {item.name for item in path.iterdir()}
    unexpected = sorted(found - {*FILES, MANIFEST})
    if unexpected:
        raise TicketSentimentError(f"{path} holds {unexpected[0]}, which is no part of a bundle; {remedy}")
    try:
        manifest = Manifest.model_validate_json((path / MANIFEST).read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise TicketSentimentError(f"{path / MANIFEST}: {where}: {first['msg']}; {remedy}") from None
    if set(manifest.files) != set(FILES):
        raise TicketSentimentError(f"{path / MANIFEST}: files: expected exactly {', '.join(FILES)}; {remedy}")
    if manifest.labels != LABELS:
        raise TicketSentimentError(f"{path / MANIFEST}: labels: expected {', '.join(LABELS)}; {remedy}")
    for name, expected in manifest.files.items():
        if not (path / name).is_file():
            raise TicketSentimentError(f"{path / name} is missing; {remedy}")
        if sha256_file(path / name) != expected:
            raise TicketSentimentError(
                f"{path / name} is not what {MANIFEST} names (SHA-256 differs); {remedy}"
            )
    return Bundle(path=path, manifest=manifest, digest=sha256_file(path / MANIFEST))

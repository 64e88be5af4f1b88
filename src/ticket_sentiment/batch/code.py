"""Which code answers: a job that one version began is not ended by another."""

import hashlib
import sys
from functools import cache
from importlib.metadata import version
from pathlib import Path

import onnxruntime

from ticket_sentiment.batch import csv_check, json_lines, output, scorer, source
from ticket_sentiment.files import sha256_file
from ticket_sentiment.model import runtime, wordpiece
from ticket_sentiment.serving import classifier
from ticket_sentiment.tickets import canonical, formats, markup, privacy

# From a file to the part that holds its answers, each module that has a say. Who cuts chunks is among them:
# with other boundaries the parts that are there would hold rows twice, and others never.
MODULES = (
    formats,
    csv_check,
    json_lines,
    source,
    scorer,
    markup,
    privacy,
    canonical,
    wordpiece,
    runtime,
    classifier,
    output,
)


@cache
def code_digest() -> str:
    """Hex SHA-256 over them and what computes; by Python's tables of characters texts are cut."""
    parts = [sha256_file(Path(str(module.__file__))) for module in MODULES]
    return hashlib.sha256(
        "\n".join(
            [
                *parts,
                f"{sys.version_info[:2]}",
                onnxruntime.__version__,
                *map(version, ("numpy", "tokenizers")),
            ]
        ).encode()
    ).hexdigest()

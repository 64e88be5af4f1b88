"""A key that signs, and bundles that are signed with it."""

import base64
import hashlib
from pathlib import Path

from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.signing.keys import SigningKey
from ticket_sentiment.signing.signature import Subject, sign, signature_path


def key_of(name: str) -> SigningKey:
    """The same for the same name."""
    return SigningKey(name, hashlib.sha256(name.encode()).digest())


def public_half(key: SigningKey) -> bytes:
    return base64.b64decode(key.public_line.split()[1])


def sign_folder(bundle: Path, key: SigningKey, version: str, release: str | None = None) -> None:
    """Sign the CPU bundle in a folder as a version."""
    digest = load_bundle(bundle).digest
    text = sign(Subject(digest, version, release or digest, "cpu"), key).text
    signature_path(bundle).write_text(text)

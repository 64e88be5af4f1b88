"""A bundle's signature: who says that these weights are this version of the registry.

It covers the bundle's digest, which covers every byte of the bundle, and what the bundle is taken for:
version, release and device. So a genuine old bundle cannot be put in a new one's place. It lies beside the
bundle's folder (`cpu.signature.json` beside `cpu/`): a bundle refuses files that it does not know, and its
digest stays as it was.
"""

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Device
from ticket_sentiment.signing.keys import SigningKey

PURPOSE = "ticket-sentiment bundle signature 1"  # no other message of this key can be taken for one of these


@dataclass(frozen=True)
class Subject:
    """What is signed."""

    bundle: str  # digest
    version: str  # of the registry
    release: str  # how a rollout state names the version on every device
    device: Device

    @property
    def message(self) -> bytes:
        """The bytes under the signature: a line each, none of which can hold a line's end."""
        lines = (
            PURPOSE, f"bundle {self.bundle}", f"version {self.version}", f"release {self.release}",
            f"device {self.device}",
        )  # fmt: skip
        assert not any("\n" in line for line in lines)
        return "\n".join(lines).encode()

    def __str__(self) -> str:
        return f"version {self.version} ({self.device}, {self.bundle[:12]})"


class Signature(BaseModel):
    """The file beside a bundle, and the tag of its version in MLflow."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format_version: Literal[1] = 1
    key: str  # its name
    signature: str  # base64

    @property
    def text(self) -> str:
        """As it is written."""
        return self.model_dump_json()


def sign(subject: Subject, key: SigningKey) -> Signature:
    """Sign; the same subject and key give the same signature."""
    from nacl.signing import SigningKey as Ed25519

    raw = Ed25519(key.seed).sign(subject.message).signature
    return Signature(key=key.name, signature=base64.b64encode(raw).decode())


def signature_path(bundle: Path) -> Path:
    """Of the bundle in a folder."""
    return bundle.with_name(f"{bundle.name}.signature.json")


def verify(text: str | bytes, subject: Subject, keys: Mapping[str, bytes], where: str) -> str:
    """Verify what a signature's file or tag holds.

    Args:
        text: the signature.
        subject: what it must be of.
        keys: whose signatures count.
        where: the file or tag, for the message.

    Returns:
        The name of the key that signed.

    Raises:
        TicketSentimentError: it is no signature, of a key that does not count, or not of this subject.
    """
    from nacl.exceptions import BadSignatureError
    from nacl.signing import VerifyKey

    try:
        held = Signature.model_validate_json(text)
        raw = base64.b64decode(held.signature, validate=True)
    except (ValidationError, binascii.Error, ValueError):
        raise TicketSentimentError(f"{where} is no signature: sign the version again") from None
    if held.key not in keys:
        raise TicketSentimentError(
            f"{where}: signed with key {held.key!r}, which is none of the public keys ({', '.join(keys)})"
        )
    try:
        VerifyKey(keys[held.key]).verify(subject.message, raw)
    except (BadSignatureError, ValueError):
        raise TicketSentimentError(
            f"{where}: the signature of key {held.key!r} is not of {subject}: this is not what was signed, "
            "or not with that key"
        ) from None
    return held.key


def require_signature(bundle: Path, subject: Subject, keys: Mapping[str, bytes]) -> None:
    """Refuse a bundle whose signature is missing or wrong.

    Raises:
        TicketSentimentError: as `verify`, or there is no signature.
    """
    path = signature_path(bundle)
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        raise TicketSentimentError(
            f"{path} is missing and serve.require_signature is true: "
            f"`ticket-sentiment sign {subject.version}` signs it where the key is"
        ) from None
    verify(text, subject, keys, str(path))

"""Ed25519 keys: one secret line that signs, and lines `name key` of those whose signatures count.

    TICKET-SENTIMENT-PRIVATE-KEY 2026-11 <32 bytes in base64>      a secret: of the flow alone
    2026-11 <32 bytes in base64>                                   public: of everybody who serves

Neither is ever in params.yaml, which names a variable or a file. The first word is there to be found:
`make scan` looks for it in images.
"""

import base64
import binascii
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Registry, Serve

SECRET_WORD = "TICKET-SENTIMENT-PRIVATE-KEY"
NAME = re.compile(r"[A-Za-z0-9_.-]{1,64}")
BYTES = 32  # of a seed, and of a public key


@dataclass(frozen=True)
class SigningKey:
    """The secret half."""

    name: str
    seed: bytes = field(repr=False)

    @property
    def line(self) -> str:
        """How it is kept. A secret."""
        return f"{SECRET_WORD} {self.name} {base64.b64encode(self.seed).decode()}"

    @property
    def public_line(self) -> str:
        """Of `serve.public_keys_file`, for everybody."""
        from nacl.signing import (
            SigningKey as Ed25519,  # here, as a service without signatures needs none of it
        )

        return f"{self.name} {base64.b64encode(bytes(Ed25519(self.seed).verify_key)).decode()}"


def _decoded(name: str, encoded: str) -> bytes | None:
    try:
        raw = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if NAME.fullmatch(name) and len(raw) == BYTES else None


def generate(path: Path, name: str) -> Path:
    """Write a new key to `path`, readable by its owner alone, and its public half beside it.

    Returns:
        Where the public half is: `path` with `.pub`.

    Raises:
        TicketSentimentError: one of the files is there already, or the name is none.
    """
    if not NAME.fullmatch(name):
        raise TicketSentimentError(f"{name} is no name of a key: expected up to 64 of A-Z a-z 0-9 _ . -")
    public = path.with_name(f"{path.name}.pub")
    for taken in (path, public):
        if taken.exists():
            raise TicketSentimentError(f"{taken} is there already: a key is never written over; name another")
    key = SigningKey(name, os.urandom(BYTES))
    path.parent.mkdir(parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
        stream.write(f"{key.line}\n")
    public.write_text(f"{key.public_line}\n", encoding="utf-8")
    return public


def _text(variable: str, file: str | None, root: Path, what: str) -> tuple[str, str] | None:
    """What a variable or a file holds, and where that was; None where neither is."""
    if text := os.environ.get(variable, ""):
        return text, variable
    if file is None:
        return None
    try:
        return (root / file).read_text(encoding="utf-8"), str(root / file)
    except (OSError, UnicodeDecodeError) as error:
        raise TicketSentimentError(f"{what}: {root / file} cannot be read ({type(error).__name__})") from None


def signing_key(registry: Registry, root: Path = Path()) -> SigningKey | None:
    """The key that `registry.signing_key_env` or `signing_key_file` holds; None where neither does.

    Raises:
        TicketSentimentError: what they hold is no key. It is not repeated: it may be a secret all the same.
    """
    found = _text(registry.signing_key_env, registry.signing_key_file, root, "registry.signing_key_file")
    if found is None:
        return None
    words = found[0].split()
    seed = _decoded(*words[1:]) if len(words) == 3 and words[0] == SECRET_WORD else None
    if seed is None:
        raise TicketSentimentError(
            f"{found[1]} holds no signing key: expected the one line that `ticket-sentiment keygen` writes"
        )
    return SigningKey(words[1], seed)


def public_keys(serve: Serve, root: Path = Path()) -> Mapping[str, bytes]:
    """The keys whose signatures count, by name.

    Raises:
        TicketSentimentError: there are none, or a line is no key. A service that was meant to ask for
            signatures never goes without.
    """
    found = _text(serve.public_keys_env, serve.public_keys_file, root, "serve.public_keys_file")
    if found is None:
        raise TicketSentimentError(
            "no public key is here to verify signatures with: set serve.public_keys_file, "
            f"or {serve.public_keys_env} to the lines of the files that `ticket-sentiment keygen` writes"
        )
    text, where = found
    keys: dict[str, bytes] = {}
    for number, line in enumerate(text.splitlines(), 1):
        words = line.split()
        if not words or words[0].startswith("#"):
            continue
        raw = _decoded(*words) if len(words) == 2 else None
        if raw is None or words[0] in keys:
            raise TicketSentimentError(
                f"{where}, line {number}: expected a name that is not there yet and a public key in base64"
            )
        keys[words[0]] = raw
    if not keys:
        raise TicketSentimentError(f"{where} holds no public key, so no bundle could ever be served")
    return keys

"""API keys: only their SHA-256 is held, and every one is compared, so that time says nothing."""

import hashlib
import hmac
import os
import re
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Keys
from ticket_sentiment.serving.errors import ApiError

_LINE = re.compile(r"([A-Za-z0-9_.-]{1,64})\s+([0-9a-f]{64})")
_CHALLENGE = ((b"www-authenticate", b"Bearer"),)
_COPY = "api-keys"
MIN_LENGTH = 16  # of a key: a shorter one can be guessed


def _of_environment(names: list[str]) -> list[tuple[str, bytes]]:
    found = []
    for name in names:
        key = os.environ.get(name, "").strip()  # of a file with a newline at its end, as many secrets are
        if len(key) < MIN_LENGTH:
            raise TicketSentimentError(
                f"serve.api_keys.environment: {name} holds no API key of at least {MIN_LENGTH} characters: "
                "set it, or take its name out of params.yaml"
            )
        found.append((name, hashlib.sha256(key.encode()).digest()))
    return found


def _of_file(path: Path, copy: Path | None) -> list[tuple[str, bytes]]:
    found = []
    try:
        lines = (copy or path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise TicketSentimentError(f"serve.api_keys.file: {path} cannot be read ({error})") from None
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None:
            raise TicketSentimentError(
                f"{path}, line {number}: expected a name and the key's SHA-256 in 64 hex digits "
                "(printf %s KEY | sha256sum)"
            )
        found.append((match[1], bytes.fromhex(match[2])))
    return found


def share_keys(settings: Keys, home: Path, shared: Path) -> None:
    """Copy the file of keys, once, to the folder that the workers share: each knows the same ones for ever.

    Raises:
        TicketSentimentError: it cannot be copied.
    """
    if settings.file is None:
        return
    try:
        content = (home / settings.file).read_bytes()
        with open(os.open(shared / _COPY, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(content)
    except OSError as error:
        raise TicketSentimentError(
            f"serve.api_keys.file: {home / settings.file} cannot be read ({error})"
        ) from None


class ApiKeys:
    """Who may call."""

    def __init__(self, settings: Keys, home: Path, shared: Path | None = None) -> None:
        """Read the keys.

        Args:
            settings: which.
            home: where a relative path of the file begins.
            shared: the workers' folder, whose copy of the file is read where `share_keys` has made one.

        Raises:
            TicketSentimentError: a variable is not set, or the file is not as it should be. A service that
                was meant to be closed is never open instead.
        """
        entries = _of_environment(settings.environment)
        if settings.file is not None:
            copy = shared / _COPY if shared is not None else None
            entries += _of_file(home / settings.file, copy if copy is not None and copy.exists() else None)
            if not entries:
                raise TicketSentimentError(
                    f"serve.api_keys.file: {settings.file} holds no key, so nobody could call"
                )
        self.names = [name for name, _ in entries]
        if unknown := [name for name in settings.forwarders if name not in self.names]:
            known = ", ".join(self.names) or "there are none"
            raise TicketSentimentError(
                f"serve.api_keys.forwarders: no key is named {', '.join(unknown)} ({known})"
            )
        self._forwarders = frozenset(settings.forwarders)
        self._hashes = [digest for _, digest in entries]

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def forwards(self, index: int) -> bool:
        """Whether the holder of this key is another service of this product.

        Two keys of one name do both: while keys are changed the old and the new one are in use.
        """
        return self.names[index] in self._forwarders

    def index(self, authorization: bytes | None, api_key: bytes | None) -> int:
        """Whose key a request carries: the position in `names`.

        Raises:
            ApiError: 401 when there is none, 403 when it is not one of ours.
        """
        key = api_key
        if authorization is not None and authorization[:7].lower() == b"bearer ":
            key = authorization[7:].strip()
        if not key:
            raise ApiError("missing_key", headers=_CHALLENGE)
        digest = hashlib.sha256(key).digest()
        found = -1
        for position, held in enumerate(self._hashes):
            if hmac.compare_digest(digest, held):
                found = position
        if found < 0:
            raise ApiError("unknown_key")
        return found

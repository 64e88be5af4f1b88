"""What secrets look like. A match is named by rule and place; the secret itself is never repeated.

Each rule has a word that must be there (`anchor`), so that most of an image is passed over at the speed of a
search for bytes. The rules of `OWN` fit documentation, too; they are asked only of files that are this
project's.
"""

import math
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath

from ticket_sentiment.signing.keys import SECRET_WORD

MIN_ENTROPY = 3.5  # bits a character of a value that was assigned; `change-me-before-production` has 3.4
MIN_HEX_ENTROPY = 3.0  # of one of hexadecimal digits alone, which have 4 at most
HEX = re.compile(rb"[0-9a-fA-F]+")


@dataclass(frozen=True)
class Rule:
    """A kind of secret."""

    name: str
    anchor: bytes
    pattern: re.Pattern[bytes]


def _rule(name: str, anchor: str, pattern: str) -> Rule:
    return Rule(name, anchor.encode(), re.compile(pattern.encode()))


EVERYWHERE = (
    _rule("key that signs bundles", SECRET_WORD, rf"{SECRET_WORD} [\w.-]+ [A-Za-z0-9+/]{{43}}="),
    _rule(
        "private key",
        "PRIVATE KEY",
        # An encrypted one in PEM has lines such as `Proc-Type: 4,ENCRYPTED` first.
        r"PRIVATE KEY(?: BLOCK)?-----(?:\\n|\s){1,4}(?:[A-Z][\w-]{2,20}: [\w,.-]{1,80}(?:\\n|\s){1,4}){0,3}"
        r"[A-Za-z0-9+/=]{40}",
    ),
    _rule("AWS access key", "AKIA", r"\bAKIA(?!IOSFODNN7EXAMPLE)[A-Z2-7]{16}\b"),
    _rule("AWS access key of a session", "ASIA", r"\bASIA[A-Z2-7]{16}\b"),
    *(_rule("GitHub token", f"gh{kind}_", rf"\bgh{kind}_[A-Za-z0-9]{{36,255}}\b") for kind in "pousr"),
    _rule("GitHub token", "github_pat_", r"\bgithub_pat_\w{60,255}"),
    _rule("GitLab token", "glpat-", r"\bglpat-[\w-]{20,}"),
    _rule("Slack token", "xox", r"\bxox[abprs]-[0-9]{8,}-[0-9A-Za-z-]{16,}"),
    _rule("Slack webhook", "hooks.slack.com", r"hooks\.slack\.com/services/T\w{6,}/B\w{6,}/\w{16,}"),
    _rule("Google API key", "AIza", r"\bAIza[\w-]{35}\b"),
    _rule("Hugging Face token", "hf_", r"\bhf_[A-Za-z]{34}\b"),
    _rule("PyPI token", "pypi-", r"\bpypi-AgE[\w-]{50,}"),
    _rule("Stripe key", "_live_", r"\b[sr]k_live_[A-Za-z0-9]{24,}"),
    _rule("JSON web token", "eyJ", r"\beyJ[\w-]{16,}\.eyJ[\w-]{16,}\.[\w-]{32,}"),
)
OWN = (
    _rule(
        "URL with a password",
        "://",
        # Redis has passwords without a user. What begins as a template's place is none.
        r"://[^\s/:@\"'<>{}$]*:(?!password@|[*$<{'])[^\s/:@\"{}]{3,}@[\w.-]",
    ),
)
ASSIGNED = re.compile(
    rb"(?i)(?:secret|token|passw(?:or)?d|(?:api|access|signing|pseudonym|remote)[_-]?key)[\w-]{0,20}[\"']?"
    rb"\s{0,4}[:=]\s{0,4}[\"']?([A-Za-z0-9+/=_-]{16,})(?![\w(.\[])"
)
# As an image's configuration has its environment, whatever characters: no entropy is asked of it.
ENVIRONMENT = re.compile(
    rb"\"(?:(?:TICKETS?|MLFLOW|AWS|PREFECT|DVC|REDIS|PG|POSTGRES|HF)[A-Z0-9_]*KEYS?"
    rb"|[A-Z][A-Z0-9_]*(?:PASSWORD|SECRET|TOKEN))=(?!\$\{?[A-Za-z_]\w*\}?\")[^\"]{6,}\""
)
# Of this project's: what has no business in a delivery, whatever is in it.
UNWELCOME = (
    ".env", ".env.*", ".netrc", ".pypirc", ".npmrc", "*.pem", "*.key", "*.p12", "id_rsa*", "id_ed25519*",
    "*.parquet", "*.csv", "*.jsonl", "*.db", "*.sqlite*", "*.pkl", "*.pickle", "*.joblib", "*.dvc", "*.ipynb",
)  # fmt: skip
UNWELCOME_FOLDERS = {".git", ".dvc", ".ssh", ".aws", ".github", "exports"}


def entropy(value: bytes) -> float:
    """Shannon entropy of a text's characters, in bits a character."""
    shares = [count / len(value) for count in Counter(value).values()]
    return -sum(share * math.log2(share) for share in shares)


def secrets_in(data: bytes, own: bool) -> Iterator[str]:
    """Names of the kinds of secrets in some bytes.

    Args:
        data: of a file.
        own: whether the file is this project's, and no package's.
    """
    for rule in (*EVERYWHERE, *(OWN if own else ())):
        if rule.anchor in data and rule.pattern.search(data):
            yield rule.name
    if own:
        if ENVIRONMENT.search(data):
            yield "value that looks like a secret"
            return
        for match in ASSIGNED.finditer(data):
            value = match[1]
            least = MIN_HEX_ENTROPY if HEX.fullmatch(value) else MIN_ENTROPY
            if entropy(value) >= least and re.search(rb"\d", value) and re.search(rb"[A-Za-z]", value):
                yield "value that looks like a secret"
                return


def is_unwelcome(path: str) -> bool:
    """Whether a file of this project has no business in what is delivered, by its name."""
    pure = PurePosixPath(path)
    return not UNWELCOME_FOLDERS.isdisjoint(pure.parts[:-1]) or any(pure.match(name) for name in UNWELCOME)

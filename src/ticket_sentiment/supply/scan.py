"""ticket-sentiment scan: no secret and no ticket in what is delivered."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.supply.contents import CONFIG, File, files_of, opened
from ticket_sentiment.supply.secrets import is_unwelcome, secrets_in
from ticket_sentiment.supply.texts import LONGEST, Texts

PREPARED = Path("data/prepared")
CHUNK = 4 << 20  # bytes in memory at a time
# Published with the library, which tests itself with them.
KNOWN = {("private key", "usr/lib/*/libgnutls.so.*")}
# Where an image's own files are; the rest of it is packages, Debian's and Python's.
OWN = ("home/", "root/", "srv/", "opt/", "tmp/", "writable/")


@dataclass(frozen=True)
class Finding:
    """Something that must not go out."""

    what: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"


@dataclass(frozen=True)
class Scan:
    """What was looked through, and what was found."""

    files: int
    megabytes: float
    findings: tuple[Finding, ...]


def read_tickets(folders: Sequence[Path] = (PREPARED,)) -> Texts:
    """The texts of prepared tickets, of one version or of several.

    Raises:
        TicketSentimentError: a folder has none: a scan that looks for nothing would always pass.
    """
    texts = [_texts_of(folder) for folder in folders]
    return Texts([text for held in texts for text in held])


def _texts_of(folder: Path) -> list[str]:
    import pyarrow.parquet

    tables = sorted(folder.glob("*.parquet"))
    texts = [
        text
        for table in tables
        for text in pyarrow.parquet.read_table(table, columns=["text"])["text"].to_pylist()
    ]
    if not Texts.long_enough(texts):
        raise TicketSentimentError(
            f"{folder} holds no tickets to look for: `dvc pull prepare` or `dvc repro prepare` brings them; "
            "--without-tickets looks for secrets alone"
        )
    return texts


def _chunks(stream: IO[bytes]) -> Iterator[bytes]:
    """The stream in pieces, each with the end of the one before it, so that nothing falls between two."""
    kept = b""
    while piece := stream.read(CHUNK):
        yield kept + piece
        kept = (kept + piece)[-LONGEST:]


def _is_known(name: str, file: File) -> bool:
    return any(name == kind and PurePosixPath(file.path).match(pattern) for kind, pattern in KNOWN)


def _look_at(file: File, own: bool, tickets: Texts | None) -> tuple[int, set[Finding]]:
    found = (
        {Finding("has no business in a delivery", str(file))} if own and is_unwelcome(file.path) else set()
    )
    size = 0
    with file.open() as stream:
        for data in _chunks(stream):
            size += len(data)
            found |= {Finding(name, str(file)) for name in secrets_in(data, own) if not _is_known(name, file)}
            if tickets and tickets.in_data(data):
                found.add(Finding("text of a ticket", str(file)))
    return size, found


def scan(place: Path, tickets: Texts | None) -> Scan:
    """Look through a folder, or every layer of a saved image.

    Args:
        place: a Bento's or bundle's folder, or an archive of `docker save` or `podman save`.
        tickets: whose texts must not be there; None does not look for any.

    Raises:
        TicketSentimentError: there is nothing to look through.
    """
    image = place.is_file()
    files, read, findings = 0, 0, set()
    for file in files_of(place):
        own = not image or file.path == CONFIG or file.path.startswith(OWN)
        size, found = _look_at(file, own, tickets)
        files, read = files + 1, read + size
        findings |= found
    if not files:
        raise TicketSentimentError(f"{place} holds no file: nothing was looked through")
    return Scan(files, read / 1e6, tuple(sorted(findings, key=str)))


def main(targets: Mapping[str, str], engine: str | None = None, tickets: Texts | None = None) -> None:
    """Scan all, say what was looked through, and refuse what is not clean.

    Args:
        targets: folders, saved images, or images of an engine, by what they are called in what is said.
        engine: docker, podman or buildah; None takes the one that answers.
        tickets: as of `scan`.

    Raises:
        TicketSentimentError: something was found; the lines before name each.
    """
    wrong = 0
    for name, target in targets.items():
        with opened(target, engine) as place:
            result = scan(place, tickets)
        looked = f"secrets and {tickets.count:,} tickets" if tickets else "secrets"
        print(f"{name}: {result.files:,} files, {result.megabytes:,.0f} MB, looked for {looked}")
        for finding in result.findings:
            print(f"  {finding}")
        wrong += len(result.findings)
    if wrong:
        raise TicketSentimentError(f"{wrong} things must not go out: the lines above name them")
    print("nothing was found")

"""onnxruntime-web: the runtime of the page, from the package registry by version and hash."""

import base64
import hashlib
import shutil
import subprocess
import tarfile
import tempfile
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder

NAME, VERSION = "onnxruntime-web", "1.30.0"
INTEGRITY = "sha512-q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
# In the package: in the page. `.js`, as many a server does not know `.mjs` and a browser refuses it then.
FILES = {
    "ort.wasm.bundle.min.mjs": "onnxruntime-web.js",
    "ort-wasm-simd-threaded.wasm": "onnxruntime-web.wasm",
}
CACHE = Path("var/edge")


def _download(folder: Path) -> Path:
    if shutil.which("npm") is None:
        raise TicketSentimentError(
            f"npm is not here, with which {NAME} is fetched: install Node.js, or put "
            f"{NAME}-{VERSION}.tgz of the package registry into {CACHE}"
        )
    package = f"{NAME}@{VERSION}"
    asked = ["npm", "pack", package, "--silent", "--pack-destination", str(folder)]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    if done.returncode:
        reason = (done.stderr.strip().splitlines() or ["npm said nothing"])[0]
        raise TicketSentimentError(
            f"{package} could not be fetched ({reason}): connect to the package registry, "
            f"or put its .tgz into {CACHE}"
        )
    return folder / f"{NAME}-{VERSION}.tgz"


def integrity(path: Path) -> str:
    """The hash of a file as npm writes it."""
    with path.open("rb") as stream:
        return f"sha512-{base64.b64encode(hashlib.file_digest(stream, 'sha512').digest()).decode()}"


def runtime(cache: Path = CACHE) -> Path:
    """The folder with the runtime's files, fetched at the first call.

    Args:
        cache: where it is kept; a package that somebody put there is taken, if it is the pinned one.

    Raises:
        TicketSentimentError: it cannot be fetched, or is not the package of this version.
    """
    target = cache / f"{NAME}-{VERSION}"
    if target.is_dir():
        return target
    with tempfile.TemporaryDirectory() as temporary:
        given = cache / f"{NAME}-{VERSION}.tgz"
        package = given if given.is_file() else _download(Path(temporary))
        if (found := integrity(package)) != INTEGRITY:
            raise TicketSentimentError(f"{package} has {found}, expected {INTEGRITY}: do not use it")
        with replacing_folder(target) as folder, tarfile.open(package) as files:
            for name, here in FILES.items():
                member = files.extractfile(f"package/dist/{name}")
                assert member is not None
                (folder / here).write_bytes(member.read())
    return target


if __name__ == "__main__":  # for CI, where the tests of the page shall find it
    print(runtime())

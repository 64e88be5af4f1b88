"""The champion for devices, in dist/edge: a program for Python and a page for browsers around one bundle."""

import io
import json
import shutil
import tempfile
import zipfile
from pathlib import Path
from typing import Any

import ticket_sentiment
from ticket_sentiment.edge import npm
from ticket_sentiment.edge.rules import rules
from ticket_sentiment.edge.runner import BUNDLES, PROGRAM, RELEASE
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing_folder, sha256_file, write_json, write_text
from ticket_sentiment.model.bundle import Bundle, load_bundle
from ticket_sentiment.model.edge import EdgeRuntime
from ticket_sentiment.params import Params
from ticket_sentiment.registry.store import EDGE, champion_version, connect, download_bundle

OUT = Path("dist/edge")
UNREGISTERED = "unregistered"
# All that the program imports of this package; tests/edge/test_runner.py holds it against what is loaded.
MODULES = (
    "__init__", "errors", "files", "labels", "edge/__init__", "edge/runner", "model/__init__", "model/edge",
    "model/runtime", "model/wordpiece", "tickets/__init__", "tickets/canonical", "tickets/markup",
    "tickets/privacy",
)  # fmt: skip
_START = "import sys\nfrom ticket_sentiment.edge.runner import main\nsys.exit(main())\n"
_SOURCE = Path(ticket_sentiment.__file__).parent
_PAGE = Path(__file__).parent / "page"
_STYLE = _SOURCE / "pages/page.css"
_MOMENT = (1980, 1, 1, 0, 0, 0)  # of every file in the program: equal code gives equal bytes


def _program() -> bytes:
    """A zipapp."""
    files = {f"ticket_sentiment/{name}.py": (_SOURCE / f"{name}.py").read_text("utf-8") for name in MODULES}
    stream = io.BytesIO(b"#!/usr/bin/env python3\n")
    stream.seek(0, io.SEEK_END)
    with zipfile.ZipFile(stream, "a", zipfile.ZIP_DEFLATED) as archive:
        for name, text in {"__main__.py": _START, **files}.items():
            archive.writestr(zipfile.ZipInfo(name, _MOMENT), text, zipfile.ZIP_DEFLATED)
    return stream.getvalue()


def _write_page(folder: Path, bundle: Bundle, release: dict[str, Any], runtime: Path) -> None:
    """The page; its manifest last."""
    shutil.copytree(_PAGE, folder)
    shutil.copyfile(_STYLE, folder / "page.css")
    shutil.copytree(bundle.path, folder / "bundle")
    shutil.copytree(runtime, folder / "runtime")
    write_text(folder / "rules.json", json.dumps(rules(), separators=(",", ":"), sort_keys=True))
    listed = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != "service-worker.js")
    files = {
        path.relative_to(folder).as_posix(): {"sha256": sha256_file(path), "bytes": path.stat().st_size}
        for path in listed
    }
    module, wasm = (f"runtime/{name}" for name in npm.FILES.values())
    about = {"name": npm.NAME, "version": npm.VERSION, "module": module, "wasm": wasm}
    write_json(folder / RELEASE, {**release, "runtime": about, "files": files})


def pack(bundle: Bundle, version: str, params: Params, runtime: Path, out: Path = OUT) -> Path:
    """Write the folder for devices anew.

    Args:
        bundle: verified.
        version: of the registry, for people to read.
        params: `serve.abstain_below` and `serve.max_text_chars` are read.
        runtime: of `npm.runtime`.
        out: takes the place of what lies there.

    Raises:
        TicketSentimentError: the bundle's tokenizer is not one that devices read.
    """
    EdgeRuntime(bundle)  # refuses what the program and the page could not read
    release = {
        "version": version,
        "bundle_digest": bundle.digest,
        "abstain_below": params.serve.abstain_below,
        "max_text_chars": params.serve.max_text_chars,
    }
    with replacing_folder(out) as folder:
        (folder / PROGRAM).write_bytes(_program())
        shutil.copytree(bundle.path, folder / BUNDLES / bundle.digest[:12])
        _write_page(folder / "web", bundle, release, runtime)
        write_json(folder / RELEASE, {**release, "program_sha256": sha256_file(folder / PROGRAM)})
    return out


def champion_bundle(params: Params, root: Path, folder: Path) -> tuple[Bundle, str]:
    """Fetch the champion's edge bundle into an empty folder; the bundle and the version.

    Raises:
        TicketSentimentError: there is no champion, or none of its edge bundle that verifies.
    """
    store = connect(params, root)
    version = champion_version(store)
    if version is None:
        raise TicketSentimentError(
            "there is no champion yet: `make retrain` makes one, or name a bundle: --bundle"
        )
    if f"bundle.{EDGE}.digest" not in version.tags:
        raise TicketSentimentError(
            f"version {version.version} of {store.model} was registered without its edge bundle: "
            f"name one, such as --bundle models/release/{EDGE}"
        )
    return download_bundle(store, version, EDGE, folder), str(version.version)


def _lines(out: Path) -> list[str]:
    release = json.loads((out / "web" / RELEASE).read_text("utf-8"))
    sizes = {name: file["bytes"] for name, file in release["files"].items()}
    runtime = sum(size for name, size in sizes.items() if name.startswith("runtime/"))
    return [
        f"Edge      version {release['version']}, bundle {release['bundle_digest'][:12]}",
        f"Program   python {out / PROGRAM}",
        f"Page      python -m http.server --directory {out / 'web'}",
        f"Download  {(sum(sizes.values()) - runtime) / 1e6:.1f} MB, once {runtime / 1e6:.1f} MB of runtime",
    ]


def main(params: Params, given: Path | None = None, root: Path = Path()) -> None:
    """Pack the registered champion's edge bundle, or the one in a folder, and say what lies where.

    Raises:
        TicketSentimentError: there is no such bundle, or the page's runtime cannot be fetched.
    """
    with tempfile.TemporaryDirectory() as temporary:
        bundle, version = (
            (load_bundle(given), UNREGISTERED) if given else champion_bundle(params, root, Path(temporary))
        )
        out = pack(bundle, version, params, npm.runtime(root / npm.CACHE), root / OUT)
    print("\n".join(_lines(out)))

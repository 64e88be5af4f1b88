"""The edge on the command line: `echo "Thanks, that was fast!" | python ticket-sentiment-edge.pyz`

It needs ONNX Runtime and numpy. The model lies beside it in `bundles/`; `release.json` says which one, and
which program: that masks a text and cuts it into tokens, so that an answer is of both.
"""

import argparse
import hashlib
import json
import os
import re
import shutil
import stat
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing, replacing_folder, sha256_file, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.edge import EdgeRuntime, open_bundle
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

PROGRAM, RELEASE, BUNDLES = "ticket-sentiment-edge.pyz", "release.json", "bundles"
NEXT = "release.next.json"  # of an update, until it takes the place of RELEASE
_AGAIN = "copy the folder again"  # on a device nothing can be made anew


def _is_sha256(value: Any) -> bool:
    return re.fullmatch("[0-9a-f]{64}", str(value)) is not None


def _wrong_key(release: Any) -> str | None:
    """The first key of `release.json` that is not as it should be, with what was expected."""
    if not isinstance(release, dict):
        return "expected an object"
    keys = ("bundle_digest", "program_sha256", "abstain_below", "max_text_chars")
    digest, program, share, limit = (release.get(key) for key in keys)
    checks = {
        "version: expected a text": isinstance(release.get("version"), str),
        "bundle_digest: expected a SHA-256": _is_sha256(digest),
        "abstain_below: expected a number from 0 to 1": type(share) in (int, float) and 0 <= share <= 1,
        "max_text_chars: expected a whole number above 0": type(limit) is int and limit > 0,
        "program_sha256: expected a SHA-256 (older packings have none: `make edge` again)": _is_sha256(
            program
        ),
    }
    return next((text for text, right in checks.items() if not right), None)


def _read_release(path: Path) -> dict[str, Any]:
    try:
        release = json.loads(path.read_bytes())
    except OSError as error:
        raise TicketSentimentError(f"{path} cannot be read ({error.strerror}): {_AGAIN}") from None
    except ValueError as error:
        raise TicketSentimentError(f"{path} is not JSON ({error}): {_AGAIN}") from None
    if problem := _wrong_key(release):
        raise TicketSentimentError(f"{path}: {problem}: {_AGAIN}")
    return release


def _release_of(program: Path) -> tuple[Path, dict[str, Any]]:
    """The manifest that names a program, and what it says.

    An update that stopped after the program's turn left the manifest before, which names the program before.
    The one that was to follow lies beside it, as does its bundle, and counts from the program's turn on.
    """
    try:
        found = sha256_file(program)
    except OSError as error:
        raise TicketSentimentError(f"{program} cannot be read ({error.strerror}): {_AGAIN}") from None
    path = program.parent / RELEASE
    release = _read_release(path)
    following = program.parent / NEXT
    if release["program_sha256"] != found and following.is_file():
        path, release = following, _read_release(following)
    if release["program_sha256"] != found:
        raise TicketSentimentError(f"{program} is not what {RELEASE} names (SHA-256 differs): {_AGAIN}")
    return path, release


class Edge:
    """The release in a folder, verified and ready to answer.

    Args:
        folder: as `make edge` packs it.
        program: the name of the program in it.

    Raises:
        TicketSentimentError: the folder holds none, or one that does not verify.
    """

    def __init__(self, folder: Path, program: str = PROGRAM) -> None:
        _, self.release = _release_of(folder / program)
        digest = self.release["bundle_digest"]
        bundle = open_bundle(folder / BUNDLES / digest[:12])
        if bundle.digest != digest:
            raise TicketSentimentError(
                f"{bundle.path} is {bundle.digest[:12]}, {RELEASE} names {digest[:12]}: {_AGAIN}"
            )
        self.runtime = EdgeRuntime(bundle)

    def classify(self, ticket: str) -> dict[str, Any]:
        """The answer of POST /v1/classify: masked and without greeting and signature first.

        Raises:
            TicketSentimentError: the text is too long, or nothing is left of it.
            ArithmeticError: the model's answer is no number.
        """
        if len(ticket) > (limit := self.release["max_text_chars"]):
            raise TicketSentimentError(f"text: longer than {limit} characters: shorten it")
        text = canonical(clean(ticket))
        if not text or not self.runtime.token_ids([text])[0]:
            raise TicketSentimentError("nothing is left of the text: give one with words")
        values = [round(float(value), 6) for value in self.runtime.probabilities([text])[0]]
        if not all(0 <= value <= 1 for value in values):
            raise ArithmeticError("the model's answer is no number")
        confidence = max(values)
        return {
            "label": LABELS[values.index(confidence)],
            "probabilities": dict(zip(LABELS, values, strict=True)),
            "confidence": confidence,
            "abstain": confidence < self.release["abstain_below"],
            "model_version": self.release["version"],
            "bundle_digest": self.release["bundle_digest"],
        }


def _is_whole(bundle: Path) -> bool:
    try:
        open_bundle(bundle)
    except TicketSentimentError:
        return False
    return True


def _settle(program: Path) -> None:
    """Bring an update to its end that stopped after the program's turn, or the next could not be undone."""
    try:
        path, _ = _release_of(program)
    except TicketSentimentError:
        return  # nothing here answers; the update mends it
    if path.name == NEXT:
        os.replace(path, program.parent / RELEASE)


def _replace_program(program: Path, release: dict[str, Any], code: bytes) -> None:
    if program.is_file() and sha256_file(program) == release["program_sha256"]:
        return
    # Somebody may have made it executable.
    mode = stat.S_IMODE(program.stat().st_mode) if program.is_file() else 0o644
    with replacing(program, mode) as temporary:
        temporary.write_bytes(code)


def install(source: Path, folder: Path, program: str = PROGRAM) -> str:
    """Take over the release of another edge folder: bundle, program, and `release.json` last.

    Whatever stops it, what lies in the folder answers, all of the release before or all of the new one
    (`_release_of`).

    Args:
        source: as `make edge` packs it.
        folder: to be updated.
        program: the name of the program in it.

    Returns:
        The release's version.

    Raises:
        TicketSentimentError: the other release does not verify, and nothing has changed; or the folder cannot
            be written.
    """
    release = Edge(source).release
    code = (source / PROGRAM).read_bytes()
    if hashlib.sha256(code).hexdigest() != release["program_sha256"]:
        raise TicketSentimentError(f"{source / PROGRAM} changes while it is read: update again")
    name = release["bundle_digest"][:12]
    try:
        _settle(folder / program)
        if not _is_whole(folder / BUNDLES / name):
            with replacing_folder(folder / BUNDLES / name) as target:
                shutil.copytree(source / BUNDLES / name, target, dirs_exist_ok=True)
        write_json(folder / NEXT, release)
        _replace_program(folder / program, release, code)
        os.replace(folder / NEXT, folder / RELEASE)
    except OSError as error:
        raise TicketSentimentError(
            f"{folder} cannot be updated ({error}): let this user write there, or use {source} in its place"
        ) from None
    for bundle in (folder / BUNDLES).iterdir():
        if bundle.name != name:
            shutil.rmtree(bundle, ignore_errors=True)  # what is left the next update removes
    return release["version"]


def _parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(description="Sentiment of a ticket on standard input, as JSON.")
    root.add_argument("--lines", action="store_true", help="each line is a ticket, and gets a line")
    root.add_argument("--update", type=Path, metavar="FOLDER", help="take over its release")
    root.add_argument("--release", action="store_true", help="say which release this is, verified")
    return root


def _answer_lines(edge: Edge) -> None:
    for line in sys.stdin:
        try:
            answer = edge.classify(line.removesuffix("\n"))
        except TicketSentimentError as error:  # a bad line harms no other
            answer = {"error": str(error)}
        print(json.dumps(answer), flush=True)


def _run(parsed: argparse.Namespace, program: Path) -> None:
    if parsed.update:
        print(f"version {install(parsed.update, program.parent, program.name)}")
        return
    edge = Edge(program.parent, program.name)
    if parsed.release:
        print(json.dumps(edge.release, indent=2))
    elif parsed.lines:
        _answer_lines(edge)
    else:
        print(json.dumps(edge.classify(sys.stdin.read().removesuffix("\n")), indent=2))


def main(arguments: Sequence[str] | None = None) -> int:
    """Answer, or update; a problem that a person can fix is one line on standard error and exit status 2."""
    program = Path(sys.argv[0]).resolve()  # wherever it was called from
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")  # type: ignore[union-attr]
    try:
        _run(_parser().parse_args(arguments), program)
    except TicketSentimentError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0

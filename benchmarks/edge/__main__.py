"""Whether devices answer as the service does: page and program of dist/edge beside the service's classifier.

    python -m benchmarks.edge                              # after `make retrain` and `make edge`; a minute
    python -m benchmarks.edge --served models/release/cpu  # the bundle that the service answers with

Every second ticket gets a greeting, a signature and personal data put around it, as people write them. Needs
Chromium. Prints Markdown. Exit status 1 when a bar is missed: the same label for every ticket, probabilities
within 0.01, and 10 MB to download.
"""

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from tests.support.browser import browser
from tests.support.tab import static_server, tab
from ticket_sentiment.edge.runner import Edge
from ticket_sentiment.labels import LABELS
from ticket_sentiment.model.bundle import load_bundle
from ticket_sentiment.params import load_params
from ticket_sentiment.serving.classifier import Classifier
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import clean

BAR_DIFFERENCE, BAR_MB = 0.01, 10.0
CHUNK = 100  # tickets of one call into the page
DRESSES = (
    "Hello team,\n{}\nKind regards,\nAnna Smith\nTel. +49 30 1234567",
    "Dear Sir or Madam, {} Please answer to jane.doe@example.com. Sent from my iPhone",
    "Hi, {} &amp; my card is 4111 1111 1111 1111, see https://shop.example/orders?id=7. Regards, Zoë O’Neil",
)


class Answers(NamedTuple):
    """Of one place, for each ticket."""

    place: str
    probabilities: NDArray[np.float64]  # [tickets, labels]
    milliseconds: float  # a ticket, all together


def tickets(table: Path, count: int) -> list[str]:
    """The first texts of a table, every second one dressed."""
    texts = pd.read_parquet(table)["text"].tolist()[:count]
    return [DRESSES[i // 2 % len(DRESSES)].format(text) if i % 2 else text for i, text in enumerate(texts)]


def of_service(place: str, bundle: Path, texts: Sequence[str]) -> Answers:
    """What the service answers with a bundle."""
    classifier = Classifier(load_bundle(bundle), "-", load_params().serve.gpu, "cpu")
    begun = time.perf_counter()
    answers = [classifier.answers([canonical(clean(text))])[0] for text in texts]
    seconds = time.perf_counter() - begun
    return Answers(place, np.array([a.probabilities for a in answers if a]), 1000 * seconds / len(texts))


def of_program(folder: Path, texts: Sequence[str]) -> Answers:
    """What the program for Python answers, without the time to start it."""
    edge = Edge(folder)
    begun = time.perf_counter()
    answers = [list(edge.classify(text)["probabilities"].values()) for text in texts]
    return Answers("program (Python)", np.array(answers), 1000 * (time.perf_counter() - begun) / len(texts))


def of_page(folder: Path, texts: Sequence[str]) -> Answers:
    """What the page answers in Chromium."""
    script = (
        "(async () => { const c = await ticketSentiment, all = []; for (const text of %s) "
        "all.push(Object.values((await c.classify(text)).probabilities)); return all; })()"
    )
    answers: list[Any] = []
    with (
        static_server(folder) as address,
        tempfile.TemporaryDirectory() as profile,
        tab(Path(profile)) as page,
    ):
        page.open(address)
        page.evaluate("ticketSentiment.then(() => 1)")
        begun = time.perf_counter()
        for start in range(0, len(texts), CHUNK):
            answers += page.evaluate(script % json.dumps(texts[start : start + CHUNK]))
        seconds = time.perf_counter() - begun
    return Answers("page (Chromium)", np.array(answers), 1000 * seconds / len(texts))


def compared(ours: Answers, theirs: Answers) -> tuple[int, float]:
    """Tickets with another label, and the largest difference of a probability."""
    others = int((ours.probabilities.argmax(axis=1) != theirs.probabilities.argmax(axis=1)).sum())
    return others, float(np.abs(ours.probabilities - theirs.probabilities).max())


def download_mb(web: Path) -> float:
    """All files of the page but the runtime."""
    files = json.loads((web / "release.json").read_text())["files"]
    return sum(f["bytes"] for name, f in files.items() if not name.startswith("runtime/")) / 1e6


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--edge", type=Path, default=Path("dist/edge"))
    parser.add_argument("--table", type=Path, default=Path("data/prepared/holdout.parquet"))
    parser.add_argument("--texts", type=int, default=1000)
    parser.add_argument("--served", type=Path, help="a bundle to compare with, too; no bar")
    return parser.parse_args()


def main() -> int:
    parsed = arguments()
    if browser() is None:
        print("error: there is no Chromium: install it", file=sys.stderr)
        return 2
    texts = tickets(parsed.table, parsed.texts)
    web = parsed.edge / "web"
    service = of_service("service, this bundle", web / "bundle", texts)
    ours = [of_page(web, texts), of_program(parsed.edge, texts)]
    others = [of_service("service, its own bundle", parsed.served, texts)] if parsed.served else []
    shares = np.bincount(service.probabilities.argmax(axis=1), minlength=len(LABELS))
    counts = ", ".join(f"{count} {label}" for count, label in zip(shares, LABELS, strict=True))
    print(f"{len(texts)} tickets: {counts}")
    print("\n| answered by | beside | other labels | largest difference of a probability | ms a ticket |")
    print("| --- | --- | ---: | ---: | ---: |")
    missed = False
    for beside in [service, *others]:
        for one in ours:
            labels, difference = compared(one, beside)
            missed |= beside is service and (labels > 0 or difference > BAR_DIFFERENCE)
            print(f"| {one.place} | {beside.place} | {labels} | {difference:.6f} | {one.milliseconds:.1f} |")
    megabytes = download_mb(web)
    print(f"\nDownload: {megabytes:.2f} MB, the runtime aside.")
    return int(missed or megabytes > BAR_MB)


if __name__ == "__main__":
    sys.exit(main())

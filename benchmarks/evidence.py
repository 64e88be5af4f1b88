"""How long the evidence of a rollout takes to read from the event database.

    python -m benchmarks.evidence [--predictions 200000] [--url sqlite:///var/evidence.db]

fills an empty database with a rollout of four epochs (customers with a long tail, shadow answers to all,
labels for most of the audit), reads its evidence three times, then ends the rollout and deletes its events as
old ones. It prints the size of the database and the seconds of each.
"""

import argparse
import random
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from ticket_sentiment.events import schema
from ticket_sentiment.events.changes import Change
from ticket_sentiment.events.evidence import read_evidence
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.events.retention import purge
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import load_params
from ticket_sentiment.rollout.assignment import assign
from ticket_sentiment.rollout.audit import audited
from ticket_sentiment.rollout.state import RolloutState

START = datetime(2026, 10, 1, tzinfo=UTC)
SHARES = (0.0, 0.05, 0.25, 0.5)
DAYS = 5  # an epoch
SALT = "benchmark"


def states(ledger: Ledger) -> list[RolloutState]:
    """A rollout of four epochs."""
    made = []
    for epoch, share in enumerate(SHARES, 1):
        since = START + timedelta(days=DAYS * (epoch - 1))
        state = RolloutState(epoch, SALT, "a" * 64, "b" * 64, share, True, since)
        change = Change(
            since, "start" if epoch == 1 else "advance", "benchmark", "To measure.", epoch - 1, 1, False, "1",
            "2", None, None,
        )  # fmt: skip
        ledger.change(state, change, epoch - 1)
        made.append(state)
    return made


def predictions(count: int, made: list[RolloutState], draw: random.Random) -> Iterator[dict[str, Any]]:
    """Rows: of each request its answer and, unseen, the other arm's; some are slow, some from the cache."""
    spread = DAYS * 86_400 * len(made) * 2 / count
    for number in range(count // 2):
        state = made[number * len(made) * 2 // count]
        customer = f"customer {int(20_000 * draw.random() ** 3)}"
        ticket = f"ticket {number}"
        arm = assign(customer, ticket, state)
        common = {
            "writer": "w", "at": START + timedelta(seconds=number * spread), "request_id": f"{number:032x}",
            "ticket_id": ticket, "customer": customer, "unit": customer, "epoch": state.epoch,
            "model_version": "1", "p_negative": 0.2, "p_neutral": 0.3, "p_positive": 0.5, "confidence": 0.5,
            "abstain": False, "backend": "cpu", "text": None,
        }  # fmt: skip
        other = "challenger" if arm == "champion" else "champion"
        for place, who in enumerate((arm, other)):
            yield common | {
                "sequence": 2 * number + place, "arm": who, "shadow": bool(place),
                "bundle_digest": ("a" if who == "champion" else "b") * 64, "label": draw.choice(LABELS),
                "cached": draw.random() < 0.3, "latency_ms": draw.expovariate(1 / 20),
            }  # fmt: skip


def fill(ledger: Ledger, count: int, audit_share: float) -> None:
    """The database, in transactions of 20,000 rows."""
    made, draw = states(ledger), random.Random(7)
    rows = predictions(count, made, draw)
    while chunk := list(islice(rows, 20_000)):
        seen = [row for row in chunk if not row["shadow"]]
        feedback = [
            {
                "ticket_id": row["ticket_id"], "source": "agent", "event_id": str(draw.random()),
                "at": row["at"] + timedelta(hours=draw.expovariate(1 / 8)), "received_at": row["at"],
                "label": draw.choice(LABELS),
            }
            for row in seen
            if draw.random() < (0.67 if audited(row["ticket_id"], SALT, audit_share) else 0.05)
        ]  # fmt: skip
        exposures = {(row["epoch"], row["unit"]): row for row in seen}.values()
        with ledger.database.writing("") as connection:
            connection.execute(schema.predictions.insert(), chunk)
            connection.execute(schema.feedback.insert(), feedback)
            keys = ("epoch", "unit", "arm", "at")
            insert = ledger.database.insert(schema.exposures).on_conflict_do_nothing()
            connection.execute(insert, [{key: row[key] for key in keys} for row in exposures])


def main() -> None:
    """Print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--predictions", type=int, default=200_000)
    parser.add_argument("--url", default="", help="of an empty database; a temporary file unless given")
    arguments = parser.parse_args()
    params = load_params()
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(arguments.url or f"sqlite:///{folder}/events.db")
        if ledger.current() is not None:
            raise SystemExit(f"{arguments.url}: is not empty: name another database")
        fill(ledger, arguments.predictions, params.rollout.audit_share)
        with ledger.database.reading("") as connection:
            rows = connection.scalar(sa.select(sa.func.count()).select_from(schema.predictions))
        size = sum(path.stat().st_size for path in Path(folder).iterdir()) / 1e6
        print(f"{rows} predictions, {size:.0f} MB" if size else f"{rows} predictions")
        now = START + timedelta(days=DAYS * len(SHARES) + 2)
        for _ in range(3):
            start, processor = time.perf_counter(), time.process_time()
            found = read_evidence(ledger, params.rollout, params.serve.objective_ms, now)
            seconds, processor = time.perf_counter() - start, time.process_time() - processor
            print(
                f"evidence: {seconds:.2f} s, {processor:.2f} s of this process; {found.paired.labels} pairs, "
                f"{sum(cell.units for epoch in found.epochs for cell in epoch.errors)} units by epoch"
            )
        last = ledger.current()
        assert last is not None and last.change is not None
        ended = replace(
            last.state, epoch=last.state.epoch + 1, challenger=None, challenger_share=0.0, shadow=False
        )
        stop = replace(last.change, action="stop", rollout=None, challenger_version=None)
        ledger.change(ended, stop, last.state.epoch)
        later = now + timedelta(days=params.events.keep_days)
        with ledger.database.writing("") as connection:  # without a word of the day before nothing is deleted
            word = {"at": now, "received_at": later - timedelta(days=1), "label": LABELS[0]}
            key = {"ticket_id": "the last", "source": "agent", "event_id": "1"}
            connection.execute(schema.feedback.insert(), key | word)
        start = time.perf_counter()
        found_old = purge(ledger.database, params.events, later)
        print(f"purge: {found_old}, {time.perf_counter() - start:.2f} s")
        ledger.close()


if __name__ == "__main__":
    main()

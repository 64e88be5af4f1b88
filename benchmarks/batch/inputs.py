"""Files of distinct tickets, as many as wanted, with the lengths that a project's tickets have."""

import random
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.robustness.service import texts as made_up
from ticket_sentiment.tickets.schema import read_tickets

GROUP = 50_000


def _known(project: Path) -> list[str]:
    files = sorted((project / "data/tickets").glob("*.parquet"))
    found = dict.fromkeys(text for path in files for text in read_tickets(path)["text"])
    return list(found) or made_up(20_000)


def texts(project: Path, count: int) -> list[str]:
    """The project's tickets, each again with another of its words exchanged until there are enough."""
    known = _known(project)
    draw = random.Random(7)
    draw.shuffle(known)
    words = sorted({word for text in known for word in text.split()})
    made = dict.fromkeys(known[:count])
    while len(made) < count:
        changed = known[len(made) % len(known)].split()
        changed[draw.randrange(len(changed))] = draw.choice(words)
        made[" ".join(changed)] = None
    return list(made)


def write_tickets(path: Path, project: Path, count: int) -> Path:
    """A Parquet file of `count` distinct tickets; one that is there is taken."""
    if path.is_file() and pq.read_metadata(path).num_rows == count:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    found = texts(project, count)
    table = pa.table(
        {
            "ticket_id": [f"t{number}" for number in range(count)],
            "customer_id": [f"c{number % 5000}" for number in range(count)],
            "text": found,
        }
    )
    pq.write_table(table, path, row_group_size=GROUP)
    return path

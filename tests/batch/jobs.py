"""Small jobs in a folder of a test's own."""

import csv
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.support.params import params_of_tests
from tests.support.tiny_bundle import WORDS
from ticket_sentiment.batch.job import Model, Summary, score_files
from ticket_sentiment.files import sha256_file
from ticket_sentiment.model.bundle import Bundle
from ticket_sentiment.params import Batch, Params

KNOWN = [word for words in WORDS.values() for word in words]


def batch(**changes: Any) -> Batch:
    return params_of_tests().batch.model_copy(update=changes)


def tickets(count: int) -> list[dict[str, str]]:
    """Distinct tickets of words that the tiny bundle knows, each with a tail that it does not."""
    return [
        {
            "ticket_id": f"t{number}",
            "customer_id": f"c{number % 7}",
            "text": f"{KNOWN[number % len(KNOWN)]} {KNOWN[number * 7 % len(KNOWN)]} tail{number}",
        }
        for number in range(count)
    ]


def write(path: Path, rows: list[dict[str, Any]]) -> Path:
    """Rows as a file of the kind that its ending says."""
    if path.suffix == ".parquet":
        pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=max(1, len(rows) // 3))
    elif path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    else:
        with path.open("w", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)
    return path


def content(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of an output, by its name."""
    return {path.name: sha256_file(path) for path in sorted(folder.iterdir())}


@dataclass
class Jobs:
    """A folder, a bundle, and what they say about a job's progress.

    Attributes:
        root: of inputs and outputs.
        bundle: what answers.
        told: lines about the progress.
    """

    root: Path
    bundle: Bundle
    told: list[str] = field(default_factory=list)

    def params(self, **changes: Any) -> Params:
        """Those of the repository, with small chunks and one worker unless `batch` is told otherwise."""
        params = params_of_tests()
        return params.model_copy(update={"batch": batch(**{"chunk_rows": 4, "workers": 1, **changes})})

    def score(self, source: Path | str, out: str = "out", **options: Any) -> Summary:
        """A whole job; `changes` are of params.yaml's section `batch`."""
        params = self.params(**options.pop("changes", {}))
        model = options.pop("model", Model(self.bundle, "3"))
        return score_files(params, str(source), self.root / out, model, tell=self.told.append, **options)

    def answers(self, out: str = "out") -> list[dict[str, Any]]:
        return pq.read_table(self.root / out).to_pylist()

    def rejects(self, out: str = "out") -> list[list[str]]:
        with (self.root / out / "_rejects.csv").open(newline="") as stream:
            return list(csv.reader(stream))[1:]

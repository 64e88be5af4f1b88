"""Stage `inspect`: what a model is made from: prepared tables, and base weights with their licence.

The tables must hold neither tickets of the holdout nor personal data. `prepare` keeps both out; this looks at
what lies there, whoever wrote it.
"""

from itertools import combinations
from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.files import sha256_tree, write_json
from ticket_sentiment.gates.licence import licence_of
from ticket_sentiment.gates.tables import read_prepared
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.privacy import dedup_key, mask

PREPARED = Path("data/prepared")
RESULT = Path("reports/inspection.json")
LABELLED = ("train", "tune", "holdout")
UNLABELLED = "unlabelled"  # learnt from by the compressed model, so it is masked, too
CORRECTED = ("corrected", "earlier")  # learnt from by a hotfix: what it corrects, and those before it did
COLUMNS = ("ticket_id", "text")


def shared(first: pd.DataFrame, second: pd.DataFrame) -> dict[str, int]:
    """How many ids, customers and texts (`privacy.dedup_key`) two tables have in common.

    Of corrected tickets, `first`, the customers are not known.
    """
    texts = [{dedup_key(text) for text in table["text"]} for table in (first, second)]
    ids, customers = (
        set(first[column].dropna()) & set(second[column].dropna()) if column in first else set()
        for column in ("ticket_id", "customer_id")
    )
    return {"tickets": len(ids), "customers": len(customers), "texts": len(texts[0] & texts[1])}


def inspect(folder: Path = PREPARED) -> dict[str, Any]:
    """What reports/inspection.json says of the tables: counts, never a text or a customer."""
    others = [name for name in (UNLABELLED, *CORRECTED) if (folder / f"{name}.parquet").is_file()]
    names = (*LABELLED, *others)
    tables = {
        name: read_prepared(
            folder / f"{name}.parquet", COLUMNS if name in CORRECTED else (*COLUMNS, "customer_id")
        )
        for name in names
    }
    return {
        "prepared_sha256": sha256_tree(folder),
        "rows": {name: len(table) for name, table in tables.items()},
        "shared": {
            f"{one}_{other}": shared(tables[one], tables[other])
            for one, other in (*combinations(LABELLED, 2), *((name, "holdout") for name in CORRECTED))
            if one in tables
        },
        "unmasked": {
            name: sum(mask(text) != text for text in table["text"]) for name, table in tables.items()
        },
    }


def main(params: Params) -> None:
    """data/prepared and the base weights to reports/inspection.json."""
    weights = {"base_model": params.train.base_model, "licence": licence_of(params.train)}
    write_json(RESULT, inspect() | {"weights": weights})

"""Stage `hotfix-prepare`: the champion's prepared tickets beside the corrected ones, no text on two sides."""

import hashlib
from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.corrections import CORRECTIONS, key_of, load_corrections, write_corrections
from ticket_sentiment.tickets.learnt import LEARNT, Learnt, read_learnt
from ticket_sentiment.tickets.prepare import MIN_ROWS, PREPARED, SPLITS, require_newest
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.schema import read_tickets, write_tickets

CHAMPION = Path("champion/prepared")
CORRECTED = "corrected"  # table of data/prepared
EARLIER = ("earlier", CORRECTED)


def corrected_tickets(corrections: pd.DataFrame) -> pd.DataFrame:
    """What is learnt and checked: each text once, as the model reads it; without an id it gets one."""
    keys = corrections["text"].map(key_of)
    made = ["correction-" + hashlib.sha256(key.encode()).hexdigest()[:12] for key in keys]
    table = corrections.assign(
        text=corrections["text"].map(canonical),
        ticket_id=corrections["ticket_id"].where(corrections["ticket_id"].notna(), pd.Series(made)),
    )
    return table[~keys.duplicated()].reset_index(drop=True)


def without(rows: pd.DataFrame, corrected: pd.DataFrame) -> pd.DataFrame:
    """The tickets that are not among the corrected ones, neither by id nor by text."""
    same = rows["text"].map(dedup_key).isin(set(corrected["text"].map(dedup_key)))
    return rows[~(same | rows["ticket_id"].isin(set(corrected["ticket_id"])))]


def _earlier_tables() -> list[pd.DataFrame]:
    paths = [CHAMPION / f"{name}.parquet" for name in EARLIER]
    return [load_corrections(path) for path in paths if path.is_file()]


def corrected_earlier(corrected: pd.DataFrame) -> pd.DataFrame:
    """What the champion learnt in the hotfixes before, unless it is corrected again: to be kept, too."""
    return without(pd.concat([corrected.head(0), *_earlier_tables()], ignore_index=True), corrected)


def learnt_so_far(corrected: pd.DataFrame) -> Learnt:
    """What this hotfix learns and all before it learnt, also what is corrected again in other words."""
    learnt = Learnt.of(pd.concat([corrected, *_earlier_tables()], ignore_index=True))
    path = CHAMPION / LEARNT  # there where the champion is a hotfix, unless it is older than this file
    return learnt | read_learnt(path) if path.is_file() else learnt


def main(params: Params) -> None:
    """champion/prepared and data/corrections.parquet to data/prepared.

    A corrected ticket leaves the tables of the champion: what is learnt must not be judged, and its old label
    not be learnt again. The holdout stays what no choice was made on.

    Raises:
        TicketSentimentError: too little of a table is left.
    """
    corrected = corrected_tickets(load_corrections(CORRECTIONS))
    split: dict[str, Any] = read_json(CHAMPION / "split.json")
    left_out = {}
    for name in (*SPLITS, "unlabelled"):
        before = read_tickets(CHAMPION / f"{name}.parquet")
        rows = without(before, corrected)
        left_out[name] = len(before) - len(rows)
        if name in SPLITS and (len(rows) < MIN_ROWS or set(LABELS) - set(rows["label"])):
            raise TicketSentimentError(
                f"the corrected tickets are {left_out[name]} of the {len(before)} of the champion's split "
                f"{name} ({', '.join(split['months'][name])}), and too little is left: correct fewer of "
                "them, or retrain"
            )
        if name == "holdout":
            require_newest(rows, split["months"][name][-1], "correct fewer of its tickets, or retrain")
        write_tickets(PREPARED / f"{name}.parquet", rows)
    write_corrections(PREPARED / f"{CORRECTED}.parquet", corrected)
    write_corrections(PREPARED / "earlier.parquet", corrected_earlier(corrected))
    write_json(PREPARED / LEARNT, learnt_so_far(corrected).as_json())
    split |= {
        "rows": {name: count - left_out.get(name, 0) for name, count in split["rows"].items()},
        "corrected": {"rows": len(corrected), "left_out": left_out},
        "sha256": {name: sha256_file(PREPARED / f"{name}.parquet") for name in SPLITS},
    }
    write_json(PREPARED / "split.json", split)

"""Damages of the prepared tables, as an error in `prepare` or a person's script would leave them."""

from pathlib import Path

import numpy as np
import pandas as pd

from benchmarks.mutations.catalogue import mutation
from benchmarks.mutations.workplace import OF_TICKETS, Workplace
from ticket_sentiment.files import read_json, write_json

HOLDOUT = Path("data/prepared/holdout.parquet")


def _holdout(rows: int) -> pd.DataFrame:
    return pd.read_parquet(HOLDOUT).head(rows)


@mutation("leakage", "the holdout was learnt from", "two hundred of its tickets are in training")
def learnt_holdout(place: Workplace) -> None:
    place.change_table("train", lambda table: pd.concat([table, _holdout(200)], ignore_index=True))


@mutation("leakage", "texts on both sides", "fifty texts of the holdout are learnt from under new ids")
def texts_on_both_sides(place: Workplace) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        again = _holdout(50)
        return pd.concat([table, again.assign(ticket_id=again["ticket_id"] + "-x", customer_id=None)])

    place.change_table("train", change)


@mutation("leakage", "customers on both sides", "thirty customers of the holdout wrote training tickets, too")
def customers_on_both_sides(place: Workplace) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        names = _holdout(1000)["customer_id"].dropna().unique()[:30]
        customers = table["customer_id"].to_numpy(dtype=object, copy=True)
        customers[: len(names)] = names
        return table.assign(customer_id=customers)

    place.change_table("train", change)


@mutation("leakage", "tuned on the holdout", "the tuning tickets are those of the holdout")
def tuned_on_holdout(place: Workplace) -> None:
    place.change_table("tune", lambda table: _holdout(len(table)))


@mutation("privacy", "personal data learnt from", "a phone number in ten training texts")
def personal_data(place: Workplace) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        rows = np.arange(len(table)) < 10
        return table.assign(text=table["text"].where(~rows, table["text"] + " call me at +49 30 1234567"))

    place.change_table("train", change)


@mutation("integrity", "a holdout with other labels", "labels of the holdout changed after it was split")
def relabelled_holdout(place: Workplace) -> None:
    table = pd.read_parquet(HOLDOUT)
    table.assign(label="positive").to_parquet(HOLDOUT)
    place.made_anew = {"integrity"}


@mutation("integrity", "training tickets replaced after training", "half of the training tickets are left")
def trained_on_others(place: Workplace) -> None:
    place.change_table("train", lambda table: table.iloc[::2])
    place.made_anew = {"integrity"}


@mutation("data", "months that overlap", "the holdout's month is among the training months")
def overlapping(place: Workplace) -> None:
    path = Path("data/prepared/split.json")
    split = read_json(path)
    split["months"]["train"] += split["months"]["holdout"]
    write_json(path, split)
    place.made_anew = set(OF_TICKETS)


@mutation("data", "tickets collected after validation", "a row of the newest month was removed")
def changed_tickets(place: Workplace) -> None:
    path = max(Path("data/tickets").glob("*.parquet"))
    pd.read_parquet(path).iloc[1:].to_parquet(path)
    place.made_anew = set(OF_TICKETS)

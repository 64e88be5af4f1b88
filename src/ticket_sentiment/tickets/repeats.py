"""What tickets repeat of other months: ids that two have, and an old month that is served as a new one."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

Offenders = dict[tuple[str, str], list[str]]


def by_month(rows: pd.DataFrame, column: str) -> Offenders:
    """Ids of these rows, by their month and the summary column they count against."""
    return {(str(month), column): group["ticket_id"].tolist() for month, group in rows.groupby("month")}


def repeats(tickets: pd.DataFrame, unread: Iterable[pd.DataFrame] = ()) -> Offenders:
    """Rows whose id another month has, and rows whose text was in an earlier month.

    The texts are those of the one earlier month that has the most of them: over all of them stock phrases
    add up with the years.

    Args:
        tickets: ticket_id, month, text and key (`privacy.dedup_key` of it); each row has its own index.
        unread: ticket_id and text of months before those of `tickets`, one in memory at a time. Their texts
            are compared as they are: keys of years of them would take minutes.
    """
    # As Python's objects: looking up Arrow's strings in a set takes twenty times as long.
    tickets = tickets.assign(**{name: tickets[name].astype(object) for name in ("ticket_id", "text", "key")})
    months = {str(month): group for month, group in tickets.groupby("month", sort=True)}
    most = {month: np.zeros(len(group), bool) for month, group in months.items()}
    twice = tickets.groupby("ticket_id")["month"].transform("nunique") > 1

    def compare(earlier: pd.DataFrame, column: str, later: Iterable[str]) -> None:
        known = frozenset(earlier[column])
        for month in later:
            rows = months[month][column].isin(known).to_numpy()
            if rows.sum() > most[month].sum():
                most[month] = rows

    for before in unread:
        twice |= tickets["ticket_id"].isin(frozenset(before["ticket_id"]))
        compare(before.dropna(), "text", months)
    often = tickets[tickets.groupby("key")["month"].transform("nunique") > 1]
    for month, group in often.groupby("month", sort=True):
        compare(group, "key", [later for later in months if later > str(month)])
    repeated = np.zeros(len(tickets), bool)
    for month, group in months.items():
        repeated[tickets.index.get_indexer(group.index[most[month]])] = True
    return by_month(tickets[twice], "ids_in_other_months") | by_month(tickets[repeated], "repeated_share")

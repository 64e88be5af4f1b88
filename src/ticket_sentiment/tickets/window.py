"""Which of the stored months a retraining reads, so that its memory and time do not grow with the years."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.params import Prepare
from ticket_sentiment.tickets.schema import month_files, read_table


@dataclass(frozen=True)
class Window:
    """Stored months, each in one of three parts, oldest first.

    Attributes:
        used: learnt from and judged by.
        older: only their words are learnt (`prepare.max_unlabelled`).
        unread: before those; nothing is learnt of them.
    """

    used: tuple[str, ...]
    older: tuple[str, ...]
    unread: tuple[str, ...]

    @property
    def read(self) -> tuple[str, ...]:
        return (*self.older, *self.used)


def used_months(months: Iterable[str], rules: Prepare | None) -> list[str]:
    """The newest months, which a retraining learns from and judges by; the others have no say in it."""
    ordered = sorted(months)
    if rules is None or not rules.train_months:
        return ordered
    return ordered[-(rules.train_months + rules.tune_months + rules.holdout_months) :]


def window(files: Mapping[str, Path], rules: Prepare | None) -> Window:
    """The part of each stored month; without rules all are used.

    Of the months before the used ones the newest are read until they hold `rules.max_unlabelled` tickets
    that `prepare` can take: not of customers whose labelled tickets are tuned or judged by, where these are
    kept apart. A file that cannot be read counts none.
    """
    used = used_months(files, rules)
    before = sorted(files.keys() - set(used), reverse=True)
    older: list[str] = []
    if rules is not None and before:
        later = used[-(rules.tune_months + rules.holdout_months) :] if rules.customers == "apart" else []
        tables = (_read(files[month], ["customer_id", "label"]) for month in later)
        known = frozenset(name for table in tables for name in table.dropna()["customer_id"])
        wanted = rules.max_unlabelled
        for month in before:
            if wanted <= 0:
                break
            older.insert(0, month)
            wanted -= int((~_read(files[month], ["customer_id"])["customer_id"].isin(known)).sum())
    unread = sorted(files.keys() - {*used, *older})
    return Window(tuple(used), tuple(older), tuple(unread))


def _read(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    try:
        return read_table(path, columns=columns).to_pandas().astype(object)
    except TicketSentimentError:  # `validate` says so
        return pd.DataFrame(columns=columns, dtype=object)


def about_read(feedback: pd.DataFrame, folder: Path, unread: Iterable[str]) -> pd.DataFrame:
    """People's labels without those of tickets whose month is not read, which are nobody's orphans."""
    files = month_files(folder)
    elsewhere: set[str] = set()
    for month in unread if len(feedback) else ():
        ids = _read(files[month], ["ticket_id"])["ticket_id"]
        elsewhere.update(ids[ids.isin(feedback["ticket_id"])])
    return feedback[~feedback["ticket_id"].isin(elsewhere)].reset_index(drop=True)

"""Which of the stored months a retraining reads, so that its memory and time do not grow with the years."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

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

    Of the months before the used ones the newest are read until they hold `rules.max_unlabelled` tickets. A
    file that says nothing of its rows counts none.
    """
    used = used_months(files, rules)
    older: list[str] = []
    wanted = rules.max_unlabelled if rules else 0
    for month in sorted(files.keys() - set(used), reverse=True):
        if wanted <= 0:
            break
        older.insert(0, month)
        wanted -= _rows(files[month])
    unread = sorted(files.keys() - {*used, *older})
    return Window(tuple(used), tuple(older), tuple(unread))


def _rows(path: Path) -> int:
    try:
        return pq.read_metadata(path).num_rows
    except (pa.ArrowException, OSError):
        return 0


def about_read(feedback: pd.DataFrame, folder: Path, unread: Iterable[str]) -> pd.DataFrame:
    """People's labels without those of tickets whose month is not read, which are nobody's orphans."""
    files = month_files(folder)
    elsewhere: set[str] = set()
    for month in unread if len(feedback) else ():
        ids = read_table(files[month], columns=["ticket_id"]).to_pandas()["ticket_id"]
        elsewhere.update(ids[ids.isin(feedback["ticket_id"])])
    return feedback[~feedback["ticket_id"].isin(elsewhere)].reset_index(drop=True)

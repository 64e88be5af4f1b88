"""The tables that stage `prepare` made, as the gates read them."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError


def read_prepared(path: Path, columns: Sequence[str]) -> pd.DataFrame:
    """A prepared table that has at least the given columns.

    Raises:
        TicketSentimentError: the file is missing or unreadable, or a column is missing.
    """
    try:
        table = pd.read_parquet(path)
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run `dvc repro prepare`") from None
    except (OSError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise TicketSentimentError(
            f"{path} is no readable Parquet ({reason}): run `dvc repro -f -s prepare`"
        ) from None
    for column in columns:
        if column not in table.columns:
            raise TicketSentimentError(f"{path}: column {column} is missing: run `dvc repro -f -s prepare`")
    return table

"""What a ticket is, and how a month of tickets lies on disk."""

import re
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing

TICKETS = Path("data/tickets")

SCHEMA = pa.schema(
    [
        pa.field("ticket_id", pa.string()),
        pa.field("customer_id", pa.string()),
        pa.field("created_at", pa.timestamp("us", tz="UTC")),
        pa.field("channel", pa.string()),
        pa.field("text", pa.string()),
        pa.field("label", pa.string()),
        pa.field("label_source", pa.string()),
    ]
)
COLUMNS: tuple[str, ...] = tuple(SCHEMA.names)
MONTH_FILE = re.compile(r"^(\d{4}-(?:0[1-9]|1[0-2]))\.parquet$")


def month_bounds(month: str) -> tuple[pd.Timestamp, pd.Timestamp]:
    """First instant of a month (`YYYY-MM`, UTC) and of the month after it."""
    start = pd.Timestamp(f"{month}-01", tz="UTC")
    return start, start + pd.DateOffset(months=1)


def month_files(folder: Path) -> dict[str, Path]:
    """The months that lie in a folder, oldest first.

    Raises:
        TicketSentimentError: something else than `YYYY-MM.parquet` lies there.
    """
    found = {}
    for path in sorted(folder.glob("[!.]*")):
        match = MONTH_FILE.match(path.name)
        if match is None:
            raise TicketSentimentError(f"{path}: only files named YYYY-MM.parquet belong there: remove it")
        found[match.group(1)] = path
    return found


def read_table(path: Path) -> pa.Table:
    """Read a Parquet file of tickets and check its columns.

    Raises:
        TicketSentimentError: the file is no whole Parquet file, or a column is missing, unknown or of
            another type; the message names file and column.
    """
    remedy = "restore it with `dvc checkout --force data/tickets.dvc` or collect the month again"
    try:
        table = pq.ParquetFile(path).read()
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run `dvc repro` to make it") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TicketSentimentError(f"{path} is not a whole Parquet file ({reason}): {remedy}") from None
    for field in SCHEMA:
        index = table.schema.get_field_index(field.name)
        if index < 0:
            raise TicketSentimentError(f"{path}: column {field.name} is missing: {remedy}")
        found = table.schema.field(index).type
        if found != field.type and not (pa.types.is_large_string(found) and field.type == pa.string()):
            raise TicketSentimentError(
                f"{path}: column {field.name} is {found}, expected {field.type}: {remedy}"
            )
    unknown = [name for name in table.column_names if name not in COLUMNS]
    if unknown:
        raise TicketSentimentError(f"{path}: column {unknown[0]} does not belong there: {remedy}")
    return table.select(list(COLUMNS)).cast(SCHEMA)


def read_tickets(path: Path) -> pd.DataFrame:
    """One Parquet file as a table with exactly COLUMNS; errors as `read_table`."""
    return read_table(path).to_pandas()


def read_months(folder: Path = TICKETS) -> pd.DataFrame:
    """All months of a folder in one table, oldest month first, with exactly COLUMNS.

    Raises:
        TicketSentimentError: there is no month, or a file is damaged.
    """
    files = month_files(folder)
    if not files:
        raise TicketSentimentError(f"{folder} holds no month: run `ticket-sentiment collect`")
    return pa.concat_tables([read_table(path) for path in files.values()]).to_pandas()


def ordered(frame: pd.DataFrame) -> pd.DataFrame:
    """The stored order: by time, then id. Equal tickets give equal bytes."""
    return frame.sort_values(["created_at", "ticket_id"], kind="stable").reset_index(drop=True)


def write_tickets(path: Path, frame: pd.DataFrame) -> None:
    """Write tickets as a whole file; equal tickets give equal bytes with the same pyarrow."""
    table = pa.Table.from_pandas(ordered(frame)[list(COLUMNS)], schema=SCHEMA, preserve_index=False)
    with replacing(path) as temporary:
        # Without pandas' own metadata, which carries library versions.
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")

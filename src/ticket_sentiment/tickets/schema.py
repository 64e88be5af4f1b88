"""What a ticket and a person's label for one are, and how a month of them lies on disk."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import replacing

TICKETS = Path("data/tickets")
FEEDBACK = Path("data/feedback")
NO_CHANNEL = "unknown"  # of a ticket whose source names none
DEMO_LABELS = "human"  # label_source of the demo's tickets, all of which are labelled, and of no other

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

FEEDBACK_SCHEMA = pa.schema(
    [
        pa.field("ticket_id", pa.string()),
        pa.field("label", pa.string()),
        pa.field("at", pa.timestamp("us", tz="UTC")),
        pa.field("received_at", pa.timestamp("us", tz="UTC")),
        pa.field("source", pa.string()),
        pa.field("event_id", pa.string()),
        # What had answered the ticket last when the person labelled it; null where unknown.
        pa.field("served_arm", pa.string()),
        pa.field("served_digest", pa.string()),
        pa.field("served_label", pa.string()),
    ]
)


@dataclass(frozen=True)
class Table:
    """A table that is kept as one file a month.

    Attributes:
        folder: where, relative to the repository.
        schema: columns and types.
        order: columns that the rows are stored by.
        rows: what a person calls them.
        replace: how a person names a month of it after `collect --replace`, with `{month}`.
        compared: columns by which a stored month is held against its source. The others say what was known
            when it was collected.
        late: columns that may be null when a row is stored and be filled later, all at once.
        source_forgets: whether the source may drop old rows; a stored month then keeps them.
    """

    folder: Path
    schema: pa.Schema
    order: tuple[str, ...]
    rows: str
    replace: str
    compared: tuple[str, ...]
    late: tuple[str, ...]
    source_forgets: bool

    @property
    def columns(self) -> list[str]:
        return list(self.schema.names)

    @property
    def open_note(self) -> Path:
        """Names the months that may change unasked (`months.noted`); not there where there is none."""
        return self.folder.with_suffix(".open")

    @property
    def masking_note(self) -> Path:
        """Names the months that were being masked anew when a run was killed; else not there."""
        return self.folder.with_suffix(".masking")

    @property
    def pointer(self) -> Path:
        """DVC's file about the folder."""
        return self.folder.with_suffix(".dvc")


TICKET_TABLE = Table(
    folder=TICKETS,
    schema=SCHEMA,
    order=("created_at", "ticket_id"),
    rows="tickets",
    replace="{month}",
    compared=COLUMNS,
    late=("label", "label_source"),
    source_forgets=False,
)
FEEDBACK_TABLE = Table(
    folder=FEEDBACK,
    schema=FEEDBACK_SCHEMA,
    order=("received_at", "ticket_id", "source", "event_id"),
    rows="labels",
    replace="feedback/{month}",
    compared=tuple(name for name in FEEDBACK_SCHEMA.names if not name.startswith("served_")),
    late=(),
    source_forgets=True,  # an event database may be emptied of what is old
)
MONTH = re.compile(r"\d{4}-(?:0[1-9]|1[0-2])")
MONTH_FILE = re.compile(rf"^({MONTH.pattern})\.parquet$")


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


def read_table(path: Path, kind: Table = TICKET_TABLE, columns: Sequence[str] | None = None) -> pa.Table:
    """Read a Parquet file of tickets, or of another kind, and check its columns.

    Args:
        path: of the file.
        kind: what lies in it.
        columns: the ones that are wanted; None is all.

    Raises:
        TicketSentimentError: the file is no whole Parquet file, or a column is missing, unknown or of
            another type; the message names file and column.
    """
    remedy = f"restore it with `dvc checkout --force {kind.pointer}` or collect the month again"
    try:
        file = pq.ParquetFile(path)
        table = file.read(columns=None if columns is None else list(columns))
    except FileNotFoundError:
        raise TicketSentimentError(f"{path} is missing: run `dvc repro` to make it") from None
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0].rstrip(".")
        raise TicketSentimentError(f"{path} is not a whole Parquet file ({reason}): {remedy}") from None
    for field in kind.schema:
        index = file.schema_arrow.get_field_index(field.name)
        if index < 0:
            raise TicketSentimentError(f"{path}: column {field.name} is missing: {remedy}")
        found = file.schema_arrow.field(index).type
        if found != field.type and not (pa.types.is_large_string(found) and field.type == pa.string()):
            raise TicketSentimentError(
                f"{path}: column {field.name} is {found}, expected {field.type}: {remedy}"
            )
    unknown = [name for name in file.schema_arrow.names if name not in kind.columns]
    if unknown:
        raise TicketSentimentError(f"{path}: column {unknown[0]} does not belong there: {remedy}")
    wanted = kind.columns if columns is None else list(columns)
    return table.select(wanted).cast(pa.schema([kind.schema.field(name) for name in wanted]))


def read_tickets(path: Path) -> pd.DataFrame:
    """One Parquet file as a table with exactly COLUMNS; errors as `read_table`."""
    return read_table(path).to_pandas()


def read_months(folder: Path, months: Collection[str] | None = None) -> pd.DataFrame:
    """Months of a folder, or all of them, in one table, oldest month first, with exactly COLUMNS.

    Raises:
        TicketSentimentError: there is no month, or a file is damaged.
    """
    files = month_files(folder)
    if not files:
        raise TicketSentimentError(f"{folder} holds no month: run `ticket-sentiment collect`")
    wanted = files if months is None else months
    return pa.concat_tables([read_table(files[month]) for month in sorted(wanted)]).to_pandas()


def read_feedback(folder: Path = FEEDBACK) -> pd.DataFrame:
    """All of people's labels that were collected, oldest month first; an empty table where there are none.

    Raises:
        TicketSentimentError: a file is damaged.
    """
    tables = [read_table(path, FEEDBACK_TABLE) for path in month_files(folder).values()]
    return pa.concat_tables([FEEDBACK_SCHEMA.empty_table(), *tables]).to_pandas()


def ordered(frame: pd.DataFrame, kind: Table = TICKET_TABLE) -> pd.DataFrame:
    """The stored order: of tickets by time, then id. Equal tickets give equal bytes."""
    return frame.sort_values(list(kind.order), kind="stable").reset_index(drop=True)


def write_month(path: Path, frame: pd.DataFrame, kind: Table) -> None:
    """Write a month as a whole file; equal rows give equal bytes with the same pyarrow."""
    table = pa.Table.from_pandas(ordered(frame, kind)[kind.columns], schema=kind.schema, preserve_index=False)
    with replacing(path) as temporary:
        # Without pandas' own metadata, which carries library versions.
        pq.write_table(table.replace_schema_metadata(None), temporary, compression="zstd")


def write_tickets(path: Path, frame: pd.DataFrame) -> None:
    """Write tickets as a whole file, as `write_month`."""
    write_month(path, frame, TICKET_TABLE)

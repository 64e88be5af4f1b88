from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_file
from ticket_sentiment.tickets import schema


def test_a_month_comes_back_as_it_was_written(tmp_path, month):
    frame = month("2026-01")
    frame.loc[3, ["customer_id", "label", "label_source"]] = None
    schema.write_tickets(tmp_path / "2026-01.parquet", frame)
    back = schema.read_tickets(tmp_path / "2026-01.parquet")
    assert list(back.columns) == list(schema.COLUMNS)
    assert str(back["created_at"].dtype) == "datetime64[us, UTC]"
    assert back["label"].isna().sum() == 1
    pd.testing.assert_frame_equal(back, frame, check_dtype=False)


def test_equal_tickets_in_another_order_give_equal_bytes(tmp_path, month):
    frame = month("2026-01")
    schema.write_tickets(tmp_path / "a.parquet", frame)
    schema.write_tickets(tmp_path / "b.parquet", frame.sample(frac=1, random_state=1))
    assert sha256_file(tmp_path / "a.parquet") == sha256_file(tmp_path / "b.parquet")


def test_months_are_read_oldest_first(tickets_folder):
    frame = schema.read_months(tickets_folder)
    assert len(frame) == 480
    assert frame["created_at"].is_monotonic_increasing


def test_no_month_is_an_error(tmp_path):
    with pytest.raises(TicketSentimentError, match="holds no month: run `ticket-sentiment collect`"):
        schema.read_months(tmp_path)


def test_a_stray_file_is_named(tickets_folder):
    (tickets_folder / "backup.parquet").write_bytes(b"x")
    with pytest.raises(TicketSentimentError, match=r"backup\.parquet: only files named YYYY-MM"):
        schema.read_months(tickets_folder)


def test_a_truncated_file_is_named(tickets_folder):
    path = tickets_folder / "2026-02.parquet"
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(
        TicketSentimentError, match=r"2026-02\.parquet is not a whole Parquet file.*dvc checkout"
    ):
        schema.read_months(tickets_folder)


def _rewrite(path: Path, table: pa.Table) -> None:
    pq.write_table(table, path)


@pytest.mark.parametrize("column", schema.COLUMNS)
def test_a_missing_column_is_named(tickets_folder, column):
    path = tickets_folder / "2026-01.parquet"
    _rewrite(path, pq.read_table(path).drop_columns([column]))
    with pytest.raises(TicketSentimentError, match=rf"2026-01\.parquet: column {column} is missing"):
        schema.read_months(tickets_folder)


def test_a_column_of_another_type_is_named(tickets_folder):
    path = tickets_folder / "2026-01.parquet"
    table = pq.read_table(path)
    index = table.schema.get_field_index("created_at")
    _rewrite(path, table.set_column(index, "created_at", table["created_at"].cast(pa.timestamp("us"))))
    with pytest.raises(TicketSentimentError, match=r"column created_at is timestamp\[us\], expected"):
        schema.read_months(tickets_folder)


def test_an_unknown_column_is_named(tickets_folder):
    path = tickets_folder / "2026-01.parquet"
    table = pq.read_table(path)
    _rewrite(path, table.append_column("email", table["channel"]))
    with pytest.raises(TicketSentimentError, match="column email does not belong there"):
        schema.read_months(tickets_folder)


def test_december_ends_in_january():
    start, end = schema.month_bounds("2026-12")
    assert (str(start), str(end)) == ("2026-12-01 00:00:00+00:00", "2027-01-01 00:00:00+00:00")

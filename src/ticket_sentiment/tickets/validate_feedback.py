"""The contract of people's labels, by Great Expectations: every row, and all months together."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.expectations import MAX_ROWS, entry, raised, run_expectations
from ticket_sentiment.tickets.schema import FEEDBACK_TABLE, month_bounds, month_files, read_table

CLOCK_SKEW = pd.Timedelta(minutes=5)  # as the event store allows
EARLIEST = pd.Timestamp("2000-01-01", tz="UTC")
MAX_IDENTIFIER = 200  # characters, as in the event store
REQUIRED = ("ticket_id", "label", "at", "received_at", "source", "event_id")
IDENTIFIERS = ("ticket_id", "source", "event_id")
ARMS = ("champion", "challenger")

SENTENCES = {
    "expect_column_values_to_not_be_null": "{rows} without {column}",
    "expect_column_value_lengths_to_be_between": "{rows} whose {column} is not of 1 to 200 characters",
    "expect_column_values_to_be_in_set": "{rows} whose {column} is none of {allowed}",
    "expect_column_values_to_match_regex": "{rows} whose {column} is not 64 hex digits",
    "expect_column_values_to_be_between": "{rows} given before the year 2000",
    "expect_column_pair_values_a_to_be_greater_than_b": "{rows} {pair}",
    "expect_compound_columns_to_be_unique": "{rows} whose ticket_id, source and event_id come twice",
}
# A pair of columns, the later one first, and what it means when they are not so.
PAIRS = {
    ("received_at", "month_start"): "received before the month of the file",
    ("month_end", "received_at"): "received after the month of the file",
    ("latest", "at"): "given later than received",
}


def expectations() -> list[Any]:
    """What every row must be, and that no event is there twice."""
    import great_expectations.expectations as gxe

    allowed = {"label": LABELS, "served_label": LABELS, "served_arm": ARMS}
    return [
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in REQUIRED),
        *(
            gxe.ExpectColumnValueLengthsToBeBetween(column=column, min_value=1, max_value=MAX_IDENTIFIER)
            for column in IDENTIFIERS
        ),
        *(gxe.ExpectColumnValuesToBeInSet(column=name, value_set=list(v)) for name, v in allowed.items()),
        gxe.ExpectColumnValuesToMatchRegex(column="served_digest", regex="^[0-9a-f]{64}$"),
        gxe.ExpectColumnValuesToBeBetween(column="at", min_value=EARLIEST.to_pydatetime()),
        *(
            gxe.ExpectColumnPairValuesAToBeGreaterThanB(
                column_A=later,
                column_B=earlier,
                or_equal=later != "month_end",
                ignore_row_if="either_value_is_missing",
            )
            for later, earlier in PAIRS
        ),
        gxe.ExpectCompoundColumnsToBeUnique(
            column_list=list(IDENTIFIERS), ignore_row_if="any_value_is_missing"
        ),
    ]


def _read(folder: Path) -> tuple[list[pd.DataFrame], list[dict[str, Any]]]:
    frames, broken = [], []
    for month, path in month_files(folder).items():
        try:
            frame = read_table(path, FEEDBACK_TABLE).to_pandas()
        except TicketSentimentError as error:
            found = entry(month, "read_parquet", None, False, 0, [], table="feedback")
            broken.append(found | {"observed": None, "sentence": str(error)})
            continue
        start, end = month_bounds(month)
        frames.append(
            frame.assign(
                month=month,
                row=range(1, len(frame) + 1),
                month_start=start,
                month_end=end,
                latest=frame["received_at"] + CLOCK_SKEW,
            )
        )
    return frames, broken


def check_feedback(folder: Path) -> Iterator[dict[str, Any]]:
    """Every expectation of every month of labels, as `validate.validate` lists them; none without labels.

    Rows are counted from 1 in their file. No value of a row is shown.
    """
    frames, broken = _read(folder)
    yield from broken
    filled = [frame for frame in frames if len(frame)]
    if not filled:
        return
    together = pd.concat(filled, ignore_index=True)
    months = sorted(together["month"].unique())
    for result in run_expectations("feedback", together, expectations(), ["month", "row"]):
        config = result.expectation_config
        found = result.result.get("unexpected_index_list") or []
        places: dict[str, list[int]] = {}
        for index in found:
            places.setdefault(str(index["month"]), []).append(int(index["row"]))
        if not result.success and not places:  # the check itself failed: no month may pass it
            places = {month: [] for month in months}
        column = config.kwargs.get("column") or config.kwargs.get("column_B")
        for month in months:
            rows = sorted(places.get(month, []))
            yield entry(month, config.type, column, month not in places, len(rows), [], table="feedback") | {
                "observed": len(rows),
                "sentence": _sentence(folder, month, rows, config, raised(result.exception_info)),
            }


def _sentence(folder: Path, month: str, rows: list[int], config: Any, broken: bool) -> str:
    remedy = (
        "correct them in the event database and run "
        f"`ticket-sentiment collect --replace {FEEDBACK_TABLE.replace.format(month=month)}`, "
        f"or restore the file with `dvc checkout --force {FEEDBACK_TABLE.pointer}`"
    )
    kwargs = config.kwargs
    where = f"{folder / month}.parquet"
    if broken:
        return f"{where} could not be checked: {remedy}"
    what = SENTENCES[config.type].format(
        rows="labels",
        column=kwargs.get("column"),
        allowed=", ".join(map(str, kwargs.get("value_set") or [])),
        pair=PAIRS.get((kwargs.get("column_A"), kwargs.get("column_B"))),
    )
    listed = ", ".join(map(str, rows[:MAX_ROWS])) + (", …" if len(rows) > MAX_ROWS else "")
    return f"{where} row {listed}: {len(rows)} {what}: {remedy}"

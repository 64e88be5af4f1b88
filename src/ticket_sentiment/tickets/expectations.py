"""Great Expectations on a table in memory, and what is kept of an answer."""

import os
from typing import Any

import pandas as pd

MAX_IDS = 20
MAX_ROWS = 5  # numbers of rows in a sentence


def _batch(name: str, frame: pd.DataFrame) -> Any:
    """A GX batch of a table in a context of its own, which leaves nothing on disk."""
    os.environ.setdefault("GX_ANALYTICS_ENABLED", "false")
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    asset = context.data_sources.add_pandas("tickets").add_dataframe_asset(name)
    return asset.add_batch_definition_whole_dataframe("all").get_batch({"dataframe": frame})


def run_expectations(name: str, frame: pd.DataFrame, expectations: list[Any], index: list[str]) -> list[Any]:
    """GX's answers; the rows that break an expectation are named by the columns of `index`."""
    import great_expectations as gx

    result_format = {"result_format": "COMPLETE", "unexpected_index_column_names": index}
    suite = gx.ExpectationSuite(name=name, expectations=expectations)
    texts = {name: object for name in frame.select_dtypes("str")}
    # Arrow's regular expressions are RE2's, whose \b and \w know ASCII alone; a team's are Python's.
    with pd.option_context("mode.string_storage", "python"):
        batch = _batch(name, frame.astype(texts))
        return list(batch.validate(suite, result_format=result_format).results)


def raised(exception: dict[str, Any]) -> bool:
    """Whether the check itself failed. GX gives one such dictionary, or one for each metric that failed."""
    each = [exception] if "raised_exception" in exception else list(exception.values())
    return any(info.get("raised_exception") for info in each)


def entry(
    month: str,
    expectation: str,
    column: str | None,
    success: bool,
    rows: int,
    ids: list[str],
    table: str = "tickets",
) -> dict[str, Any]:
    """One expectation of one month, still without `observed` and `sentence`."""
    return {
        "table": table,
        "month": month,
        "expectation": expectation,
        "column": column,
        "success": success,
        "rows": rows,
        "ticket_ids": [str(id_)[:80] for id_ in ids[:MAX_IDS]],
    }

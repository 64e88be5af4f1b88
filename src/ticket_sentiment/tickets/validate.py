"""Stage `validate`: the contract of tickets and labels, by Great Expectations. It stops the month."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import sha256_tree, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params, Prepare, Validate
from ticket_sentiment.tickets.expectations import entry, raised, run_expectations
from ticket_sentiment.tickets.noise import Noise
from ticket_sentiment.tickets.own_expectations import OwnExpectation, read_own
from ticket_sentiment.tickets.profile import MIN_SIGNAL_ROWS, Profile, profile
from ticket_sentiment.tickets.relabel import relabel
from ticket_sentiment.tickets.schema import (
    COLUMNS,
    FEEDBACK,
    FEEDBACK_TABLE,
    TICKET_TABLE,
    TICKETS,
    month_bounds,
    month_files,
    read_feedback,
    read_table,
    read_tickets,
)
from ticket_sentiment.tickets.validate_feedback import check_feedback
from ticket_sentiment.tickets.validation_page import render
from ticket_sentiment.tickets.window import window

REPORT = Path("reports/validation")
RESULT = REPORT / "result.json"
PAGE = REPORT / "index.html"

# Summary column: what a person reads, as (sentence, remedy). {value} and {limit} are filled in.
SENTENCES: dict[str, tuple[str, str]] = {
    "ids_in_other_months": ("{rows} ticket ids are in another month too", "export each ticket once"),
    "duplicate_share": (
        "{value:.1%} of the texts repeat another one, at most {limit:.1%} may",
        "look for a doubled export, or raise validate.max_duplicate_share",
    ),
    "repeated_share": (
        "{value:.1%} of the texts were in an earlier month, at most {limit:.1%} may",
        "look for an old month that was exported as a new one, or raise validate.max_repeated_share",
    ),
    "conflict_share": (
        "{value:.1%} of the rows share their text with a row of another label, at most {limit:.1%} may",
        "correct those labels, or raise validate.max_conflict_share",
    ),
    "unmasked_rows": (
        "{rows} texts hold personal data that is not masked",
        "run `ticket-sentiment collect`, which masks stored months by today's rules",
    ),
    "labelled_share": (
        "{value:.1%} of the rows have a label, at least {limit:.1%} must",
        "add labels, correct tickets.columns.label, or lower validate.min_labelled_share",
    ),
    "smallest_class_share": (
        "the rarest class has {value:.1%} of the labels, at least {limit:.1%} is needed",
        "check tickets.labels and the label column, or lower validate.min_class_share",
    ),
    "label_shift": (
        "the label mix is {value:.2f} (total variation) away from the months before, "
        "at most {limit:.2f} may be",
        "check the label column, or raise validate.max_label_shift",
    ),
    "language_share": (
        "{value:.1%} of the sampled texts are in the language of validate.language, "
        "at least {limit:.1%} must",
        "check the source, or correct validate.language",
    ),
    "signal": (
        "labels cannot be told from the texts: macro-F1 {value:.3f} of a bag of words, at least {limit:.3f} "
        "is expected",
        "check that label and text of a row belong together (a shifted column?), "
        "or lower validate.min_signal",
    ),
}
EMPTY = "{column} cannot be computed"
WORDS_LACK = "look at the texts: hardly a word is in them"
LABELS_LACK = (
    f"a month, and the others together, need {MIN_SIGNAL_ROWS} tickets with text and label: add labels"
)
OF_LABELS = frozenset({"conflict_share", "labelled_share", "smallest_class_share", "label_shift", "signal"})


def row_expectations(
    month: str, limits: Validate, own: Sequence[OwnExpectation] = (), learnt: bool = True
) -> list[Any]:
    """What every row of a month's file must be; at last what a team expects of it.

    Args:
        month: `YYYY-MM`.
        limits: params.validate.
        own: of a team.
        learnt: whether its labels are.
    """
    import great_expectations.expectations as gxe

    start, end = month_bounds(month)
    required = ("ticket_id", "created_at", "channel", "text")
    return [
        gxe.ExpectTableColumnsToMatchOrderedList(column_list=list(COLUMNS)),
        gxe.ExpectTableRowCountToBeBetween(min_value=limits.min_rows),
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in required),
        gxe.ExpectColumnValuesToBeUnique(column="ticket_id"),
        *([gxe.ExpectColumnValuesToBeInSet(column="label", value_set=list(LABELS))] if learnt else []),
        gxe.ExpectColumnValuesToBeBetween(
            column="created_at",
            min_value=start.to_pydatetime(),
            max_value=end.to_pydatetime(),
            strict_max=True,
        ),
        gxe.ExpectColumnValueLengthsToBeBetween(column="text", min_value=1, max_value=limits.max_text_chars),
        *(one.build() for one in own),
    ]


def summary_expectations(limits: Validate) -> list[Any]:
    """What every month must be as a whole; one row of the summary is one month."""
    import great_expectations.expectations as gxe

    at_most = {
        "ids_in_other_months": 0,
        "duplicate_share": limits.max_duplicate_share,
        "repeated_share": limits.max_repeated_share,
        "conflict_share": limits.max_conflict_share,
        "unmasked_rows": 0,
        "label_shift": limits.max_label_shift,
    }
    at_least = {
        "labelled_share": limits.min_labelled_share,
        "smallest_class_share": limits.min_class_share,
        "language_share": limits.min_language_share,
        "signal": limits.min_signal,
    }
    return [
        # GX passes over missing values, so that a number which could not be computed would pass.
        *(gxe.ExpectColumnValuesToNotBeNull(column=column) for column in SENTENCES),
        *(gxe.ExpectColumnValuesToBeBetween(column=c, max_value=limit) for c, limit in at_most.items()),
        *(gxe.ExpectColumnValuesToBeBetween(column=c, min_value=limit) for c, limit in at_least.items()),
    ]


def _row_checks(
    month: str, frame: pd.DataFrame, limits: Validate, own: Sequence[OwnExpectation], learnt: bool
) -> Iterator[dict[str, Any]]:
    wanted = row_expectations(month, limits, own, learnt)
    for result in run_expectations(month, frame, wanted, ["ticket_id"]):
        config, found = result.expectation_config, result.result
        column = config.kwargs.get("column")
        indices = found.get("unexpected_index_list") or []
        ids = list(dict.fromkeys(str(entry["ticket_id"]) for entry in indices))
        rows = int(found.get("unexpected_count") or 0)
        observed = found.get("observed_value")
        yield entry(month, config.type, column, bool(result.success), rows, ids) | {
            "observed": rows if observed is None else observed,
            "sentence": _row_sentence(config, rows, observed, result.exception_info),
        }


def _row_sentence(config: Any, rows: int, observed: Any, exception: Any) -> str:
    column, kwargs = config.kwargs.get("column"), config.kwargs
    sentences: dict[str, Callable[[], str]] = {
        "expect_table_columns_to_match_ordered_list": lambda: (
            "columns are not those of a ticket: collect again"
        ),
        "expect_table_row_count_to_be_between": lambda: (
            f"{observed} rows, at least {kwargs['min_value']} are expected: check the source, or lower "
            "validate.min_rows"
        ),
        "expect_column_values_to_not_be_null": lambda: f"{rows} rows have no {column}: correct the source",
        "expect_column_values_to_be_unique": lambda: f"{rows} rows share a {column}: export each ticket once",
        "expect_column_values_to_be_in_set": lambda: (
            f"{rows} rows have a label that is none of {', '.join(LABELS)}: correct tickets.labels"
        ),
        "expect_column_values_to_be_between": lambda: (
            f"{rows} rows have a {column} outside the month: collect the month again with --replace"
        ),
        "expect_column_value_lengths_to_be_between": lambda: (
            f"{rows} texts are empty or longer than {kwargs['max_value']} characters: correct the source, or "
            "raise validate.max_text_chars"
        ),
    }
    if raised(exception):
        return f"{column or 'the table'} could not be checked: collect the month again"
    if said := (config.meta or {}).get("say"):
        return f"{rows} rows: {said}" if rows else said
    return sentences[config.type]()


def _summary_checks(described: Profile, limits: Validate, used: Collection[str]) -> Iterator[dict[str, Any]]:
    for result in run_expectations("months", described.summary, summary_expectations(limits), ["month"]):
        config = result.expectation_config
        column = config.kwargs["column"]
        limit = config.kwargs.get("max_value", config.kwargs.get("min_value"))
        bad = {str(entry["month"]) for entry in result.result.get("unexpected_index_list") or []}
        if not result.success and not bad:  # the check itself failed: no month may pass it
            bad = set(described.summary["month"])
        for month, value in zip(described.summary["month"], described.summary[column], strict=True):
            if column in OF_LABELS and month not in used:  # of older months only the words are learnt
                continue
            ids = described.offenders.get((month, column), [])
            rows = len(ids) or int(described.months[month]["rows"])
            known = limit is not None and not pd.isna(value)
            lack = LABELS_LACK if column in OF_LABELS else WORDS_LACK
            sentence, remedy = SENTENCES[column] if known else (EMPTY, lack)
            text = sentence.format(value=value, limit=limit, rows=rows, column=column)
            hint = described.hints.get((month, column))
            yield entry(month, config.type, column, month not in bad, rows, ids) | {
                "observed": None if pd.isna(value) else round(float(value), 6),
                "sentence": f"{text}{f'; {hint}' if hint else ''}: {remedy}",
            }


def _broken(month: str, error: TicketSentimentError) -> dict[str, Any]:
    found = entry(month, "read_parquet", None, False, 0, [])
    return found | {"observed": None, "sentence": str(error)}


def _read(
    files: Mapping[str, Path], months: Iterable[str], checks: list[dict[str, Any]]
) -> dict[str, pd.DataFrame]:
    """The months that can be read; for each that cannot a failed check."""
    frames = {}
    for month in months:
        try:
            frames[month] = read_tickets(files[month])
        except TicketSentimentError as error:
            checks.append(_broken(month, error))
    return frames


def _unread(
    files: Mapping[str, Path], months: Iterable[str], checks: list[dict[str, Any]]
) -> Iterator[pd.DataFrame]:
    """Id and text of months that nothing is learnt of, one after the other, with errors as `_read`."""
    for month in months:
        try:
            table = read_table(files[month], columns=["ticket_id", "text"])
        except TicketSentimentError as error:
            checks.append(_broken(month, error))
        else:
            yield table.to_pandas()


def validate(
    folder: Path,
    limits: Validate,
    feedback: Path = FEEDBACK,
    rules: Prepare | None = None,
    own: Sequence[OwnExpectation] = (),
) -> dict[str, Any]:
    """Check the months of tickets that a retraining reads, and people's labels for them.

    Of months that are not read only whether a newer one repeats them. The months as a whole (balance,
    signal) are judged with the labels that `prepare` will learn from: labels of months that are read for
    their words alone are not.

    Args:
        folder: of the tickets.
        limits: params.validate.
        feedback: of the labels; it may be missing or empty.
        rules: params.prepare, by which labels are joined and months used; None judges the tickets as they
            were exported, and all of them.
        own: expectations of a team (`read_own`).

    Returns:
        The content of reports/validation/result.json, and under `checks` every expectation of every
        month, for the page. Failures hold ids, never text.

    Raises:
        TicketSentimentError: there is no month at all.
    """
    files = month_files(folder)
    if not files:
        raise TicketSentimentError(f"{folder} holds no month: run `ticket-sentiment collect`")
    parts, checks = window(files, rules), list[dict[str, Any]]()
    frames = _read(files, parts.read, checks)
    for month, frame in frames.items():
        checks.extend(_row_checks(month, frame, limits, own, month in parts.used))
    of_labels = list(check_feedback(feedback))
    checks.extend(of_labels)
    months: dict[str, Any] = {}
    noise = Noise(None, [])
    filled = [frame.assign(month=month) for month, frame in frames.items() if len(frame)]
    if filled:
        together = pd.concat(filled, ignore_index=True)
        if rules is not None and all(check["success"] for check in of_labels):
            together, _ = relabel(together, read_feedback(feedback), rules)
        described = profile(together, limits, parts.used, _unread(files, parts.unread, checks))
        months, noise = described.months, described.noise
        checks.extend(_summary_checks(described, limits, parts.used))
    keys = ("table", "month", "expectation", "column", "rows", "ticket_ids", "sentence")
    failures = [{key: check[key] for key in keys} for check in checks if not check["success"]]
    return {
        "success": not failures,
        "data_sha256": sha256_tree(folder),
        "feedback_sha256": sha256_tree(feedback),
        "expectations": len(checks),
        "months": months,
        "unread": list(parts.unread),
        "label_noise": {"share": noise.share, "suspects": noise.suspects},
        "failures": failures,
        "checks": checks,
    }


def _refusal(failures: list[dict[str, Any]]) -> str:
    # The newest month is the one that a person has just brought.
    worst = max(failures, key=lambda failure: failure["month"])
    ids = ", ".join(worst["ticket_ids"][:3])
    more = f"; {len(failures) - 1} more failures" if len(failures) > 1 else ""
    column = f" of {worst['column']}" if worst["column"] else ""
    kind = FEEDBACK_TABLE if worst["table"] == FEEDBACK_TABLE.folder.name else TICKET_TABLE
    name = kind.replace.format(month=worst["month"])
    # `collect` leaves out a month of few rows that its source only begins in; any other comes back.
    few = worst["expectation"] == "expect_table_row_count_to_be_between"
    return (
        f"data/{worst['table']} {worst['month']}: {worst['sentence']} ({worst['expectation']}{column}, "
        f"{worst['rows']} rows{f', first: {ids}' if ids else ''}{more}); all of it: {PAGE}; a month that "
        f"cannot be corrected goes with `ticket-sentiment collect --drop {name}`, once the source lacks "
        f"it, too{', or only begins late in it' if few else ''}"
    )


def main(params: Params) -> None:
    """Stage `validate`: tickets and labels to reports/validation, written whether they pass or not.

    Raises:
        TicketSentimentError: an expectation is not met; names month, rule, rows, ids, page and remedy.
    """
    result = validate(TICKETS, params.validate_, FEEDBACK, params.prepare, read_own())
    render(PAGE, result)
    write_json(RESULT, {key: value for key, value in result.items() if key != "checks"})
    if result["failures"]:
        raise TicketSentimentError(_refusal(result["failures"]))

"""Stage `prepare`: people's labels joined, tickets de-duplicated and split by time, no text on two sides."""

from pathlib import Path
from typing import Any

import pandas as pd

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.files import read_json, sha256_file, sha256_tree, write_json
from ticket_sentiment.labels import LABELS
from ticket_sentiment.params import Params, Prepare
from ticket_sentiment.tickets.canonical import canonical
from ticket_sentiment.tickets.privacy import dedup_key
from ticket_sentiment.tickets.relabel import agreeing, relabel
from ticket_sentiment.tickets.schema import (
    COLUMNS,
    FEEDBACK,
    TICKETS,
    month_files,
    ordered,
    read_feedback,
    read_months,
    write_tickets,
)
from ticket_sentiment.tickets.validate import RESULT
from ticket_sentiment.tickets.window import about_read, used_months, window

PREPARED = Path("data/prepared")
SPLITS = ("train", "tune", "holdout")
DROPPED = (  # why a row is left out
    "unlabelled_late",
    "duplicate",
    "conflict",
    "text_in_later_split",
    "customer_in_later_split",
    "unlabelled_surplus",
)
MIN_ROWS = 30  # of a split; below, no interval around a score means anything


def require_validated(folder: Path, feedback: Path, result: Path) -> None:
    """Refuse tickets and labels that did not pass `validate`, or that changed since.

    Raises:
        TicketSentimentError: the result is missing, a failure, or about other data.
    """
    if not result.is_file():
        raise TicketSentimentError(f"{result} is missing: run `ticket-sentiment validate` first")
    found = read_json(result)
    if not isinstance(found, dict) or found.get("success") is not True:
        raise TicketSentimentError(
            f"{result}: the data did not pass validation: see {result.parent / 'index.html'}, "
            "correct it and run `ticket-sentiment validate`"
        )
    for key, data in (("data_sha256", folder), ("feedback_sha256", feedback)):
        if found.get(key) != sha256_tree(data):
            raise TicketSentimentError(
                f"{result} is about other data than {data} now holds: run `ticket-sentiment validate` again"
            )


def split_months(months: list[str], sizes: Prepare) -> dict[str, list[str]]:
    """Which months go where: the newest to the holdout, those before to tune, the rest to train.

    Raises:
        TicketSentimentError: too few months.
    """
    needed = sizes.holdout_months + sizes.tune_months + 1
    if len(months) < needed:
        raise TicketSentimentError(
            f"data/tickets holds {len(months)} months, the split needs {needed} (train 1, tune "
            f"{sizes.tune_months}, holdout {sizes.holdout_months}): collect more, or lower "
            "prepare.tune_months or prepare.holdout_months"
        )
    months = used_months(months, sizes)
    holdout = len(months) - sizes.holdout_months
    tune = holdout - sizes.tune_months
    return {"train": months[:tune], "tune": months[tune:holdout], "holdout": months[holdout:]}


def split(
    tickets: pd.DataFrame, sizes: Prepare
) -> tuple[dict[str, pd.DataFrame], dict[str, list[str]], dict[str, int]]:
    """Split tickets so that nothing of a later split is known in an earlier one.

    Texts lose their greeting and signature, as they do in the service. Within a split equal texts
    (`privacy.dedup_key`) count once, the earliest stays; texts with two labels go altogether. Between splits
    the earlier side gives way: its texts and customers that a later split has are dropped, so that the
    holdout is what customers really sent. A ticket without customer is a customer of its own. With
    `customers: shared` a customer may be in several splits, with other texts.

    Args:
        tickets: schema.COLUMNS.
        sizes: params.prepare.

    Returns:
        Tables train, tune, holdout (labelled) and unlabelled (of the training months, and all given ones
        before them: their labels may be out of date, their words are not; the newest `max_unlabelled`); the
        months of each split; how many rows were dropped and why.

    Raises:
        TicketSentimentError: too few months or rows, or a class is missing in a split.
    """
    texts = [canonical(text) for text in tickets["text"]]
    tickets = tickets.assign(
        text=texts,
        month=tickets["created_at"].dt.strftime("%Y-%m"),
        key=[dedup_key(text) for text in texts],
    )
    months = split_months(sorted(tickets["month"].unique()), sizes)
    dropped = dict.fromkeys(DROPPED, 0)
    parts: dict[str, pd.DataFrame] = {}
    keys: set[str] = set()
    customers: set[str] = set()  # of later splits; stays empty where they may be in several
    known: dict[str, int] = {}
    for name in reversed(SPLITS):
        inside = ordered(tickets[tickets["month"].isin(months[name])])
        labelled = inside[inside["label"].notna()]
        before = dropped["customer_in_later_split"]
        parts[name] = _independent(_unique(labelled, dropped), keys, customers, dropped)
        known[name] = dropped["customer_in_later_split"] - before
        keys.update(labelled["key"])
        if sizes.customers == "apart":
            customers.update(parts[name]["customer_id"].dropna())
        if name != "train":
            dropped["unlabelled_late"] += len(inside) - len(labelled)
    old = tickets["month"] < months["train"][0]
    early = ordered(tickets[old | (tickets["month"].isin(months["train"]) & tickets["label"].isna())])
    later = customers - set(parts["train"]["customer_id"].dropna())
    fresh = _independent(_unique(early.assign(label=None), dropped), keys, later, dropped)
    parts["unlabelled"] = fresh.tail(sizes.max_unlabelled)
    dropped["unlabelled_surplus"] = len(fresh) - len(parts["unlabelled"])
    _require_classes(parts, months, known)
    return {name: part[list(COLUMNS)] for name, part in parts.items()}, months, dropped


def _unique(rows: pd.DataFrame, dropped: dict[str, int]) -> pd.DataFrame:
    agreed = agreeing(rows, rows["key"])
    unique = agreed.drop_duplicates("key", keep="first")
    dropped["conflict"] += len(rows) - len(agreed)
    dropped["duplicate"] += len(agreed) - len(unique)
    return unique


def _independent(
    rows: pd.DataFrame, keys: set[str], customers: set[str], dropped: dict[str, int]
) -> pd.DataFrame:
    fresh = rows[~rows["key"].isin(keys)]
    alone = fresh[~fresh["customer_id"].isin(customers)]
    dropped["text_in_later_split"] += len(rows) - len(fresh)
    dropped["customer_in_later_split"] += len(fresh) - len(alone)
    return alone


def _require_classes(
    parts: dict[str, pd.DataFrame], months: dict[str, list[str]], known: dict[str, int]
) -> None:
    """Refuse a split that is too small; `known` are the rows it lost to customers of later splits."""
    for name in SPLITS:
        why, remedy = "", ""
        if known[name]:
            why = f" ({known[name]:,} were left out because their customers also wrote in a later split)"
            remedy = "let customers be in several splits (prepare.customers: shared), "
        part = parts[name]
        where = f"split {name} ({months[name][0]} to {months[name][-1]})"
        if len(part) < MIN_ROWS:
            raise TicketSentimentError(
                f"{where} has {len(part)} labelled rows, at least {MIN_ROWS} are needed{why}: "
                f"{remedy}collect more tickets, or give it more months (prepare.{name}_months)"
            )
        missing = [label for label in LABELS if not (part["label"] == label).any()]
        if missing:
            raise TicketSentimentError(
                f"{where} has no row labelled {missing[0]}{why}: {remedy}collect more tickets, "
                f"check tickets.labels, or give it more months (prepare.{name}_months)"
            )
    require_newest(parts["holdout"], months["holdout"][-1], "label more of them")


def require_newest(holdout: pd.DataFrame, month: str, remedy: str) -> None:
    """Refuse a holdout whose newest month is too small for stage `drift`, which looks at it alone."""
    rows = int((holdout["created_at"].dt.strftime("%Y-%m") == month).sum())
    if rows < MIN_ROWS:
        raise TicketSentimentError(
            f"{month}, the newest month of split holdout, has {rows} labelled rows, at least {MIN_ROWS} are "
            f"needed to tell whether live traffic is like it (stage drift): {remedy}"
        )


def main(params: Params) -> None:
    """Stage `prepare`: data/tickets and data/feedback to data/prepared, if `validate` found them sound.

    Raises:
        TicketSentimentError: not validated, or no split can be made of it.
    """
    require_validated(TICKETS, FEEDBACK, RESULT)
    stored = window(month_files(TICKETS), params.prepare)
    feedback = about_read(read_feedback(FEEDBACK), TICKETS, stored.unread)
    tickets, relabelled = relabel(read_months(TICKETS, stored.read), feedback, params.prepare)
    parts, months, dropped = split(tickets, params.prepare)
    for name, part in parts.items():
        write_tickets(PREPARED / f"{name}.parquet", part)
    result: dict[str, Any] = {
        "months": months,
        "rows": {name: len(part) for name, part in parts.items()},
        "dropped": dropped,
        "feedback": relabelled.as_dict(),
        "sha256": {name: sha256_file(PREPARED / f"{name}.parquet") for name in SPLITS},
    }
    if params.prepare.customers == "shared":  # not said where apart: what is prepared stays the same bytes
        result["customers"] = "shared"
    write_json(PREPARED / "split.json", result)

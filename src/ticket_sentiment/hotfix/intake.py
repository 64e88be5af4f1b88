"""Corrected tickets out of people's feedback, kept under DVC, and stored for the next retraining."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import sqlalchemy as sa
import yaml

from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.events.schema import feedback
from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import Feedback
from ticket_sentiment.feedback.database import NoEventDatabase, event_url, reading_events
from ticket_sentiment.feedback.export import labels_where
from ticket_sentiment.labelling.candidates import (
    kept_texts,
    rewritten,
    same_ticket,
    unknown_tickets,
)
from ticket_sentiment.labelling.filled import Filled
from ticket_sentiment.labelling.intake import event_id
from ticket_sentiment.params import Params
from ticket_sentiment.tickets.corrections import content_digest, key_of, tidy, write_corrections
from ticket_sentiment.tickets.dvc import has_remote, require, run_dvc
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.relabel import agreeing, relabel
from ticket_sentiment.tickets.schema import FEEDBACK_SCHEMA, TICKETS, month_files, read_table

FOLDER = Path("data/hotfix")
LONG_AGO = pd.Timestamp("1970-01-01", tz="UTC")


@dataclass(frozen=True)
class Gathered:
    """Corrections out of feedback, and what of it was left out."""

    corrections: pd.DataFrame
    confirmed: int  # labels that say what the ticket had been answered
    unanswered: int  # labels of tickets whose answer is not known: they confirm or correct, nobody can tell
    too_early: int  # tickets with no label but from before they were written: of another ticket or clock
    without_text: int
    contradicting: int  # tickets whose text has two labels
    rewritten: int  # tickets answered with several texts: a label is of one of them, nobody knows which

    def line(self) -> str:
        """For the terminal."""
        left = {
            "confirm the answer": self.confirmed,
            "have no known answer": self.unanswered,
            "were labelled before they were written": self.too_early,
            "have no stored text": self.without_text,
            "contradict others": self.contradicting,
            "were answered with several texts under one id": self.rewritten,
        }
        parts = [f"{count:,} {what}" for what, count in left.items() if count]
        return f"feedback: {len(self.corrections):,} corrected tickets" + (
            f"; left out: {', '.join(parts)}" if parts else ""
        )


def gather_feedback(
    params: Params, since: datetime, root: Path = Path(), environ: Mapping[str, str] = os.environ
) -> Gathered:
    """Tickets that people have labelled since a moment, and that had been answered otherwise.

    Which label of such a ticket counts is as in a retraining (`tickets.relabel`), be it given before. The
    text comes from data/tickets, else from the event database where `events.store_text` keeps it.

    Args:
        params: `events`, `prepare` and `hotfix` are read.
        since: when a label of the ticket was given, at the earliest.
        root: the repository.
        environ: where the URL of the database may be.

    Raises:
        TicketSentimentError: there is no event database, nothing was corrected, or too much.
        EventStoreUnavailable: the database does not answer.
    """
    with reading_events(event_url(params.events, environ)) as connection:
        labelled = sa.select(feedback.c.ticket_id).where(feedback.c.at >= since)
        rows = connection.execute(labels_where(feedback.c.ticket_id.in_(labelled))).all()
        said = pd.DataFrame([tuple(row) for row in rows], columns=FEEDBACK_SCHEMA.names, dtype=object)
        ids = sorted(set(said["ticket_id"]))
        texts = {ticket: clean(text) for ticket, (text, _) in kept_texts(connection, ids, root).items()}
        again = rewritten(connection, ids)
    said["at"] = pd.to_datetime(said["at"], utc=True)
    tickets, _ = relabel(_exported(ids, root), said, params.prepare)
    answered = said.sort_values("at").drop_duplicates("ticket_id", keep="last").set_index("ticket_id")
    served = tickets["ticket_id"].map(answered["served_label"])
    labelled = tickets["label"].notna()
    confirmed = tickets["label"] == served
    judged = tickets[labelled].assign(text=tickets["ticket_id"].map(texts))
    with_text = judged[~judged["ticket_id"].isin(again) & judged["text"].notna()]
    # Of all that was said of a text: an answer that nine confirm is not corrected by the tenth.
    alike = agreeing(with_text, with_text["text"].map(key_of))
    wrong = served.notna() & ~confirmed
    corrected, known, agreed = (rows[wrong[rows.index]] for rows in (judged, with_text, alike))
    single = corrected[~corrected["ticket_id"].isin(again)]
    found = Gathered(
        tidy(agreed),
        confirmed=int(confirmed.sum()),
        unanswered=int(served.isna().sum()),
        too_early=int((served.notna() & ~labelled).sum()),
        without_text=len(single) - len(known),
        contradicting=len(known) - len(agreed),
        rewritten=len(corrected) - len(single),
    )
    count, most = len(found.corrections), params.hotfix.max_rows
    if not count:
        raise TicketSentimentError(
            f"no ticket was corrected since {since:%Y-%m-%d} ({found.line()}): choose an earlier date, or "
            "set events.store_text so that texts of tickets that are not collected yet are kept"
        )
    if count > most:
        raise TicketSentimentError(
            f"{count:,} tickets were corrected since {since:%Y-%m-%d}, more than hotfix.max_rows ({most:,}): "
            "choose a later date, or run `make retrain`"
        )
    return found


def _exported(ids: Sequence[str], root: Path) -> pd.DataFrame:
    """What data/tickets says of these tickets; of one that is not there, an id that every label is about.

    Of one that two months hold the later one counts, as for its text.
    """
    columns = ["ticket_id", "created_at", "label", "label_source"]
    there = [
        pd.read_parquet(path, columns=columns, filters=[("ticket_id", "in", list(ids))])
        for path in month_files(root / TICKETS).values()
        if ids
    ]
    latest = pd.concat(there).drop_duplicates("ticket_id", keep="last") if there else None
    known = {} if latest is None else latest.set_index("ticket_id").to_dict("index")
    blank = {"created_at": LONG_AGO, "label": None, "label_source": None}
    rows = [{"ticket_id": id_, **blank, **known.get(id_, {})} for id_ in ids]
    return pd.DataFrame(rows, columns=columns).astype({"label": object, "label_source": object})


def keep(corrections: pd.DataFrame, root: Path = Path()) -> dict[str, Any]:
    """Write corrected tickets to data/hotfix, named by what they say, and version them with DVC.

    Returns:
        DVC's entry of the file: hash and size.

    Raises:
        Unavailable: DVC's remote did not take it.
        TicketSentimentError: DVC cannot do its part.
    """
    path = FOLDER / f"{content_digest(corrections)[:16]}.parquet"
    pointer = Path(f"{path}.dvc")
    if not (root / path).is_file():
        write_corrections(root / path, corrections)
    added = run_dvc(root, "--wait-for-lock", "add", str(path))
    require(added, "dvc add failed", "correct that and run again")
    if has_remote(root):
        remedy = "check the remote (`dvc remote list`) and its credentials and run again"
        pushed = run_dvc(root, "--wait-for-lock", "push", str(pointer))
        require(pushed, "dvc push failed", remedy, Unavailable)
    return yaml.safe_load((root / pointer).read_text(encoding="utf-8"))["outs"][0]


@dataclass(frozen=True)
class Remembered:
    """What became of corrections as labels for the next retraining."""

    new: int
    known: int
    without_ticket: int
    unknown_ids: int = 0  # that were given, and that no ticket has

    def line(self) -> str:
        """For the terminal."""
        lost = (
            f"; {self.without_ticket:,} have no known ticket and reach this hotfix only: give their ticket_id"
            if self.without_ticket
            else ""
        )
        changed = (
            f". No ticket of that text has the ticket_id of {self.unknown_ids:,} corrections: a spreadsheet "
            "may have changed it, such as 007 to 7; only their texts were looked for"
            if self.unknown_ids
            else ""
        )
        stored = f"{self.new:,} labels stored, {self.known:,} were there before"
        return f"for the next retraining: {stored}{lost}{changed}"


def remember(
    corrections: pd.DataFrame,
    params: Params,
    root: Path = Path(),
    now: datetime | None = None,
    environ: Mapping[str, str] = os.environ,
) -> Remembered:
    """Store corrections as feedback, so that the next `collect` brings them into training.

    A correction without the id of a ticket is that of the collected tickets with its text. Stored twice it
    counts once.

    Args:
        corrections: `corrections.COLUMNS`.
        params: `events` and `hotfix` are read.
        root: the repository.
        now: when they are given.
        environ: where the URL of the database may be.

    Raises:
        EventStoreUnavailable: the database does not answer; run again.
    """
    now = now or datetime.now(UTC)
    try:
        url = event_url(params.events, environ)
    except NoEventDatabase:
        url = params.events.url
    store = EventStore(url, queue=1, store_text=False)
    try:
        labels, without, unknown = _labels(corrections, url, root)
        source = params.hotfix.source
        events = [
            Feedback(now, id_, source, event_id(Filled("", id_, label, None, "hotfix"), source), label)
            for id_, label in labels
        ]
        for event in events:
            event.check(now)
        results = store.feedback_together(events)
        # Said before, taken back since, and said again: an event of its own, or the other label would count.
        again = [
            event._replace(event_id=event_id(Filled("", event.ticket_id, event.label, now, "hotfix"), source))
            for event, result in zip(events, results, strict=True)
            if not result.created and result.label != event.label
        ]
        store.feedback_together(again)
    finally:
        store.close(1)
    new = sum(result.created for result in results) + len(again)
    return Remembered(new, len(results) - new, without, unknown)


def _labels(corrections: pd.DataFrame, url: str, root: Path) -> tuple[list[tuple[str, str]], int, int]:
    """Ticket id and label, of each known ticket; how many corrections have none, and an id nobody knows.

    All tickets with a corrected text get its label, also where the correction names one of them: a text with
    two labels is learnt by nobody.
    """
    named = corrections[corrections["ticket_id"].notna()]
    ids = named["ticket_id"].tolist()
    with reading_events(url) as connection:
        unknown = unknown_tickets(connection, ids, root)
        texts = kept_texts(connection, ids, root)
    alike = {
        id_: id_ not in texts or same_ticket(text, texts[id_][0])
        for id_, text in zip(ids, named["text"], strict=True)
    }
    known = named[~named["ticket_id"].isin(unknown) & named["ticket_id"].map(alike).astype(bool)]
    found = dict(zip(known["ticket_id"], known["label"], strict=True))
    by_key = dict(zip(corrections["text"].map(key_of), corrections["label"], strict=True))
    matched: set[str] = set()
    by_text: dict[str, str] = {}  # of an id that two months hold the later one counts
    for path in month_files(root / TICKETS).values() if by_key else ():
        tickets = read_table(path, columns=["ticket_id", "text"]).to_pandas()
        keys = tickets["text"].map(key_of)
        same = keys[keys.isin(by_key)]
        matched |= set(same)
        whose = tickets.loc[same.index, "ticket_id"]
        by_text |= {id_: by_key[key] for id_, key in zip(whose, same, strict=True)}
    found = by_text | found
    without = set(corrections.drop(known.index)["text"].map(key_of)) - matched
    return sorted(found.items()), len(without), len(named) - len(known)

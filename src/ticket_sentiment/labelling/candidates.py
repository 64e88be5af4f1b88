"""Tickets that were answered lately: how sure the model was, whether the arms agree, what else is known."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import sqlalchemy as sa

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.access import chunks
from ticket_sentiment.events.schema import feedback, predictions
from ticket_sentiment.gates.evidence import VALIDATION, Missing, read_part
from ticket_sentiment.gates.evidence_types import Validation
from ticket_sentiment.labels import LABELS
from ticket_sentiment.tickets.corrections import key_of
from ticket_sentiment.tickets.privacy import clean
from ticket_sentiment.tickets.schema import FEEDBACK, TICKETS, month_files, read_feedback

PROBABILITIES = tuple(f"p_{label}" for label in LABELS)


class Sources(NamedTuple):
    """Of labels: whose are no draw of the tickets, and whose are.

    Attributes:
        corrections: `hotfix.source`: people chose those tickets because the champion was wrong there, and its
            label does not count as one.
        audit: `rollout.audit_source`: a ticket of the audit is open until it has a label of this one.
    """

    corrections: str
    audit: str


def answered_since(connection: sa.Connection, since: datetime, sources: Sources) -> pd.DataFrame:
    """The last answer to each ticket that somebody saw, from `since` on.

    Args:
        connection: to the event database.
        since: when it was answered, at the earliest.
        sources: of labels.

    Returns:
        ticket_id; at; margin (distance between the two highest probabilities, 0 to 1); disagree: whether the
        other arm scored the same request unseen and said something else; stored: whether its masked text is
        in the database; labelled: whether a person's label is there; judged: whether one of the audit is.
        In the order of the ids.
    """
    latest = (predictions.c.at.desc(), predictions.c.writer.desc(), predictions.c.sequence.desc())
    place = sa.func.row_number().over(partition_by=predictions.c.ticket_id, order_by=latest)
    answer = (
        sa.select(
            predictions.c.ticket_id,
            predictions.c.request_id,
            predictions.c.at,
            predictions.c.label,
            *(predictions.c[name] for name in PROBABILITIES),
            predictions.c.text.is_not(None).label("stored"),
            place.label("place"),
        )
        .where(
            predictions.c.at >= since, predictions.c.shadow.is_(False), predictions.c.ticket_id.is_not(None)
        )
        .subquery()
    )
    disagree = sa.exists().where(
        predictions.c.ticket_id == answer.c.ticket_id,
        predictions.c.request_id == answer.c.request_id,
        predictions.c.shadow.is_(True),
        predictions.c.label != answer.c.label,
    )
    of_ticket = sa.exists().where(feedback.c.ticket_id == answer.c.ticket_id)
    labelled = of_ticket.where(feedback.c.source != sources.corrections)
    judged = of_ticket.where(feedback.c.source == sources.audit)
    columns = [answer.c[name] for name in ("ticket_id", "at", *PROBABILITIES, "stored")]
    rows = connection.execute(
        sa.select(*columns, labelled, judged, disagree)
        .where(answer.c.place == 1)
        .order_by(answer.c.ticket_id)
    ).all()
    names = ["ticket_id", "at", *PROBABILITIES, "stored", "labelled", "judged", "disagree"]
    frame = pd.DataFrame([tuple(row) for row in rows], columns=names)
    rising = np.sort(frame[list(PROBABILITIES)].to_numpy(float), axis=1)
    frame["margin"] = rising[:, -1] - rising[:, -2]
    flags = dict.fromkeys(("disagree", "stored", "labelled", "judged"), bool)
    return frame[["ticket_id", "at", "margin", *flags]].astype(flags)


def stored_texts(connection: sa.Connection, ids: Sequence[str]) -> dict[str, tuple[str, str | None]]:
    """Masked text and channel of tickets whose text the event database keeps, the latest of each."""
    return {id_: texts[-1] for id_, texts in _stored(connection, ids).items()}


def rewritten(connection: sa.Connection, ids: Sequence[str]) -> set[str]:
    """Of these tickets, those answered with several texts: a customer wrote again under the same id.

    A label is of one of them; a rollout would hold it against the answer to another, or another would be
    learnt with it. Texts of which one is not kept are told apart by what is always recorded of them.
    """
    stored = _stored(connection, ids)
    found = {id_ for id_, texts in stored.items() if len({key_of(clean(text)) for text, _ in texts}) > 1}
    measured = (predictions.c.text_chars, predictions.c.capital_share, predictions.c.non_ascii_share)
    for chunk in chunks(ids):
        query = (
            sa.select(predictions.c.ticket_id)
            .where(predictions.c.ticket_id.in_(chunk))
            .group_by(predictions.c.ticket_id)
            .having(
                sa.func.count(predictions.c.text) < sa.func.count(),
                sa.or_(*(sa.func.count(sa.distinct(column)) > 1 for column in measured)),
            )
        )
        found |= set(connection.scalars(query))
    return found


def _stored(connection: sa.Connection, ids: Sequence[str]) -> dict[str, list[tuple[str, str | None]]]:
    """All kept texts of tickets, with their channels, in the order of the answers."""
    found: dict[str, list[tuple[str, str | None]]] = {}
    for chunk in chunks(ids):
        query = (
            sa.select(predictions.c.ticket_id, predictions.c.text, predictions.c.channel)
            .where(predictions.c.ticket_id.in_(chunk), predictions.c.text.is_not(None))
            .order_by(predictions.c.at, predictions.c.writer, predictions.c.sequence)
        )
        for row in connection.execute(query):
            found.setdefault(row.ticket_id, []).append((row.text, row.channel))
    return found


def collected_labels(root: Path, sources: Sources) -> pd.DataFrame:
    """Of each collected ticket, by its id, whether its label is known.

    Args:
        root: the repository.
        sources: of labels.

    Returns:
        labelled: by its export or a person; judged: by the audit.
    """
    tables = [
        pq.read_table(path, columns=["ticket_id", "label"]) for path in month_files(root / TICKETS).values()
    ]
    if not tables:
        return pd.DataFrame({"labelled": [], "judged": []}, dtype=bool)
    together, labels = pa.concat_tables(tables), read_feedback(root / FEEDBACK)
    ids, source = pd.Index(together["ticket_id"].to_pylist()), labels["source"]
    said = ids.isin(labels["ticket_id"][source != sources.corrections])
    judged = ids.isin(labels["ticket_id"][source == sources.audit])
    return pd.DataFrame({"labelled": together["label"].is_valid().to_numpy() | said, "judged": judged}, ids)


def doubted(connection: sa.Connection, root: Path) -> list[str]:
    """Ids of collected tickets whose label seems wrong (tickets/noise.py), the worst first.

    Without those that somebody has labelled once more since; none where no month was validated here.

    Raises:
        TicketSentimentError: the report of the validation cannot be read.
    """
    path = root / VALIDATION
    if not path.is_file():
        return []
    report = read_part(path, Validation, "The validation of the tickets")
    if isinstance(report, Missing):
        raise TicketSentimentError(f"{report.sentence.removesuffix('.')}: run `dvc repro -f -s validate`")
    ids = [suspect.ticket_id for suspect in report.label_noise.suspects]
    again = set(read_feedback(root / FEEDBACK)["ticket_id"])
    for chunk in chunks(ids):
        query = sa.select(feedback.c.ticket_id).where(feedback.c.ticket_id.in_(chunk)).distinct()
        again.update(connection.scalars(query))
    return [id_ for id_ in ids if id_ not in again]


def _collected(root: Path, ids: Sequence[str], columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of these tickets in data/tickets, the oldest month first."""
    wanted = pa.array(ids, pa.string())
    for path in month_files(root / TICKETS).values():
        table = pq.read_table(path, columns=["ticket_id", *columns])
        yield from table.filter(pc.is_in(table["ticket_id"], value_set=wanted)).to_pylist()


def collected_texts(root: Path, ids: Sequence[str]) -> dict[str, tuple[str, str]]:
    """Masked text and channel of tickets that are in data/tickets."""
    rows = _collected(root, ids, ("text", "channel"))
    return {row["ticket_id"]: (row["text"], row["channel"]) for row in rows}


def unknown_tickets(connection: sa.Connection, ids: Sequence[str], root: Path) -> set[str]:
    """Of these ids, those that no answer and no collected ticket has."""
    known = {row["ticket_id"] for row in _collected(root, ids, ())}
    for chunk in chunks([id_ for id_ in ids if id_ not in known]):
        query = sa.select(predictions.c.ticket_id).where(predictions.c.ticket_id.in_(chunk)).distinct()
        known.update(connection.scalars(query))
    return set(ids) - known


def kept_texts(
    connection: sa.Connection, ids: Sequence[str], root: Path
) -> dict[str, tuple[str, str | None]]:
    """Masked text and channel: from data/tickets, else as the event database keeps them."""
    texts: dict[str, tuple[str, str | None]] = dict(collected_texts(root, ids))
    return texts | stored_texts(connection, [id_ for id_ in ids if id_ not in texts])


def same_ticket(text: str, kept: str) -> bool:
    """Whether a text of a file can be a ticket's: they have half of their words in common, or more.

    A spreadsheet may cut a text or change its marks; sorting one column alone makes it another ticket's.

    Args:
        text: of the file, masked or not.
        kept: the ticket's, masked.
    """
    if not any(map(str.isalnum, text)):
        return True
    ours, theirs = (key_of(clean(one)) for one in (text, kept))
    if ours in theirs or theirs in ours:  # whole or cut, also in a language without blanks
        return True
    words, others = set(ours.split()), set(theirs.split())
    return 2 * len(words & others) >= min(len(words), len(others))


def first_seen(connection: sa.Connection, ids: Sequence[str], root: Path) -> dict[str, datetime]:
    """When these tickets were written, or, as long as they are not collected, answered first."""
    found: dict[str, datetime] = {}
    for chunk in chunks(ids):
        query = (
            sa.select(predictions.c.ticket_id, sa.func.min(predictions.c.at, type_=predictions.c.at.type))
            .where(predictions.c.ticket_id.in_(chunk))
            .group_by(predictions.c.ticket_id)
        )
        found.update(tuple(row) for row in connection.execute(query))
    found.update((row["ticket_id"], row["created_at"]) for row in _collected(root, ids, ("created_at",)))
    return found

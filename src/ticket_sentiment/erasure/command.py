"""`ticket-sentiment erase`: a customer, or a ticket, out of what this product keeps, and what that leaves."""

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ticket_sentiment.erasure import tables
from ticket_sentiment.erasure.events import (
    AWAY,
    answered_tickets,
    erase_events,
    others_answers,
    overwrite,
    refuse_during_rollout,
    their_texts,
)
from ticket_sentiment.erasure.note import Note
from ticket_sentiment.erasure.wanted import Wanted, spelled
from ticket_sentiment.errors import TicketSentimentError, Unavailable
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.feedback.database import NoEventDatabase, event_url
from ticket_sentiment.files import exclusive
from ticket_sentiment.params import Params
from ticket_sentiment.pipeline import RETRAIN_LOCK, RETRAINING
from ticket_sentiment.tickets.corrections import key_of
from ticket_sentiment.tickets.erased import mark_erasure
from ticket_sentiment.tickets.privacy import PSEUDONYM_KEY, pseudonym
from ticket_sentiment.tickets.schema import FEEDBACK_TABLE, TICKET_TABLE
from ticket_sentiment.tickets.sources import map_rows, read_raw
from ticket_sentiment.tickets.versions import MonthVersions

WORDS = {"predictions": "answer", "feedback": "label", "exposures": "exposure", "failures": "failure"}
LEFT = (
    "commit the .dvc files that changed; `make retrain` makes data/prepared and the reports without them",
    "versions whose reports, in git and MLflow, hold their words or the ids of their tickets",
    "hotfixes: refused until a version that was made after this is the champion",
    "the tables before this: `dvc gc --workspace --cloud`, here and in every other clone",
    "files elsewhere: label queues, corrections, batch answers, backups, the service's callers",
)


@dataclass(frozen=True)
class Erased:
    """What was erased, for the terminal.

    Attributes:
        found: false where there was nothing.
        counts: a line for each place.
        remarks: what a person should know.
    """

    found: bool
    counts: tuple[str, ...]
    remarks: tuple[str, ...]


def erase(
    params: Params,
    customers: Iterable[str],
    tickets: Iterable[str] = (),
    root: Path = Path(),
    environ: Mapping[str, str] = os.environ,
    without_events: bool = False,
) -> Erased:
    """Erase customers and tickets from the event database, data/tickets, data/feedback and data/hotfix.

    All is looked through before anything is deleted. What is to go is noted then (`note.Note`), so that an
    erasure that was killed anywhere is finished by the next one, whomever that is asked for.

    Args:
        params: `tickets` and `events` are read.
        customers: ids as the source and the callers of the service spell them.
        tickets: ids of further tickets, such as of customers without an id.
        root: the repository.
        environ: where the URL of the database may be.
        without_events: whether there may be no event database.

    Raises:
        TicketSentimentError: nobody is named, there is no event database, the source still holds them, a
            rollout is on, or a table is not as versioned.
        Unavailable: the database, the source or DVC's remote is away.
    """
    with exclusive(root / RETRAIN_LOCK, RETRAINING):
        killed = Note.read(root)
        wanted = Wanted.of(spelled(customers), tickets)
        if killed is not None:
            wanted |= killed.wanted
        if not wanted:
            raise TicketSentimentError("name whom or what to erase: --customer ID, --ticket ID")
        ledger = _ledger(params, environ, without_events)
        try:
            return _erase(params, wanted, root, ledger, finishing=killed is not None)
        finally:
            if ledger is not None:
                ledger.close()


def _ledger(params: Params, environ: Mapping[str, str], without_events: bool) -> Ledger | None:
    try:
        return Ledger(event_url(params.events, environ))
    except NoEventDatabase as error:
        if without_events:
            return None
        raise TicketSentimentError(f"{error}; where there is none, say --without-events") from None


def _erase(params: Params, wanted: Wanted, root: Path, ledger: Ledger | None, finishing: bool) -> Erased:
    tickets, labels = (MonthVersions(root, kind, erasing=True) for kind in (TICKET_TABLE, FEEDBACK_TABLE))
    if ledger is not None:
        with ledger.database.counting(AWAY) as connection:
            if not finishing:  # what was begun is finished as far as it goes
                refuse_during_rollout(connection)
            wanted = wanted.knowing(answered_tickets(connection, wanted))
    months = tables.find(tickets, wanted)
    wanted = wanted.knowing(id_ for month in months for id_ in month.rows["ticket_id"][month.theirs])
    _require_gone_from_source(params, wanted, root)
    texts, others = tables.texts(months), tables.others(root, wanted)
    if ledger is not None:
        with ledger.database.counting(AWAY) as connection:
            others += others_answers(connection, wanted)
            texts |= set(map(key_of, their_texts(connection, wanted)))
    said = tables.find(labels, wanted)
    corrections = tables.find_corrections(root, wanted, texts)
    note = Note.begin(wanted, (TICKET_TABLE, FEEDBACK_TABLE), root)
    if months or said or corrections:  # before the first goes, so that one that is killed has its mark
        mark_erasure(root)
    tables.remove_copies(root, corrections)
    tables.take_out(labels, said, note.opened(FEEDBACK_TABLE))
    tables.take_out(tickets, months, note.opened(TICKET_TABLE))
    Note.tables_done(root)
    counts = erase_events(ledger, wanted) if ledger is not None else {}
    Note.end(root)
    counted = (
        tables.line(TICKET_TABLE, months),
        tables.line(FEEDBACK_TABLE, said),
        f"data/hotfix: {', '.join(one.line() for one in corrections) or 'none'}",
        f"event database: {', '.join(map(_counted, counts.items())) or 'there is none'}",
    )
    remarks = []
    if others:
        remarks.append(
            f"{others:,} rows of other customers have the id of a ticket of theirs, and stay: where that is "
            "the same customer in another spelling, name it by --customer, or the ticket by --ticket"
        )
    if ledger is not None and not overwrite(ledger):
        remarks.append("the database's log is being read and may still hold what was deleted: run this again")
    found = finishing or months or said or corrections or sum(counts.values())
    return Erased(bool(found), counted, tuple(remarks))


def _counted(pair: tuple[str, int]) -> str:
    name, count = pair
    return f"{count:,} {WORDS[name]}{'' if count == 1 else 's'}"


def _require_gone_from_source(params: Params, wanted: Wanted, root: Path) -> None:
    """Refuse while the source holds them; where it cannot be read, a person is told to look."""
    try:
        rows = map_rows(read_raw(params.tickets, root), params.tickets)
    except Unavailable:
        raise
    except TicketSentimentError as error:
        print(f"the source was not looked through ({error}): see that it holds them no more")
        return
    theirs = rows[
        wanted.rows(rows.assign(customer_id=rows["customer_id"].map(pseudonym, na_action="ignore")))
    ]
    if not theirs.empty:
        first = theirs.iloc[0]
        raise TicketSentimentError(
            f"{first['file']} row {first['row']}: the source still holds {len(theirs):,} tickets of theirs, "
            "which the next collection would bring back: take them out there, and run this again (or name "
            "another source in params.yaml, where it is one that does not change)"
        )


def main(params: Params, customers: Iterable[str], tickets: Iterable[str], without_events: bool) -> None:
    """Erase, and say what went and what only a person can do. The customers' ids are not printed."""
    erased = erase(params, customers, tickets, without_events=without_events)
    if not erased.found:
        hint = (
            "nothing of theirs was found; customers are known by pseudonyms: is the id spelled as in the "
            f"source and by the service's callers, and {PSEUDONYM_KEY} the key of that time?"
        )
        print("\n".join([hint, *erased.remarks]))
        return
    print("\n".join(["erased from", *(f"  {line}" for line in (*erased.counts, *erased.remarks))]))
    print("\n".join(["left to you (docs/security.md, Erasing a customer)", *(f"  {line}" for line in LEFT)]))

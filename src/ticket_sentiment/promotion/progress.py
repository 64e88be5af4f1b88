"""What is known of the last rollout: the ledger's entries and looks, and what the evidence says now."""

from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, Look
from ticket_sentiment.events.evidence import read_evidence
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.controller import watched
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.guardrails import GUARDRAILS, Name, State
from ticket_sentiment.rollout.policy import Decision, decide


@dataclass(frozen=True)
class Seen:
    """One guardrail as one look saw it; challenger minus champion, as shares. None: not known then."""

    at: datetime
    estimate: float | None
    low: float | None
    high: float | None
    state: State
    sentence: str


@dataclass(frozen=True)
class Progress:
    """The last rollout, which may be on.

    Attributes:
        now: when this was read.
        entries: of the rollout, in order; empty where none was ever on, or the ledger is unknown.
        after: the ledger's entries since it ended, in order; empty while it is on. Without a rollout, all.
        looks: of the rollout, in order.
        evidence: now; of a rollout that ended, of the tickets until its end. None: not known.
        decision: what the evidence says; of a rollout that ended, what counts is the last look.
        trouble: why something is not known.
        reached: whether the ledger could be read.
    """

    now: datetime
    entries: tuple[Entry, ...] = ()
    after: tuple[Entry, ...] = ()
    looks: tuple[Look, ...] = ()
    evidence: Evidence | None = None
    decision: Decision | None = None
    trouble: str | None = None
    reached: bool = True

    @property
    def current(self) -> Entry | None:
        """The entry in force; None where none was ever made."""
        return next(reversed((*self.entries, *self.after)), None)

    @property
    def on(self) -> bool:
        """Whether the rollout goes on."""
        return bool(self.entries) and not self.after

    @property
    def champion(self) -> str:
        """Version that the rollout began with."""
        return _version(self.entries, "champion_version")

    @property
    def challenger(self) -> str:
        """Version that was, or is, on trial."""
        return _version(self.entries, "challenger_version")

    @property
    def hotfix(self) -> bool:
        """Whether it is the rollout of a hotfix."""
        change = self.entries[-1].change if self.entries else None
        return change is not None and change.hotfix

    @property
    def step(self) -> int:
        """That it is in, or was in at its end."""
        change = self.entries[-1].change if self.entries else None
        return change.step if change else 0

    def seen(self, name: Name) -> tuple[Seen, ...]:
        """What every look saw of a guardrail, in order; while it is on, what is seen now comes last."""
        keys = ("estimate", "low", "high", "state", "sentence")
        found = [
            Seen(look.at, *(item[key] for key in keys))
            for look in self.looks
            for item in look.guardrails
            if item["name"] == name
        ]
        if self.decision and (self.on or not found):
            rail = self.decision.guardrails[GUARDRAILS.index(name)]
            found.append(
                Seen(
                    self.after[0].state.since if self.after else self.now,
                    *(getattr(rail, key) for key in keys),
                )
            )
        return tuple(found)


def read_progress(ledger: Ledger, params: Params, now: datetime) -> Progress:
    """What is known. It never raises: what cannot be read is missing, and `trouble` says why.

    Args:
        ledger: of the event database.
        params: of params.yaml.
        now: with a time zone.
    """
    try:
        history = ledger.history()[::-1]
        began = next((entry.change.rollout for entry in reversed(history) if entry.change and entry.on), None)
        if began is None:
            return Progress(now, after=history)
        entries = tuple(entry for entry in history if entry.change and entry.change.rollout == began)
        after = tuple(entry for entry in history if entry.state.epoch > entries[-1].state.epoch)
        found = Progress(now, entries, after, ledger.looks(began))
    except TicketSentimentError as error:
        return Progress(now, trouble=str(error), reached=False)
    try:
        evidence = _evidence(ledger, params, found, began)
        return replace(found, evidence=evidence, decision=decide(evidence, params.rollout))
    except TicketSentimentError as error:
        return replace(found, trouble=str(error))


def present(params: Params) -> Progress:
    """What the event database that params.yaml names says now.

    Raises:
        TicketSentimentError: it cannot be opened.
    """
    with closing(Ledger.open(params.events)) as ledger:
        try:
            now = ledger.now()  # by which labels are received
        except TicketSentimentError:
            now = datetime.now(UTC)  # what is not known is said then
        return read_progress(ledger, params, now)


def _evidence(ledger: Ledger, params: Params, found: Progress, began: int) -> Evidence:
    """Now, or as of the end.

    A page is no look: what was not heard since the last look is not missing until the next one says so.
    """
    at = found.after[0].state.since if found.after else found.now
    if found.now - at > timedelta(days=params.events.keep_days):
        raise TicketSentimentError(
            f"the rollout ended {at:%Y-%m-%d}: its events are older than events.keep_days and deleted"
        )
    evidence = read_evidence(ledger, params.rollout, params.serve.objective_ms, at, began)
    evidence = watched(evidence, found.looks, params.rollout.max_look_gap_hours)
    if evidence.silent is None:
        return replace(evidence, missed_looks=max(0, evidence.missed_looks - 1))
    known = found.looks and found.looks[-1].silent
    return replace(evidence, silent=evidence.silent if known else None)


def _version(entries: Sequence[Entry], key: str) -> str:
    change = entries[-1].change if entries else None
    return getattr(change, key) if change else "?"

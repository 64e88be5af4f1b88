"""One look at a rollout: read the evidence, decide, keep the look, carry the decision out.

What cannot be read never promotes: such a look waits, and after `rollout.missing_looks` in a row the
challenger is rolled back. The decision is carried out at the epoch that the evidence was read at, so a person
who moved something meanwhile was first, and the flow yields.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, LedgerConflict, Look
from ticket_sentiment.events.evidence import read_evidence, watched_time
from ticket_sentiment.events.leases import Lease
from ticket_sentiment.events.ledger import Ledger, missed_in_a_row
from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By
from ticket_sentiment.rollout.evidence import Evidence
from ticket_sentiment.rollout.policy import Decision, decide

LEASE = "rollout"
LEASE_S = 60.0  # after a kill nobody else looks for so long; one who takes longer is told off by his token


@dataclass(frozen=True)
class Outcome:
    """What a look came to.

    Attributes:
        entry: of the ledger, in force after it; None where none was ever set.
        action: advance, rollback, wait, stop, or none (no rollout is on).
        reasons: sentences.
        next: what would have to happen next; empty where nothing is on.
        yielded: who was first, where the decision was not carried out for that.
    """

    entry: Entry | None
    action: str
    reasons: tuple[str, ...]
    next: str = ""
    yielded: str | None = None

    def lines(self) -> list[str]:
        """For a person."""
        if self.yielded:
            return [f"Decided {self.action}, but yields to {self.yielded}.", *self.reasons]
        return [f"Decided: {self.action}.", *self.reasons, *([self.next] if self.next else [])]


def look(ledger: Ledger, params: Params, lease_s: float = LEASE_S, wait_s: float = LEASE_S) -> Outcome:
    """Look at the rollout that is on, once.

    Args:
        ledger: of the event database.
        params: of params.yaml.
        lease_s: for which nobody else looks after a kill.
        wait_s: how long to wait for another who looks.

    Raises:
        LeaseHeld: another looks, or one that did was killed less than `lease_s` ago.
        LeaseLost: this took so long that another looked meanwhile; nothing was changed.
        EventStoreUnavailable: the event database does not answer; nothing was changed.
        TicketSentimentError: the decision cannot be carried out or kept.
    """
    with ledger.lease(LEASE, moves.ROLLOUT, lease_s, wait_s) as lease:
        before = ledger.current()
        if before is None or before.change is None or before.change.rollout is None:
            return Outcome(before, "none", ("No rollout is on.",))
        decision, kept = _decide(ledger, params, before, ledger.looks(before.change.rollout))
        current = ledger.current()
        if current is None or current.state.epoch != before.state.epoch:
            return _yielding(current, decision)
        ledger.look(kept)
        try:
            entry = _carry_out(ledger, before, decision, lease)
        except LedgerConflict as conflict:
            return _yielding(conflict.winner, decision)
    return Outcome(entry, decision.action, decision.reasons, decision.next)


def main(params: Params) -> Outcome:
    """Look at the rollout of the event database that params.yaml names; raises as `look`."""
    ledger = Ledger.open(params.events)
    try:
        return look(ledger, params)
    finally:
        ledger.close()


def _yielding(entry: Entry | None, decision: Decision) -> Outcome:
    told = entry.told if entry else "nobody"
    return Outcome(entry, decision.action, decision.reasons, decision.next, told)


def _decide(ledger: Ledger, params: Params, before: Entry, looks: Sequence[Look]) -> tuple[Decision, Look]:
    """The decision, and the look as it is kept."""
    settings, epoch, now = params.rollout, before.state.epoch, ledger.now()
    number = 1 + sum(1 for item in looks if item.epoch == epoch)
    try:
        evidence = read_evidence(ledger, settings, params.serve.objective_ms, now)
        evidence = watched(evidence, looks, settings.max_look_gap_hours)
        decision = decide(evidence, settings)
        kept = _kept(decision, number, now, evidence.fresh, evidence.silent is not None)
        kept.guardrails_json()  # what cannot be kept must not be carried out
        return decision, kept
    except (
        Exception
    ) as error:  # whatever is wrong with the evidence, it must not keep a challenger in service
        if isinstance(error, EventStoreUnavailable):
            ledger.now()  # raises where the database is away; else one of the sums took too long
        why = str(error) if isinstance(error, TicketSentimentError) else type(error).__name__
    decision = _blind(epoch, looks, settings.missing_looks, why)
    return decision, _kept(decision, number, now, fresh=False)


def _kept(decision: Decision, number: int, at: datetime, fresh: bool, silent: bool = False) -> Look:
    rails = tuple(asdict(rail) for rail in decision.guardrails)
    return Look(decision.epoch, number, at, decision.action, decision.reasons, rails, fresh, silent)


def _blind(epoch: int, looks: Sequence[Look], limit: int, why: str) -> Decision:
    """Without evidence: wait, or roll back when there was none at so many looks in a row."""
    missed = 1 + missed_in_a_row(reversed(looks))
    reason = f"The evidence cannot be read ({missed} looks in a row without news, limit {limit}): {why}"
    ahead = "See to the event database and to what is named here."
    return Decision("rollback" if missed >= limit else "wait", 0.0, (reason,), ahead, epoch, (), ())


def watched(evidence: Evidence, looks: Sequence[Look], max_gap_hours: float) -> Evidence:
    """With the time of the step no later than it was watched for.

    A clock that jumps forward would make a step look as long as it must be.
    """
    seen = [item.at for item in looks if item.at >= evidence.step_since]
    moments: list[datetime] = [evidence.step_since, *seen, evidence.at]
    total = watched_time(moments, max_gap_hours)
    return replace(evidence, at=min(evidence.at, evidence.step_since + total))


def _carry_out(ledger: Ledger, before: Entry, decision: Decision, lease: Lease) -> Entry:
    by = By(moves.ROLLOUT, " ".join(decision.reasons))
    if decision.action == "rollback":
        return moves.rollback(ledger, before, by, lease=lease)
    if decision.action == "stop":
        return moves.stop(ledger, before, by, lease)
    if decision.action == "wait":
        return before
    if decision.share == 1:
        return moves.promote(ledger, before, by, lease)
    return moves.advance(ledger, before, decision.share, by, lease)

"""The ledger is the truth: MLflow's aliases and the folder of releases follow it, but a person decides.

Who moves the alias `champion` or `challenger` in MLflow makes a decision; it is written to the ledger,
whatever a flow has decided meanwhile. Versions that ask for a rollout (`registry.register`) get it here. All
of it may be killed between any two writes and run again.
"""

from dataclasses import dataclass
from pathlib import Path

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.aliases import answering
from ticket_sentiment.promotion.attempt import Attempt
from ticket_sentiment.registry.store import Store, connect

LEASE = "reconcile"
LEASE_S = 60.0  # after a kill nobody else writes aliases for so long; renewed before each write
TRIES = 5  # against others who change the ledger meanwhile


@dataclass(frozen=True)
class Report:
    """What a reconciliation found.

    Attributes:
        entry: of the ledger, in force at its end; None where there is no champion yet.
        done: sentences, of what it changed.
        refused: sentences, of what a person must see to.
    """

    entry: Entry | None
    done: tuple[str, ...]
    refused: tuple[str, ...]

    def lines(self) -> list[str]:
        """All of them, for a person."""
        return [*self.done, *(f"refused: {line}" for line in self.refused)]


def reconcile(
    ledger: Ledger,
    store: Store,
    params: Params,
    root: Path = Path(),
    lease_s: float = LEASE_S,
    wait_s: float = LEASE_S,
) -> Report:
    """Write people's decisions to the ledger, begin rollouts asked for, make aliases and releases follow.

    Args:
        ledger: of the event database.
        store: of MLflow.
        params: of params.yaml.
        root: the repository.
        lease_s: for which nobody else reconciles after a kill.
        wait_s: how long to wait for another who reconciles.

    Raises:
        LeaseHeld: another reconciles, or one that did was killed less than `lease_s` ago.
        MlflowUnavailable: MLflow does not answer; what was done before holds.
        EventStoreUnavailable: the event database does not answer.
        TicketSentimentError: others go on changing the ledger meanwhile.
    """
    yielded: list[str] = []
    with (
        answering("the aliases may not be what the ledger says"),
        ledger.lease(LEASE, moves.RECONCILE, lease_s, wait_s) as lease,
    ):
        for _ in range(TRIES):
            attempt = Attempt(ledger, store, params, root, lease)
            try:
                attempt.run()
            except LedgerConflict as conflict:
                told = conflict.winner.told if conflict.winner else "nobody"
                yielded += [*attempt.done, f"Another was first ({told}): looked again."]
                continue
            return Report(attempt.entry, (*yielded, *attempt.done), tuple(attempt.refused))
    raise TicketSentimentError(
        f"others changed the ledger {TRIES} times meanwhile: run the reconcile flow again"
    )


def main(params: Params, root: Path = Path()) -> Report:
    """Reconcile the stores that params.yaml names; raises as `reconcile`."""
    ledger = Ledger.open(params.events)
    try:
        return reconcile(ledger, connect(params, root), params, root)
    finally:
        ledger.close()

"""What child processes do with the ledger, in tests. Importable in a new process."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By, Model

KINDS = ("promoter", "advancer", "hotfix", "rollback", "stopper")


def processes(count: int) -> ProcessPoolExecutor:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.promotion.racers"])
    return ProcessPoolExecutor(count, mp_context=context)


def move(ledger: Ledger, before: Entry, number: int) -> Entry:
    """One move of the kind that a number stands for."""
    kind = KINDS[number % len(KINDS)]
    by = By(f"{kind} {number}", "To be first.")
    if kind == "promoter":
        return moves.promote(ledger, before, by)
    if kind == "advancer":
        return moves.advance(ledger, before, 0.25, by)
    if kind == "rollback":
        return moves.rollback(ledger, before, by)
    if kind == "stopper":
        return moves.stop(ledger, before, by)
    name = 1000 * before.state.epoch + number
    return moves.start(ledger, before, Model(str(name), f"{name:064x}", hotfix=True), by)


def move_first(url: str, number: int) -> str | int:
    """Moves on from epoch 2; its own number when it won, else who did, as the error says it."""
    ledger = Ledger(url)
    try:
        before = next(entry for entry in ledger.history() if entry.state.epoch == 2)
        move(ledger, before, number)
        return number
    except LedgerConflict as conflict:
        assert conflict.winner is not None and conflict.winner.told in str(conflict)
        return conflict.winner.told
    finally:
        ledger.close()


def move_often(url: str, number: int) -> int:
    """Starts and ends rollouts until the ledger is at epoch 40, against others; how often it was first."""
    ledger, won = Ledger(url), 0
    while True:
        before = ledger.current()
        assert before is not None
        if before.state.epoch >= 40:
            break
        try:
            move(ledger, before, number if before.on else 2 + len(KINDS) * (1 + number))
            won += 1
        except LedgerConflict as conflict:
            assert conflict.winner is not None and conflict.winner.state.epoch > before.state.epoch
    ledger.close()
    return won

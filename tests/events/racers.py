"""What child processes do with the ledger, in tests. Importable in a new process."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from tests.events.events import change, state
from ticket_sentiment.events.changes import LedgerConflict
from ticket_sentiment.events.leases import LeaseHeld
from ticket_sentiment.events.ledger import Ledger

ROOT = Path(__file__).parents[2]


def processes(count: int) -> ProcessPoolExecutor:
    """A pool for the functions below, whose imports are done once: twenty times they take a minute."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["tests.events.racers"])
    return ProcessPoolExecutor(count, mp_context=context)


def child(name: str, *arguments: str) -> subprocess.Popen[str]:
    """A process that runs one of them, and whose output can be read."""
    command = [sys.executable, "-m", "tests.events.racers", name, *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def change_first(url: str, number: int) -> str | int:
    """Tries to end the rollout of epoch 1; who won, as the error says it, or its own number."""
    ledger = Ledger(url)
    try:
        ledger.change(state(2, None), change("stop", actor=f"racer {number}", rollout=None), 1)
        return number
    except LedgerConflict as conflict:
        return conflict.winner.told
    finally:
        ledger.close()


def change_often(url: str, number: int) -> int:
    """Changes the share until the ledger is at epoch 25, against others; how often it came first."""
    ledger, won = Ledger(url), 0
    while (current := ledger.current()).state.epoch < 25:
        epoch = current.state.epoch
        try:
            made = change("advance", rollout=1, actor=f"racer {number}", reason=f"At epoch {epoch}.")
            ledger.change(state(epoch + 1, 0.5), made, epoch)
            won += 1
        except LedgerConflict as conflict:
            assert conflict.winner.state.epoch > epoch
    ledger.close()
    return won


def hold(url: str, number: int) -> int | None:
    """Tries once to get the lease, and keeps it; the token, or None."""
    ledger = Ledger(url)
    try:
        return ledger.lease("rollout", f"racer {number}", 600).token
    except LeaseHeld:
        return None
    finally:
        ledger.close()


def hold_for_ever(url: str, seconds: str) -> None:
    """Gets the lease, says so, and does nothing more."""
    Ledger(url).lease("rollout", "the one that is killed", float(seconds))
    print("held", flush=True)
    time.sleep(600)


def die_between_writes(url: str, _: str) -> None:
    """Is killed after the state is written and before the change is."""
    ledger = Ledger(url)

    def kill(connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO rollout_changes"):
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(ledger.database.engine, "before_cursor_execute", kill)
    ledger.change(replace(state(2, 0.5), salt="first"), change("advance", rollout=1), 1)


def advance_for_ever(url: str, _: str) -> None:
    """Prints each epoch once it is in force."""
    ledger = Ledger(url)
    while True:
        epoch = ledger.current().state.epoch + 1
        ledger.change(state(epoch, 0.5), change("advance", rollout=1), epoch - 1)
        print(epoch, flush=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])

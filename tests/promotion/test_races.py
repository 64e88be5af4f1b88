"""Retrainings, hotfixes, promoters, looks and rollbacks at once, with a real MLflow store."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from itertools import pairwise
from pathlib import Path

from tests.promotion.loop import Loop
from tests.support.project import Project
from ticket_sentiment.events.changes import LedgerConflict
from ticket_sentiment.events.leases import LeaseHeld
from ticket_sentiment.params import load_params
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.controller import look
from ticket_sentiment.promotion.moves import By, Model
from ticket_sentiment.promotion.rollback import roll_back

KINDS = ("promoter", "hotfix", "rollback", "reconcile", "look")


def act(root: Path, number: int) -> str:
    """What became of one process's try; it is decided on epoch 2, or on what it finds."""
    kind = KINDS[number % len(KINDS)]
    loop = Loop(Project(root, load_params(root / "params.yaml")))
    # A person's: to one who comes late a rollback that another person made says that it is done already.
    actor = f"{moves.COMMAND_LINE} ({number})" if kind == "rollback" else f"{kind} {number}"
    by = By(actor, "To be first.")
    try:
        decided = next(entry for entry in loop.ledger.history() if entry.state.epoch == 2)
        if kind == "promoter":
            moves.promote(loop.ledger, decided, by)
        elif kind == "hotfix":
            moves.start(loop.ledger, decided, Model("3", loop.digest(3), hotfix=True), by)
        elif kind == "rollback":
            roll_back(loop.ledger, loop.params, by, root=root)
        elif kind == "reconcile":
            loop.reconcile()
        else:
            look(loop.ledger, loop.params)
        return "done"
    except LedgerConflict as conflict:
        return f"was told: {conflict.winner.told if conflict.winner else None}"
    except LeaseHeld as held:
        return f"was told: {held.holder}"
    finally:
        loop.close()


def test_twenty_at_once_leave_one_history_that_mlflow_then_agrees_with(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.register(3, decision="review")
    context = multiprocessing.get_context("forkserver")
    # What MLflow imports when it opens a store, too: twenty times it would take longer than what is tested.
    lazy = [f"mlflow.store.{part}.sqlalchemy_store" for part in ("tracking", "model_registry")]
    context.set_forkserver_preload(["tests.promotion.test_races", *lazy, "alembic"])
    with ProcessPoolExecutor(20, mp_context=context) as pool:
        found = list(pool.map(act, [loop.root] * 20, range(20)))
    by_kind = {kind: found[n :: len(KINDS)] for n, kind in enumerate(KINDS)}
    assert set(by_kind["reconcile"]) == {"done"}  # they wait for each other
    decided = by_kind["promoter"] + by_kind["hotfix"]
    told = {f"was told: {entry.told}" for entry in loop.ledger.history()}
    assert decided.count("done") <= 1 and set(decided) - {"done"} <= told
    history = loop.ledger.history()
    assert [entry.state.epoch for entry in history] == list(range(len(history), 0, -1))
    assert sum(e.change.action == "rollback" for e in history if e.change) <= 1
    for later, earlier in pairwise(history):
        assert later.state.since >= earlier.state.since
    loop.reconcile()
    loop.assert_agrees()
    assert not any("person" in told for told in loop.told)

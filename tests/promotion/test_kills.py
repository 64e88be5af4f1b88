"""Killed between any two writes and run again: the same end as if undisturbed."""

import itertools
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from mlflow import MlflowClient

from tests.promotion.loop import Loop
from tests.support.project import Project
from ticket_sentiment.promotion import attempt, controller, moves, releases
from ticket_sentiment.promotion.moves import By
from ticket_sentiment.promotion.rollback import roll_back
from ticket_sentiment.rollout.policy import Decision

FLOW = By(moves.ROLLOUT, "Because.")
MLFLOW_WRITES = (
    "set_registered_model_alias",
    "delete_registered_model_alias",
    "set_registered_model_tag",
    "set_model_version_tag",
    "delete_model_version_tag",
)
FOLDER_WRITES = ((attempt, "put_release"), (releases, "put_release"), (attempt, "remove_releases"))


class Killed(BaseException):
    """Stands for kill -9: nothing in the library catches it."""


class Writes:
    """Counts what is written to the ledger, MLflow and the folder of releases, and dies before the n-th."""

    def __init__(self, loop: Loop, monkeypatch: pytest.MonkeyPatch, deadly: int) -> None:
        self.seen, self._deadly = 0, deadly
        sa.event.listen(loop.ledger.database.engine, "before_cursor_execute", self._statement)
        for name in MLFLOW_WRITES:
            monkeypatch.setattr(MlflowClient, name, self._wrapped(getattr(MlflowClient, name)))
        for module, name in FOLDER_WRITES:
            monkeypatch.setattr(module, name, self._wrapped(getattr(module, name)))

    def count(self) -> None:
        self.seen += 1
        if self.seen == self._deadly:
            raise Killed

    def _statement(self, connection: Any, cursor: Any, statement: str, *_: Any) -> None:
        if statement.startswith("INSERT INTO rollout"):
            self.count()

    def _wrapped(self, real: Callable[..., Any]) -> Callable[..., Any]:
        def run(*arguments: Any, **options: Any) -> Any:
            self.count()
            return real(*arguments, **options)

        return run


def end_state(loop: Loop) -> Any:
    versions = [
        {key: value for key, value in version.tags.items() if not key.startswith(("git", "gate.run"))}
        for version in loop.store.client.search_model_versions(f"name = '{loop.store.model}'")
    ]
    return loop.told, loop.serving, loop.aliases(), versions


def _promoted(loop: Loop) -> None:
    moves.promote(loop.ledger, loop.entry, FLOW)


def _by_person(loop: Loop) -> None:
    loop.register(3, decision="review")
    loop.give("champion", 3)


def _both(loop: Loop) -> None:
    """A flow and a person, and a version that asks."""
    _promoted(loop)
    _by_person(loop)
    loop.register(4)


def _refused(loop: Loop) -> None:
    loop.register(3, decision="review")
    loop.tag(3, "registration", "pending")
    loop.give("challenger", 3)


@pytest.fixture(params=[_promoted, _by_person, _both, _refused])
def disturbed(request: pytest.FixtureRequest, loop: Loop) -> Loop:
    """Version 1 serves, 2 is on trial, and something has happened that is to be reconciled."""
    loop.begin(1, 2)
    request.param(loop)
    loop.ledger.close()
    return loop


def copies(loop: Loop, folder: Path) -> Callable[[], Loop]:
    """Gives the loop as it is now, in another place each time (MLflow keeps a file of a place open)."""
    shutil.copytree(loop.root / "var", folder / "saved/var", ignore=shutil.ignore_patterns("mlartifacts"))
    numbers = itertools.count()

    def again() -> Loop:
        root = folder / str(next(numbers))
        shutil.copytree(folder / "saved", root)
        return Loop(Project(root, loop.params))

    return again


def test_a_reconciliation_killed_between_any_two_writes(disturbed: Loop, tmp_path: Path) -> None:
    again = copies(disturbed, tmp_path / "copies")
    undisturbed = again()
    with pytest.MonkeyPatch.context() as patch:
        writes = Writes(undisturbed, patch, 0)
        undisturbed.reconcile()
    expected = end_state(undisturbed)
    undisturbed.close()
    assert writes.seen > 2
    for deadly in range(1, writes.seen + 1):
        loop = again()
        with pytest.MonkeyPatch.context() as patch:
            Writes(loop, patch, deadly)
            with pytest.raises(Killed):
                loop.reconcile()
        loop.close()
        after = Loop(loop.project)
        after.reconcile()
        assert end_state(after) == expected, deadly
        after.reconcile()  # and nothing is left to do
        assert end_state(after) == expected, deadly
        after.close()


def test_a_first_reconciliation_killed_between_any_two_writes(loop: Loop, tmp_path: Path) -> None:
    loop.register(1, 2)
    loop.ledger.close()
    again = copies(loop, tmp_path / "copies")
    undisturbed, deadly = again(), 0
    undisturbed.reconcile()
    expected = end_state(undisturbed)
    assert expected[0] == ["adopt by monthly flow", "start by monthly flow"]
    undisturbed.close()
    while True:
        deadly += 1
        loop = again()
        with pytest.MonkeyPatch.context() as patch:
            Writes(loop, patch, deadly)
            try:
                loop.reconcile()
                break
            except Killed:
                loop.close()
        after = Loop(loop.project)
        after.reconcile()
        assert end_state(after) == expected, deadly
        after.assert_agrees()
        after.close()
    assert deadly > 12


@pytest.mark.parametrize("action", ["advance", "rollback", "stop"])
def test_a_look_killed_between_any_two_writes(
    loop: Loop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, action: str
) -> None:
    """The decision is fixed here: what is tested is that it is kept and carried out, once."""
    loop.begin(1, 2)
    loop.ledger.close()
    share = 0.05 if action == "advance" else 0.0

    def decide(evidence: Any, settings: Any) -> Decision:
        return Decision(action, share, ("So.",), "Then.", evidence.epoch, (), ())  # type: ignore[arg-type]

    monkeypatch.setattr(controller, "decide", decide)
    again = copies(loop, tmp_path / "copies")
    for deadly in range(1, 4):
        loop = again()
        with pytest.MonkeyPatch.context() as patch:
            Writes(loop, patch, deadly)
            with pytest.raises(Killed):
                controller.look(loop.ledger, loop.params)
        assert len(loop.ledger.looks(2)) == (deadly > 1) and loop.entry.state.epoch == 2
        assert controller.look(loop.ledger, loop.params).action == action
        assert (loop.entry.state.epoch, loop.entry.state.challenger_share) == (3, share)
        assert loop.told[2:] == [f"{action} by rollout flow"]
        loop.close()


def test_a_rollback_that_was_killed_and_is_run_again_goes_back_once(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.begin(3)
    moves.promote(loop.ledger, loop.entry, FLOW)
    assert loop.serving == ("3", None, "2")
    for made in (True, False, False):  # killed before it wrote the aliases
        entry, new, _ = roll_back(loop.ledger, loop.params, By("command line", "Bad."), root=loop.root)
        assert new is made and loop.serving == ("2", None, "1") and entry == loop.entry
    loop.reconcile()
    loop.assert_agrees()


KILL = """
import os, signal, sys
from pathlib import Path
from tests.promotion.loop import Loop
from tests.support.project import Project
from ticket_sentiment.params import load_params
from mlflow import MlflowClient
real = MlflowClient.set_registered_model_alias
def die(self, name, alias, version):
    real(self, name, alias, version)
    os.kill(os.getpid(), signal.SIGKILL)
MlflowClient.set_registered_model_alias = die
root = Path(sys.argv[1])
Loop(Project(root, load_params(root / "params.yaml"))).reconcile(lease_s=2.0)
"""


def test_after_a_real_kill_the_next_waits_for_the_lease_and_goes_on(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    done = subprocess.run([sys.executable, "-c", KILL, str(loop.root)], env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL
    assert loop.aliases() == ("2", "2", "none")
    loop.reconcile(wait_s=10)
    assert loop.told[2:] == ["promote by rollout flow"]
    loop.assert_agrees()


def test_one_who_lost_the_lease_writes_no_alias(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    real, others = MlflowClient.set_registered_model_tag, []

    def sleeps(self: Any, *arguments: Any) -> None:
        real(self, *arguments)
        if not others:
            others.append(loop.entry)
            with loop.ledger.database.writing("") as connection:  # the lease ended meanwhile
                connection.exec_driver_sql("UPDATE leases SET expires_at = '2000-01-01 00:00:00.000000'")
            moves.rollback(loop.ledger, loop.entry, By("command line", "Bad."))
            loop.reconcile()

    monkeypatch.setattr(MlflowClient, "set_registered_model_tag", sleeps)
    with pytest.raises(Exception, match="has lost it"):
        loop.reconcile()
    assert loop.serving == ("1", None, None)
    loop.assert_agrees()

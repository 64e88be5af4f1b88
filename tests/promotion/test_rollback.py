"""One command back: without MLflow, without a build, once."""

import contextlib
import os
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.promotion.loop import Loop
from ticket_sentiment.cli import main
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import Entry, LedgerConflict
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.promotion import attempt, moves
from ticket_sentiment.promotion.moves import By
from ticket_sentiment.promotion.releases import bring_releases
from ticket_sentiment.promotion.rollback import roll_back
from ticket_sentiment.rollout.releases import is_whole

FLOW = By(moves.ROLLOUT, "Because.")
PERSON = By("command line (ann)", "Bad.")


def later(monkeypatch: pytest.MonkeyPatch, **time: float) -> None:
    """From now on, by the database's clock."""
    real = Ledger.now
    monkeypatch.setattr(Ledger, "now", lambda self: real(self) + timedelta(**time))


def meanwhile(monkeypatch: pytest.MonkeyPatch, move: Callable[[], object]) -> None:
    """Another makes a move just before the next rollback is written."""
    real, waiting = moves.rollback, [move]

    def late(*arguments: Any) -> Entry:
        if waiting:
            waiting.pop()()
        return real(*arguments)

    monkeypatch.setattr(moves, "rollback", late)


def back(loop: Loop, version: str | None = None) -> bool:
    return roll_back(loop.ledger, loop.params, PERSON, version, loop.root)[1]


@pytest.fixture
def third(loop: Loop) -> Loop:
    """Version 3 serves, 2 did before, and 1 before that."""
    for seed in (1, 2, 3):
        loop.begin(seed)
        if loop.entry.on:
            moves.promote(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.serving == ("3", None, "2")
    return loop


def test_a_rollout_that_is_on_ends_first(loop: Loop) -> None:
    loop.begin(1, 2)
    assert back(loop) and loop.serving == ("1", None, None)
    assert not back(loop) and loop.told[-1] == "rollback by command line (ann)"
    loop.reconcile()
    loop.assert_agrees()


def test_the_champion_before_comes_back_and_one_that_is_named(third: Loop) -> None:
    assert back(third) and third.serving == ("2", None, "1")
    assert not back(third)
    assert back(third, "1") and third.serving == ("1", None, None)
    assert not back(third, "1")
    third.reconcile()
    third.assert_agrees()


def test_a_rollback_of_a_rollback_never_brings_the_bad_one_back(third: Loop) -> None:
    back(third)
    third.begin(9)  # something else happens
    moves.stop(third.ledger, third.entry, FLOW)
    assert third.serving == ("2", None, "1")
    assert back(third) and third.serving == ("1", None, None)


def test_a_rollback_does_nothing_only_right_after_another_by_a_person(
    third: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert back(third) and not back(third) and third.serving == ("2", None, "1")
    later(monkeypatch, days=14)
    assert back(third) and third.serving == ("1", None, None)


def test_a_rollback_goes_on_after_one_that_the_rollout_flow_made(third: Loop) -> None:
    third.begin(9)
    moves.rollback(third.ledger, third.entry, FLOW)
    assert third.serving == ("3", None, "2")
    assert back(third) and third.serving == ("2", None, "1")


@pytest.mark.parametrize("move", ["advance", "promote", "stop", "rollback"])
def test_a_rollback_goes_before_what_a_flow_does_to_the_rollout_meanwhile(
    loop: Loop, monkeypatch: pytest.MonkeyPatch, move: str
) -> None:
    loop.begin(1, 2)
    before, real = loop.entry, {name: getattr(moves, name) for name in ("promote", "stop", "rollback")}

    def flow() -> None:
        if move == "advance":
            moves.advance(loop.ledger, before, 0.05, FLOW)
        else:
            real[move](loop.ledger, before, FLOW)

    meanwhile(monkeypatch, flow)
    assert back(loop) is (move in ("advance", "promote"))
    assert loop.serving == ("1", None, None)


def test_a_rollback_to_the_champion_before_goes_before_a_rollout_that_begins_meanwhile(
    third: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    third.register(4)
    meanwhile(monkeypatch, third.reconcile)
    assert back(third) and third.serving == ("2", None, "1")


def test_a_rollback_yields_to_another_person(third: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    model = moves.Model("1", third.digest(1))
    person = By(moves.PERSON, "Moved.")
    meanwhile(monkeypatch, lambda: moves.adopt(third.ledger, third.entry, model, person))
    with pytest.raises(LedgerConflict, match="adopt by person via MLflow"):
        back(third)
    assert third.serving == ("1", None, "3")


def test_a_version_that_never_served_can_be_named(third: Loop) -> None:
    third.register(4, decision="review")
    assert back(third, "4") and third.serving[0] == "4"
    third.reconcile()
    third.assert_agrees()


def test_a_reconcile_at_the_same_time_does_not_remove_what_it_goes_back_to(
    third: Loop, monkeypatch: pytest.MonkeyPatch
) -> None:
    third.register(4, decision="review")
    meanwhile(monkeypatch, third.reconcile)  # the release is here, and no entry names it yet
    assert back(third, "4")
    assert is_whole(third.root / third.params.serve.releases, third.digest(4))
    third.register(5, decision="review")
    real, waiting = bring_releases, [lambda: back(third, "5")]

    def slow(*arguments: Any) -> list[str]:
        missing = real(*arguments)
        if waiting:
            waiting.pop()()
        return missing

    monkeypatch.setattr(attempt, "bring_releases", slow)
    third.reconcile()
    folder = third.root / third.params.serve.releases
    assert third.serving[0] == "5" and is_whole(folder, third.digest(5))


def test_nothing_to_go_back_to_is_said(loop: Loop) -> None:
    with pytest.raises(TicketSentimentError, match="the ledger has no state: run the reconcile flow"):
        back(loop)
    loop.begin(1)
    with pytest.raises(TicketSentimentError, match="knows no champion before version 1"):
        back(loop)
    with pytest.raises(TicketSentimentError, match=r"version 7 .* cannot be had from MLflow"):
        back(loop, "7")
    assert loop.told == ["adopt by monthly flow"]


def test_mlflow_is_not_needed_where_the_release_is_there(third: Loop) -> None:
    for path in third.root.glob("var/ml*"):
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert back(third) and third.serving == ("2", None, "1")


def test_a_release_that_is_gone_is_brought_again(third: Loop) -> None:
    shutil.rmtree(third.root / third.params.serve.releases)
    assert back(third)
    assert (third.root / third.params.serve.releases / third.digest(2)).is_dir()


def test_a_champion_of_before_comes_back_although_its_release_is_not_here(third: Loop) -> None:
    """As on a machine that sees neither the services' folder nor the artifacts: the services hold it."""
    shutil.rmtree(third.root / third.params.serve.releases)
    shutil.rmtree(third.root / "var/mlartifacts")
    _, made, missing = roll_back(third.ledger, third.params, PERSON, root=third.root)
    assert made and missing and "restore MLflow's artifacts" in missing
    assert third.serving == ("2", None, "1")


def test_a_version_that_never_served_and_can_be_had_nowhere_changes_nothing(third: Loop) -> None:
    third.register(4, decision="review")
    shutil.rmtree(third.root / "var/mlartifacts")
    with pytest.raises(TicketSentimentError, match=r"restore MLflow's artifacts.*nothing was changed"):
        back(third, "4")
    assert third.serving == ("3", None, "2")


def test_a_rollback_by_command_goes_before_an_alias_moved_at_the_same_time(third: Loop) -> None:
    third.register(4, decision="review")
    third.give("champion", 4)
    back(third)
    report = third.reconcile()
    assert "on version 4 gives way to rollback by command line (ann)" in report.done[0]
    assert third.serving == ("2", None, "1")
    third.assert_agrees()
    third.give("champion", 4)  # given again it is a decision
    third.reconcile()
    assert third.serving == ("4", None, "2")


@pytest.fixture
def at_root(third: Loop, monkeypatch: pytest.MonkeyPatch) -> Loop:
    monkeypatch.chdir(third.root)
    return third


def test_the_command_says_what_serves_and_the_aliases_follow(
    at_root: Loop, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["rollback", "--reason", "Refunds are all positive."]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith(f"Version 2 ({at_root.digest(2)[:12]}) serves now: rollback by command line")
    assert "MLflow: the alias `champion` belongs to version 2." in lines
    assert at_root.entry.change and at_root.entry.change.reason == "Refunds are all positive."
    at_root.assert_agrees()
    assert main(["rollback"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Nothing to do: command line")
    assert "Refunds are all positive." in lines[0] and "(`--to 1`)" in lines[2]
    assert main(["rollback", "--to", "1"]) == 0
    assert at_root.serving == ("1", None, None)
    assert main(["rollback", "--to", "8"]) == 2


def test_the_command_goes_back_without_credentials_for_the_cloud_and_says_what_it_lacks(
    at_root: Loop, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    # Nothing is asked of the world. By this address MLflow keeps a client and its keys: no other test has it.
    monkeypatch.setenv("MLFLOW_S3_ENDPOINT_URL", "http://127.0.0.1:7")
    monkeypatch.setattr("boto3.DEFAULT_SESSION", None)  # it keeps the first keys that it found
    for name in ("AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE"):
        monkeypatch.setenv(name, str(at_root.root / "none"))
    with contextlib.closing(sqlite3.connect(at_root.root / "var/mlflow.db")) as database, database:
        moved = "s3://bucket/' || version"
        database.execute(f"UPDATE model_versions SET source = '{moved}, storage_location = '{moved}")
    shutil.rmtree(at_root.root / at_root.params.serve.releases)
    assert main(["rollback"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("Version 2 ") and "is to serve now" in lines[0]
    assert "s3://bucket/2 (NoCredentialsError)" in lines[1]
    assert "`ticket-sentiment releases`" in lines[2]
    assert at_root.serving == ("2", None, "1")


def test_while_the_release_gone_back_to_cannot_be_had_the_one_that_answers_stays(third: Loop) -> None:
    releases = third.root / third.params.serve.releases
    shutil.rmtree(releases / third.digest(2))
    artifacts = third.root / "var/mlartifacts"
    artifacts.rename(third.root / "var/lost")
    assert roll_back(third.ledger, third.params, PERSON, root=third.root).missing
    third.reconcile()
    assert third.serving[0] == "2" and is_whole(releases, third.digest(3))
    (third.root / "var/lost").rename(artifacts)
    third.reconcile()
    assert is_whole(releases, third.digest(2))


def test_the_command_takes_seconds_although_mlflow_is_away(at_root: Loop, tmp_path: Path) -> None:
    started = time.monotonic()
    environment = {**os.environ, "MLFLOW_TRACKING_URI": "http://127.0.0.1:9"}
    environment |= {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0"}
    command = [sys.executable, "-m", "ticket_sentiment.cli", "rollback"]
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        first = process.stdout.readline()
        seconds = time.monotonic() - started
        rest = process.stdout.read()
    assert process.returncode == 0 and first.startswith("Version 2 ")
    assert "MLflow's aliases follow with the next reconcile" in rest
    assert seconds < 5, seconds
    at_root.reconcile()
    at_root.assert_agrees()

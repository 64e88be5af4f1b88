"""What people are told of flows: for whom, how loud, once, and nothing that is not meant for them."""

import errno
import tempfile
from pathlib import Path

import pytest

from tests.promotion.loop import Loop
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.controller import Outcome
from ticket_sentiment.promotion.news import (
    NAMES,
    failures_of,
    of_failure,
    of_look,
    of_reconcile,
    of_registration,
)
from ticket_sentiment.registry.registry import Registration

RUNBOOKS = "docs/runbooks.md"


@pytest.mark.parametrize("name", NAMES)
def test_each_kind_has_a_runbook(name):
    assert f"\n## {name}\n" in (Path(__file__).parents[2] / RUNBOOKS).read_text()


def test_a_failure_is_told_in_full_only_where_it_is_meant_for_people():
    meant = of_failure("monthly-retrain", TicketSentimentError("exports/a.csv: row 3: no text"), RUNBOOKS)
    assert meant.details == ("exports/a.csv: row 3: no text",) and meant.severity == "ticket"
    other = of_failure("monthly-retrain", KeyError("customer Miller"), RUNBOOKS)
    assert other.details == ("KeyError",) and "Miller" not in other.text
    assert meant.key != other.key and all(
        one.key.startswith(failures_of("monthly-retrain")) for one in (meant, other)
    )


def test_a_failure_of_a_file_or_a_disk_is_told_with_its_path_and_remedy():
    full = of_failure("monitor", OSError(errno.ENOSPC, "No space left on device", "var/monitor/a"), RUNBOOKS)
    assert full.details == (
        "var/monitor/a cannot be written: No space left on device: make room and run again",
    )
    closed = of_failure("monitor", PermissionError(errno.EACCES, "Permission denied", "var/b"), RUNBOOKS)
    assert "var/b: Permission denied" in closed.text and closed.key != full.key


def test_one_trouble_is_one_whatever_its_temporary_folder_and_the_seconds_that_are_left():
    folder = tempfile.gettempdir()
    first, second = (
        of_failure("reconcile", TicketSentimentError(words), RUNBOOKS)
        for words in (f"{folder}/tmpab/1: another {41.2} s", f"{folder}/tmpcd/1: another 30 s")
    )
    assert first.key == second.key and first.details != second.details


@pytest.mark.parametrize(
    ("version", "decision", "name", "severity"),
    [
        (None, "fail", "ReleaseRefused", "ticket"),
        (3, "review", "ReleaseWaits", "ticket"),
        (3, "pass", "ReleasePassed", "info"),
    ],
)
def test_what_the_gate_said(version, decision, name, severity):
    told = of_registration(Registration(version, "run", None, decision, True), RUNBOOKS)
    assert (told.name, told.severity, told.key) == (name, severity, f"registered run {decision}")
    assert told.details and told.runbook == f"{RUNBOOKS}#{name.lower()}"


def test_what_a_person_has_decided_on_is_not_told_to_wait():
    assert of_registration(Registration(3, "run", "champion", "review", False), RUNBOOKS) is None


@pytest.mark.parametrize(
    ("action", "name"),
    [("rollback", "RolledBack"), ("stop", "RolloutStopped"), ("advance", "RolloutAdvanced")],
)
def test_what_a_look_did(loop: Loop, action, name):
    loop.begin(1, 2)
    told = of_look(Outcome(loop.entry, action, ("Because.",)), RUNBOOKS)
    assert told is not None and told.name == name and "Because." in told.text
    assert str(loop.entry.state.epoch) in told.key


def test_a_promotion_is_told_to_those_who_see_to_tickets(loop: Loop):
    loop.begin(1, 2)
    entry = moves.promote(loop.ledger, loop.entry, moves.By(moves.ROLLOUT, "It is no worse."))
    told = of_look(Outcome(entry, "advance", ("It is no worse.",)), RUNBOOKS)
    assert told is not None and (told.name, told.severity) == ("Promoted", "ticket")
    assert told.summary == "version 2 answers all customers" and told.runbook == f"{RUNBOOKS}#promoted"
    text = (Path(__file__).parents[2] / RUNBOOKS).read_text()
    assert "ticket-sentiment rollback" in text.split("## Promoted\n")[1].split("\n## ")[0]


def test_what_cannot_be_carried_out_is_told_once_however_the_seconds_pass():
    first, again, other = (
        of_reconcile((f"version {version} as `challenger`: no public key is here ({seconds} s)",), RUNBOOKS)
        for version, seconds in ((2, 1.5), (2, 2.5), (3, 1.5))
    )
    assert first.severity == "ticket" and "no public key is here" in first.text
    assert first.key == again.key != other.key
    assert first.runbook == f"{RUNBOOKS}#notcarriedout"
    assert of_reconcile((), RUNBOOKS) is None


def test_a_look_that_changed_nothing_is_no_news(loop: Loop):
    loop.begin(1, 2)
    assert of_look(Outcome(loop.entry, "wait", ("Because.",)), RUNBOOKS) is None
    assert of_look(Outcome(loop.entry, "rollback", ("Because.",), yielded="a person"), RUNBOOKS) is None
    assert of_look(Outcome(None, "none", ("No rollout is on.",)), RUNBOOKS) is None

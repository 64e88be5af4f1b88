"""What a person is told of who serves, and what services find in the folder of releases."""

import os
import shutil
from datetime import timedelta

import pytest
import yaml

from tests.events.events import prediction
from tests.promotion.loop import Loop
from ticket_sentiment.cli import main
from ticket_sentiment.events.access import url_of
from ticket_sentiment.events.changes import Look
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.moves import By
from ticket_sentiment.promotion.status import address

FLOW = By(moves.ROLLOUT, "Because.")


@pytest.fixture
def told(loop: Loop, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """`told("status")`: the output of a command by the first word of each line."""
    monkeypatch.chdir(loop.root)

    def run(*arguments: str, status: int = 0) -> dict[str, str]:
        assert main([*arguments]) == status
        captured = capsys.readouterr()
        pairs = [line.split("  ", 1) for line in (captured.out + captured.err).splitlines()]
        return {pair[0]: pair[-1].strip() for pair in pairs}

    return run


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            "postgresql+psycopg://me:pw@db.example.com:5432/events",
            "postgresql+psycopg://db.example.com:5432/events",
        ),
        ("postgresql://db/events?user=me&password=a@pw", "postgresql://db/events"),
        ("https://me@example.com:p@pw@mlflow.example.com/base", "https://mlflow.example.com/base"),
        ("postgresql+psycopg://me:pw@/events?host=db1", "postgresql+psycopg://db1/events"),
        ("http://localhost:5000", "http://localhost:5000"),
        ("http://me:pw@[::1]:5000", "http://[::1]:5000"),
        ("sqlite:////srv/var/events.db", "/srv/var/events.db"),
        ("me:pw@somewhere", "an address that is no URL"),
        ("databricks", "databricks"),
    ],
)
def test_an_address_is_shown_without_user_and_password(url: str, shown: str) -> None:
    assert address(url) == shown


def test_it_says_which_stores_were_read(loop: Loop, told) -> None:
    found = told("status")["read from"]
    assert found == f"{address(url_of(loop.params.events))} and MLflow at {address(loop.store.uri)}"


def test_before_anything_is_registered(loop: Loop, told) -> None:
    found = told("status")
    assert "no champion is in the ledger yet" in found["serves"]
    assert "no version yet" in str(found)


def test_what_serves_since_when_and_why(loop: Loop, told) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.begin(3)
    entry = moves.advance(loop.ledger, loop.entry, 0.05, FLOW)
    look = Look(entry.state.epoch, 1, loop.ledger.now(), "wait", ("Too early.",), (), True)
    loop.ledger.look(look)
    store, now = loop.events(), loop.ledger.now()
    for number, (version, shadow, age) in enumerate(
        [("2", False, 1), ("2", False, 2), ("3", False, 3), ("3", True, 1), ("1", False, 90)]
    ):
        at = now - timedelta(minutes=age)
        store.predicted(prediction(request_id=str(number), at=at, model_version=version, shadow=shadow))
    store.close(5)

    found = told("status")
    since = loop.ledger.history()[2].state.since
    assert found["serves"] == (
        f"version 2 ({loop.digest(2)[:12]}), since {since:%Y-%m-%d %H:%M} UTC: "
        "promote by rollout flow: Because."
    )
    assert found["on trial"].startswith(
        f"version 3 ({loop.digest(3)[:12]}), step 2 of 4: answers 5% of the customers, since "
    )
    assert found["previous"] == f"version 1 ({loop.digest(1)[:12]})"
    assert found["last change"].endswith("advance by rollout flow: Because.")
    assert found["last look"].endswith("wait: Too early.")
    assert found["answered"] == "in the last hour: 2 by version 2 on cpu, 1 by version 3 on cpu"
    assert found["MLflow"] == "the aliases agree with the ledger"
    assert "missing" not in found
    assert "champion" in found["2"]  # the table of versions


def test_a_step_that_was_taken_out_of_the_settings_is_no_step_of_them(loop: Loop, told) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.begin(3)
    for share in (0.05, 0.2):
        moves.advance(loop.ledger, loop.entry, share, FLOW)
    path = loop.root / "params.yaml"
    raw = yaml.safe_load(path.read_text())
    raw["rollout"]["steps"] = raw["rollout"]["steps"][:2]
    path.write_text(yaml.safe_dump(raw))
    assert "step 3, and rollout.steps ends at 2 now: answers 20% of the" in told("status")["on trial"]


def test_what_does_not_agree_is_said(loop: Loop, told) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    shutil.rmtree(loop.root / "var/releases")
    found = told("status")
    assert found["MLflow"] == (
        "`champion` is 1, in the ledger 2; `challenger` is 2, in the ledger none; "
        "`previous` is none, in the ledger 1: the next reconcile sees to it"
    )
    assert found["missing"].startswith(
        "version 2, version 1 in var/releases: run `ticket-sentiment releases`"
    )


def test_an_alias_without_effect_is_told_with_its_reason(loop: Loop, told) -> None:
    loop.begin(1)
    loop.register(2, decision="review")
    loop.tag(2, "registration", "pending")
    loop.give("champion", 2)
    loop.reconcile()
    assert told("status")["refused"].startswith("version 2 as `champion`: ")


def test_without_mlflow_the_ledger_is_told(loop: Loop, told, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.begin(1)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    found = told("status")
    assert found["serves"].startswith("version 1")
    assert "MLflow does not do what it was asked" in str(found)


def test_releases_are_brought_to_where_services_run(loop: Loop, told) -> None:
    assert "the ledger names no release yet" in str(told("releases", status=2))
    loop.begin(1, 2)
    shutil.rmtree(loop.root / "var/releases")
    assert list(told("releases")) == [
        f"var/releases/{loop.digest(version)}: version {version}" for version in (1, 2)
    ]
    assert sorted(os.listdir(loop.root / "var/releases")) == sorted([loop.digest(1), loop.digest(2)])
    shutil.rmtree(loop.root / "var/releases")
    shutil.rmtree(loop.root / "var/mlartifacts")
    assert "the release of version 1 cannot be brought" in str(told("releases", status=2))

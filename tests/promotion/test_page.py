"""The rollout's page, of rollouts that were decided on real evidence in a real database."""

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.desk import BEGIN, CHALLENGER, Desk
from tests.support.page import Page
from tests.support.params import params_file, params_of_tests
from ticket_sentiment.cli import main
from ticket_sentiment.events.changes import Change
from ticket_sentiment.events.ledger import Ledger
from ticket_sentiment.params import Params
from ticket_sentiment.promotion.headline import when
from ticket_sentiment.promotion.page import markdown, write_page
from ticket_sentiment.promotion.progress import read_progress
from ticket_sentiment.rollout.guardrails import GUARDRAILS, TITLES
from ticket_sentiment.rollout.state import RolloutState

LOADED = params_of_tests()
CHANGES = {
    "steps": [step.model_copy(update={"min_units": 0}) for step in LOADED.rollout.steps],
    "audit_share": 0.9,
    "max_look_gap_hours": 24.0,
}
PARAMS = LOADED.model_copy(update={"rollout": LOADED.rollout.model_copy(update=CHANGES)})
HOSTILE = '<script>alert("x")</script> | [x](javascript:y) `z`'


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    made = Ledger(f"sqlite:///{tmp_path}/var/events.db")
    yield made
    made.close()


@pytest.fixture
def page(ledger: Ledger, tmp_path: Path):
    """`page(now)`: the page as it is written then, and its source."""

    def make(now, params: Params = PARAMS) -> tuple[Page, str]:
        path = write_page(read_progress(ledger, params, now), params, tmp_path / "made/rollout.html")
        source = path.read_text(encoding="utf-8")
        assert [item.name for item in path.parent.iterdir()] == ["rollout.html"]
        return Page(source), source

    return make


def words(found: Page) -> str:
    """Text of the first screen: of the card with the decision."""
    return found.text.split("Where it stands")[0].split("The last rollout")[0]


def test_an_empty_ledger_says_that_there_was_no_rollout(ledger, page):
    found, source = page(BEGIN)
    assert "No rollout yet" in found.text and "<svg" not in source
    assert "No rollout yet" in markdown(read_progress(ledger, PARAMS, BEGIN), PARAMS)


def test_in_shadow_the_page_says_what_is_missing_and_what_comes_next(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.02)
    desk.play(days=1)
    found, _ = page(desk.now)
    first = words(found)
    assert "Wait: version 8 works unseen" in first and "Nothing speaks against it so far" in first
    assert "This step has lasted 24 hours of at least 48." in first
    assert "Next: Once this is so, the challenger answers 5% of the customers." in first
    assert found.steps() == ["here", "ahead", "ahead", "ahead", "ahead"]
    assert "monthly-retrain" in found.text and "person via MLflow" not in found.text
    assert "confidence sequence" not in first and "nothing could be shared wrongly" in found.text


def test_the_page_after_a_look_does_not_call_the_challenger_silent(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.02)
    desk.play(days=1)
    assert "Nothing new was heard" not in page(desk.now + timedelta(minutes=1))[0].text
    for _ in range(2):
        desk.look()
    assert "rolled back at 3 such looks in a row, this is number 2" in page(desk.now)[0].text


def test_a_ramp_shows_every_guardrail_with_its_band_and_both_arms(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.05)
    desk.play(days=4)
    found, source = page(desk.now)
    progress = read_progress(ledger, PARAMS, desk.now)
    assert found.steps()[:2] == ["done", "done"] and "here" in found.steps()
    known = [name for name in GUARDRAILS if progress.seen(name)[-1].estimate is not None]
    assert source.count('class="band"') == len(known) >= 3
    for name in GUARDRAILS:
        assert TITLES[name] in found.text and len(progress.seen(name)) == desk.looks + 1
        assert (progress.seen(name)[-1].sentence in found.text) is (name in known)
    assert "The customers are shared as they should be" in found.text
    for check in progress.decision.split:
        assert check.sentence in found.text
    evidence = progress.evidence
    answered = [sum(item.errors.of(arm).n for item in evidence.epochs) for arm in ("champion", "challenger")]
    assert f"Tickets that the model had to answer {answered[0]:,} {answered[1]:,}" in found.text
    labelled = evidence.coverage.challenger
    assert f"{labelled.labelled:,} ({labelled.labelled / labelled.mature:.1%})" in found.text
    assert "Next step: 5 % of the customers" in found.text and "rollout flow" in found.text


def test_what_the_page_says_is_what_the_next_look_does(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.05)
    desk.play(days=1.5)
    desk.pass_hours(12)
    first = words(page(desk.now)[0])
    assert "Go on: version 8 is ready to answer 5 % of the customers" in first and "at its next look" in first
    assert desk.look().action == "advance"
    assert "Wait: version 8 answers 5 % of the customers" in words(page(desk.now)[0])


def test_a_bad_challenger_was_rolled_back_and_the_page_keeps_what_decided(ledger, page):
    desk = Desk(ledger, PARAMS, gain=-0.15)
    assert desk.play(days=10) == "rollback"
    found, _ = page(desk.now + timedelta(days=3))
    first = words(found)
    ended = when(ledger.current().state.since)
    assert f"Rolled back on {ended}: version 7 answers all customers" in first
    assert "the challenger is worse" in first
    assert "No rollout is on" in first
    assert found.steps()[0] == "ended" and "here" not in found.steps()
    reason = ledger.looks(2)[-1].reasons[0]
    assert reason in first and "The challenger is worse in: right answers, both models" in found.text
    assert "✗ worse" in found.text


def test_a_good_challenger_was_promoted_and_a_person_s_rollback_is_what_serves_now(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.05)
    assert desk.play(days=20) == "advance"
    found, _ = page(desk.now)
    assert "Promoted: version 8 answers all customers since" in words(found)
    assert "ticket-sentiment rollback brings version 7 back" in words(found)
    assert found.steps() == ["done"] * 4 + ["here"]
    entry = ledger.current()
    state = replace(entry.state, epoch=entry.state.epoch + 1, champion="a" * 64, since=desk.now)
    change = replace(
        entry.change, action="rollback", actor="command line", champion_version="7", reason=HOSTILE,
        previous_champion=CHALLENGER, previous_version="8",
    )  # fmt: skip
    ledger.change(state, change, entry.state.epoch)
    found, source = page(desk.now)
    assert f"Rolled back on {when(desk.now)}: version 7 answers" in words(found) and HOSTILE in found.text
    assert "Promoted: it answers everybody" in found.text
    assert "<script" not in source and "Decided by: command line" in words(found)
    short = markdown(read_progress(ledger, PARAMS, desk.now), PARAMS)
    assert "<script" not in short.replace("\\<script", "") and "\\[x\\](javascript" in short
    rows = [line for line in short.splitlines() if line.startswith("|")]
    assert len(rows) == 2 + 5 + 2 + 6 and all(len(re.findall(r"(?<!\\)\|", row)) == 4 for row in rows)


def test_a_state_without_a_note_is_said_to_have_none(ledger, page):
    state = RolloutState(1, "salt", "a" * 64, None, 0.0, False, BEGIN)
    from ticket_sentiment.events.store import EventStore

    store = EventStore(str(ledger.database.engine.url), 10, False)
    assert store.set_rollout_state(state, 0)
    store.close(1)
    assert "A state is in force that the ledger has no note of" in page(BEGIN)[0].text


def test_a_person_s_choice_without_a_rollout_is_shown(ledger, page):
    change = Change(
        BEGIN, "adopt", "person via MLflow: ana", "Alias moved.", 0, None, False, "9", None, None, None
    )
    ledger.change(RolloutState(1, "salt", "a" * 64, None, 0.0, False, BEGIN), change, 0)
    found, source = page(BEGIN)
    assert "version 9 answers all customers" in found.text and "person via MLflow: ana" in found.text
    assert "<svg" not in source and found.steps() == []


def test_a_database_that_is_away_gives_a_page_without_figures(ledger, page, tmp_path):
    desk = Desk(ledger, PARAMS, gain=0.02)
    desk.play(days=3)
    before, _ = page(desk.now)
    for path in (tmp_path / "var").iterdir():
        path.unlink()
    (tmp_path / "var").rmdir()
    (tmp_path / "var").write_text("a file where the folder was")
    found, source = page(desk.now)
    assert "labelled tickets" in before.text and "labelled tickets" not in found.text
    assert "What serves whom is not known" in found.text and "does not answer" in found.text
    assert "<svg" not in source and found.steps() == []
    assert "does not answer" in markdown(read_progress(ledger, PARAMS, desk.now), PARAMS)


def test_evidence_that_cannot_be_read_shows_the_way_but_no_figure(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.05)
    desk.play(days=3)
    fewer = PARAMS.rollout.model_copy(update={"steps": PARAMS.rollout.steps[:1]})
    found, source = page(desk.now, PARAMS.model_copy(update={"rollout": fewer}))
    assert "how it does is not known" in words(found) and "rollout.steps in params.yaml" in words(found)
    assert "<svg" not in source and "What each model met" not in found.text
    assert found.steps() and "Next step: 5 % of the customers" in found.text


def test_events_that_were_deleted_are_not_counted_as_none(ledger, page):
    desk = Desk(ledger, PARAMS, gain=-0.15)
    assert desk.play(days=10) == "rollback"
    found, source = page(desk.now + timedelta(days=PARAMS.events.keep_days + 1))
    assert "events.keep_days" in found.text and "What each model met" not in found.text
    assert 'class="band"' in source  # what the looks kept is history, and dated


def test_the_page_stands_alone_and_can_be_read_without_seeing_it(ledger, page):
    desk = Desk(ledger, PARAMS, gain=0.05)
    desk.play(days=4)
    found, source = page(desk.now)
    assert not any(name in attributes for _, attributes in found.tags for name in ("src", "href", "srcset"))
    assert not {"script", "link", "iframe", "img"} & {tag for tag, _ in found.tags}
    assert "url(" not in source and "@import" not in source and len(source) < 200_000
    assert ("html", {"lang": "en"}) in found.tags
    for tag, attributes in found.tags:
        if tag == "svg":
            assert attributes.get("aria-hidden") == "true" or attributes["aria-label"]
        if tag == "th":
            assert attributes["scope"] in ("row", "col")
    headings = [int(tag[1]) for tag, _ in found.tags if re.fullmatch(r"h\d", tag)]
    assert headings[0] == 1 and all(after - before <= 1 for before, after in pairwise(headings))


def test_the_command_writes_the_page(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TICKET_SENTIMENT_EVENTS_URL", raising=False)
    (tmp_path / "params.yaml").write_text(params_file().read_text())
    assert main(["rollout-page"]) == 0
    assert capsys.readouterr().out == "var/rollout.html\n"
    assert "No rollout yet" in (tmp_path / "var/rollout.html").read_text()
    assert main(["rollout-page", "--out", "elsewhere/page.html"]) == 0
    assert (tmp_path / "elsewhere/page.html").is_file()

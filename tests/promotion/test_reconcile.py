"""Aliases follow the ledger, a person goes before it, and a kill anywhere makes no difference."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from tests.promotion.loop import Loop
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.events.changes import LedgerConflict
from ticket_sentiment.promotion import moves
from ticket_sentiment.promotion.aliases import REFUSED, MlflowUnavailable, answering
from ticket_sentiment.promotion.moves import By, Model
from ticket_sentiment.promotion.reconcile import reconcile
from ticket_sentiment.promotion.releases import bring_releases
from ticket_sentiment.registry.build import is_built
from ticket_sentiment.registry.store import champion_version
from ticket_sentiment.rollout.state import RolloutState

FLOW = By(moves.ROLLOUT, "Because.")


def test_before_anything_is_registered_there_is_nothing_to_do(loop: Loop) -> None:
    report = loop.reconcile()
    assert report.entry is None and "nothing to do" in report.lines()[0]
    assert loop.ledger.current() is None


def test_the_first_champion_is_adopted_and_is_the_flow_s_own(loop: Loop) -> None:
    loop.begin(1)
    assert loop.told == ["adopt by monthly flow"] and loop.serving == ("1", None, None)
    assert loop.entry.state.champion == loop.digest(1)
    loop.assert_agrees()
    assert loop.reconcile().lines() == [] and loop.entry.state.epoch == 1


def test_what_passed_the_gate_begins_its_rollout_by_itself(loop: Loop) -> None:
    loop.begin(1, 2)
    assert loop.told[1:] == ["start by monthly flow"] and loop.serving == ("1", "2", None)
    state = loop.entry.state
    assert (state.challenger, state.challenger_share, state.shadow) == (loop.digest(2), 0.0, True)
    loop.assert_agrees()
    loop.project.register()  # the monthly flow, run again
    assert loop.reconcile().lines() == []


def test_one_that_the_gate_sends_to_a_person_waits_for_one(loop: Loop) -> None:
    loop.begin(1)
    loop.register(2, decision="review")
    assert loop.reconcile().lines() == [] and loop.serving == ("1", None, None)
    assert loop.tag(2, "awaiting") == "person"
    loop.give("champion", 2)
    loop.reconcile()
    assert loop.tag(2, "awaiting") == "none"
    assert loop.told[1:] == ["adopt by person via MLflow"] and loop.serving == ("2", None, "1")
    loop.assert_agrees()


def test_one_whose_verdict_is_withdrawn_is_stopped(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.project.result(seed=2, decision="fail")
    loop.project.register()
    loop.reconcile()
    assert loop.told[2:] == ["stop by monthly flow"] and loop.serving == ("1", None, None)
    loop.assert_agrees()


@pytest.mark.parametrize(
    ("shares", "hotfix", "serving"),
    [
        ((), False, ("1", "3", None)),  # nobody has met version 2 yet
        ((0.05,), False, ("1", "2", None)),
        ((0.05,), True, ("1", "3", None)),
    ],
)
def test_a_newer_challenger(
    loop: Loop, shares: tuple[float, ...], hotfix: bool, serving: tuple[str, str | None, str | None]
) -> None:
    loop.begin(1, 2)
    for share in shares:
        moves.advance(loop.ledger, loop.entry, share, FLOW)
    loop.register(3)
    if hotfix:
        loop.make_hotfix(3, of=1)
    report = loop.reconcile()
    assert loop.serving == serving
    loop.assert_agrees()
    if serving[1] == "2":
        assert "Version 3 waits: version 2 is on trial." in report.lines()
        moves.rollback(loop.ledger, loop.entry, FLOW)
        loop.reconcile()
        assert loop.serving == ("1", "3", None) and loop.told[-1] == "start by monthly flow"
    else:
        assert loop.entry.change.hotfix is hotfix
        assert loop.told[-1] == f"start by {'hotfix' if hotfix else 'monthly'} flow"


def test_a_hotfix_in_shadow_is_not_taken_away_by_a_monthly_model(loop: Loop) -> None:
    loop.begin(1)
    loop.register(2)
    loop.make_hotfix(2, of=1)
    loop.reconcile()
    loop.register(3)
    loop.reconcile()
    assert loop.serving == ("1", "2", None)


def test_what_a_person_tries_is_not_taken_away_by_a_monthly_model_but_by_a_hotfix(loop: Loop) -> None:
    loop.begin(1)
    loop.register(2, decision="review")
    loop.give("challenger", 2)
    loop.reconcile()
    loop.register(3)
    assert "Version 3 waits: version 2 is on trial." in loop.reconcile().lines()
    assert loop.serving == ("1", "2", None)
    loop.register(4)
    loop.make_hotfix(4, of=1)
    loop.reconcile()
    assert loop.serving == ("1", "4", None) and loop.told[-1] == "start by hotfix flow"
    assert "It takes the place of version 2, whose rollout is over by that" in loop.entry.change.reason
    moves.stop(loop.ledger, loop.entry, FLOW)
    loop.reconcile()  # and what waited is not lost
    assert loop.serving == ("1", "3", None) and loop.told[-1] == "start by monthly flow"
    moves.stop(loop.ledger, loop.entry, FLOW)
    assert loop.reconcile().done[0].startswith("MLflow") and loop.serving == ("1", None, None)


def test_a_hotfix_of_another_champion_is_refused(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.register(3, 4)
    loop.make_hotfix(4, of=1)
    (refused,) = loop.reconcile().refused
    assert "it corrects another champion than version 2" in refused and loop.tag(4, REFUSED) == refused
    assert loop.serving == ("2", "3", "1"), "which keeps no other from its rollout"
    moves.rollback(loop.ledger, loop.entry, FLOW)
    moves.rollback(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.serving == ("1", "4", None) and loop.tag(4, REFUSED) is None


def test_one_that_waited_while_a_newer_one_was_tried_is_passed_over(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.advance(loop.ledger, loop.entry, 0.05, FLOW)
    loop.register(3, 4)
    loop.reconcile()
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.serving == ("2", "4", "1")
    moves.stop(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.serving == ("2", None, "1")
    loop.assert_agrees()


def test_aliases_follow_a_promotion_and_a_rollback(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.aliases() == ("2", "none", "1")
    moves.rollback(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.aliases() == ("1", "none", "none")
    loop.assert_agrees()
    assert all("person" not in told for told in loop.told)


def test_a_person_promotes_what_is_on_trial(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.give("champion", 2)
    loop.reconcile()
    assert loop.told[2:] == ["promote by person via MLflow"] and loop.serving == ("2", None, "1")
    loop.assert_agrees()


def test_a_person_who_moves_the_champion_back_rolls_back(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.begin(3)
    loop.give("champion", 1)
    loop.reconcile()
    assert loop.told[-1] == "rollback by person via MLflow" and loop.serving == ("1", None, None)
    loop.assert_agrees()
    loop.give("champion", 2)  # and forward again: that is no rollback
    loop.reconcile()
    assert loop.told[-1] == "adopt by person via MLflow" and loop.serving == ("2", None, "1")
    loop.assert_agrees()


def test_a_person_starts_and_ends_a_rollout(loop: Loop) -> None:
    loop.begin(1)
    loop.register(2, 3, decision="review")
    loop.give("challenger", 2)
    loop.reconcile()
    assert loop.told[-1] == "start by person via MLflow" and loop.serving == ("1", "2", None)
    loop.give("challenger", 3)
    report = loop.reconcile()
    assert loop.serving == ("1", "3", None) and "takes the place of the rollout" in report.done[0]
    loop.give("challenger", None)
    loop.reconcile()
    assert loop.told[-1] == "stop by person via MLflow" and loop.serving == ("1", None, None)
    loop.assert_agrees()


def test_a_person_moves_both_aliases_at_once(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.register(3, 4, decision="review")
    loop.give("champion", 3)
    loop.give("challenger", 4)
    loop.reconcile()
    assert loop.told[2:] == ["adopt by person via MLflow", "start by person via MLflow"]
    assert loop.serving == ("3", "4", "1")
    loop.assert_agrees()


def test_a_person_goes_before_a_flow_that_decided_meanwhile(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.register(3, decision="review")
    moves.promote(loop.ledger, loop.entry, FLOW)  # its aliases are still to be written
    loop.give("champion", 3)
    report = loop.reconcile()
    assert loop.told[2:] == ["promote by rollout flow", "adopt by person via MLflow"]
    assert loop.serving == ("3", None, "2")
    assert "It goes before the promote by rollout flow, epoch 3." in report.done[0]
    loop.assert_agrees()


def test_taking_an_alias_away_does_not_end_a_rollout_that_began_since(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.register(3)
    moves.start(loop.ledger, loop.entry, Model("3", loop.digest(3)), FLOW)
    loop.give("challenger", None)  # from version 2: the alias has not followed yet
    loop.reconcile()
    assert loop.serving == ("1", "3", None)
    loop.assert_agrees()


def test_the_champion_cannot_be_taken_away(loop: Loop) -> None:
    loop.begin(1)
    loop.give("champion", None)
    report = loop.reconcile()
    assert "somebody must answer" in report.refused[0] and loop.told == ["adopt by monthly flow"]
    loop.assert_agrees()


def test_a_version_that_passes_while_the_alias_is_away_gets_a_rollout_and_not_the_alias(loop: Loop) -> None:
    loop.begin(1)
    loop.give("champion", None)
    loop.register(2)
    loop.reconcile()
    assert loop.told == ["adopt by monthly flow", "start by monthly flow"]
    assert loop.serving == ("1", "2", None)
    loop.assert_agrees()


def test_the_champion_cannot_challenge_itself(loop: Loop) -> None:
    loop.begin(1)
    loop.give("challenger", 1)
    report = loop.reconcile()
    assert "cannot challenge itself" in report.refused[0] and loop.tag(1, REFUSED)
    assert loop.told == ["adopt by monthly flow"] and loop.aliases()[1] == "1"
    loop.give("challenger", None)
    loop.reconcile()
    loop.assert_agrees()


def _damage(loop: Loop) -> Callable[[], None]:
    (place,) = loop.root.glob("var/mlartifacts/**/bundles/cpu/model.onnx")
    whole = place.read_bytes()
    place.write_bytes(whole[:-1] + b"\0")
    return lambda: [place.write_bytes(whole), None][1]


def _unfinish(loop: Loop) -> Callable[[], None]:
    loop.tag(2, "registration", "pending")
    return lambda: [loop.tag(2, "registration", "complete"), None][1]


@pytest.mark.parametrize("alias", ["champion", "challenger"])
@pytest.mark.parametrize("broken", [_damage, _unfinish])
def test_a_version_that_is_not_whole_is_refused_until_it_is(
    loop: Loop, broken: Callable[[Loop], Callable[[], None]], alias: str
) -> None:
    loop.begin(1)
    shutil.rmtree(loop.root / "var/mlartifacts")
    loop.register(2, decision="review")
    mend = broken(loop)
    loop.give(alias, 2)
    for _ in range(2):
        (refused,) = loop.reconcile().refused
        assert f"version 2 as `{alias}`" in refused and loop.tag(2, REFUSED) == refused
        assert loop.told == ["adopt by monthly flow"]
        assert loop.aliases()[alias == "challenger"] == "2"
    mend()
    assert loop.reconcile().refused == () and loop.tag(2, REFUSED) is None
    assert loop.serving[alias == "challenger"] == "2"
    loop.assert_agrees()


def test_a_state_that_a_program_set_is_taken_over(loop: Loop) -> None:
    loop.register(1)
    store, now = loop.events(), loop.ledger.now()
    state = RolloutState(1, "salt", loop.digest(1), "d" * 64, 0.5, True, now)
    assert store.set_rollout_state(state, 0)
    store.close(1)
    loop.reconcile()
    assert loop.serving == ("1", None, None) and loop.entry.state.challenger is None
    loop.assert_agrees()


def test_a_state_of_an_unknown_bundle_is_an_error_that_says_so(loop: Loop) -> None:
    loop.register(1)
    store, now = loop.events(), loop.ledger.now()
    assert store.set_rollout_state(RolloutState(1, "salt", "d" * 64, None, 0.0, False, now), 0)
    store.close(1)
    with pytest.raises(TicketSentimentError, match="which no version of ticket-sentiment has"):
        loop.reconcile()


def test_a_change_in_between_is_seen(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.begin(1, 2)
    loop.register(3, decision="review")
    loop.give("champion", 3)
    real, first = moves.adopt, []

    def slow(ledger: Any, *arguments: Any) -> Any:
        if not first:
            first.append(moves.rollback(loop.ledger, loop.entry, By("command line", "Now.")))
        return real(ledger, *arguments)

    monkeypatch.setattr(moves, "adopt", slow)
    report = loop.reconcile()
    assert "Another was first (rollback by command line, epoch 3): looked again." in report.done
    assert loop.told[2:] == ["rollback by command line", "adopt by person via MLflow"]
    loop.assert_agrees()
    with pytest.raises(LedgerConflict):
        moves.stop(loop.ledger, loop.ledger.history()[2], FLOW)


def test_versions_deleted_in_mlflow_stop_nothing_else(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.begin(3)
    for version in ("1", "3"):  # who a rollback goes to, and who is on trial
        loop.store.client.delete_model_version(loop.store.model, version)
    report = loop.reconcile()
    assert loop.told[-1] == "stop by person via MLflow" and loop.serving == ("2", None, "1")
    assert "version 1, which MLflow does not have" in report.refused[0]
    assert loop.aliases() == ("2", "none", "none")
    shutil.rmtree(loop.root / loop.params.serve.releases)
    assert any("release of version 1 cannot be brought" in line for line in loop.reconcile().refused)
    assert (loop.root / loop.params.serve.releases / loop.digest(2)).is_dir()


def test_a_challenger_deleted_before_it_had_its_alias_is_stopped(loop: Loop) -> None:
    loop.begin(1)
    loop.register(2)
    moves.start(loop.ledger, loop.entry, moves.Model("2", loop.digest(2)), By("monthly flow", "It passed."))
    loop.store.client.delete_model_version(loop.store.model, "2")  # the reconcile was killed before its alias
    assert "Version 2 was deleted in MLflow." in loop.reconcile().done[0]
    assert loop.serving == ("1", None, None)
    loop.assert_agrees()


def test_mlflow_away_is_one_error_that_leaves_the_ledger(loop: Loop, monkeypatch: pytest.MonkeyPatch) -> None:
    loop.begin(1)
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    away = MlflowClient("http://127.0.0.1:9", "http://127.0.0.1:9")
    with pytest.raises(MlflowUnavailable, match="does not do what it was asked"):
        reconcile(loop.ledger, replace(loop.store, client=away), loop.params, loop.root)
    loop.reconcile()
    loop.assert_agrees()


def lose_mlflow(loop: Loop, empty: Path) -> None:
    """MLflow and its artifacts are gone; the event database and the folder of releases are not."""
    shutil.rmtree(loop.root / "var/mlartifacts")
    shutil.copyfile(empty, loop.root / "var/anew.db")
    registry = loop.params.registry.model_copy(update={"tracking_uri": "sqlite:///var/anew.db"})
    loop.params = loop.project.params = loop.params.model_copy(update={"registry": registry})
    loop.store = loop.project.store


def test_a_registry_that_was_lost_begins_anew(loop: Loop, empty_database: Path) -> None:
    """Its first version is the champion, though the ledger's has its number, and the next ones are tried."""
    loop.begin(1, 2, 3)
    moves.stop(loop.ledger, loop.entry, FLOW)
    old = loop.entry.state.champion
    lose_mlflow(loop, empty_database)
    loop.register(4)
    loop.reconcile()
    assert loop.entry.state.champion == loop.digest(1) != old and loop.aliases()[0] == "1"
    assert loop.told[-1].startswith("adopt")
    loop.register(5)
    loop.reconcile()
    assert loop.serving[:2] == ("1", "2") and loop.entry.state.challenger == loop.digest(2)
    loop.register(6)
    loop.reconcile()
    assert loop.serving[:2] == ("1", "3"), "in shadow a newer one takes its place, as in any registry"


def test_a_release_that_mlflow_has_as_another_bundle_is_not_brought(loop: Loop) -> None:
    loop.begin(1)
    shutil.rmtree(loop.root / loop.params.serve.releases)
    loop.tag(1, "bundle.cpu.digest", "0" * 64)
    (line,) = bring_releases(loop.store, loop.params, loop.entry, loop.root)
    assert "is bundle 000000000000 in MLflow, and the ledger means" in line
    assert not (loop.root / loop.params.serve.releases).exists()


def test_a_person_who_ended_a_rollout_is_not_overruled_by_a_look_that_promoted_it(
    loop: Loop,
) -> None:
    loop.begin(1, 2)
    loop.give("challenger", None)
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.told[-2:] == ["promote by rollout flow", "rollback by person via MLflow"]
    assert loop.serving[:2] == ("1", None)
    loop.assert_agrees()
    assert loop.reconcile().lines() == []


def test_a_hotfix_that_cannot_be_brought_keeps_no_monthly_model_back(loop: Loop) -> None:
    loop.begin(1)
    shutil.rmtree(loop.root / "var/mlartifacts")
    loop.register(2)
    loop.make_hotfix(2, of=1)
    _damage(loop)
    loop.reconcile()
    assert loop.serving == ("1", None, None)
    loop.register(3)
    report = loop.reconcile()
    assert loop.serving == ("1", "3", None) and "version 2 as `challenger`" in report.refused[0]


def test_a_monthly_model_that_waited_is_tried_after_a_hotfix_that_was_deleted(loop: Loop) -> None:
    loop.begin(1, 2)
    moves.advance(loop.ledger, loop.entry, 0.05, FLOW)
    loop.register(3)  # waits: version 2 answers customers
    loop.register(4)
    loop.make_hotfix(4, of=1)
    loop.reconcile()
    assert loop.serving[1] == "4"
    loop.store.client.delete_model_version(loop.store.model, "4")
    loop.reconcile()
    loop.reconcile()
    assert loop.serving == ("1", "3", None)


def test_while_a_refused_alias_lies_about_all_still_know_who_the_champion_is(loop: Loop) -> None:
    loop.begin(1, 2)
    loop.register(3)
    loop.tag(3, "registration", "pending")
    loop.give("champion", 3)
    assert loop.reconcile().refused
    moves.promote(loop.ledger, loop.entry, FLOW)
    loop.reconcile()
    assert loop.aliases()[0] == "3" and loop.serving[0] == "2"
    found = champion_version(loop.store)
    assert found is not None and str(found.version) == "2"
    loop.give("champion", 1)  # a person goes back
    loop.reconcile()
    assert loop.serving[0] == "1" and loop.aliases()[0] == "1"
    assert loop.told[-1] == "rollback by person via MLflow"


def test_a_refusal_that_is_over_is_not_told_for_ever(loop: Loop) -> None:
    loop.begin(1)
    shutil.rmtree(loop.root / "var/mlartifacts")
    loop.register(2, decision="review")
    _damage(loop)
    loop.give("champion", 2)
    loop.reconcile()
    assert loop.tag(2, REFUSED)
    loop.reconcile()
    assert loop.tag(2, REFUSED), "it has the alias still"
    loop.give("champion", 1)
    loop.reconcile()
    assert loop.tag(2, REFUSED) is None


def test_a_champion_that_was_deleted_is_said_once_and_stops_no_flow(loop: Loop) -> None:
    loop.begin(1)
    loop.store.client.delete_model_version(loop.store.model, "1")
    report = loop.reconcile()
    assert report.refused == ("the alias `champion` belongs to version 1, which MLflow does not have",)
    assert is_built(loop.params, "1", loop.root)


def test_a_folder_that_cannot_be_written_is_not_laid_to_mlflow() -> None:
    full = OSError(28, "No space left on device", "var/releases")
    wanted = pytest.raises(TicketSentimentError, match=r"var/releases: No space left on device: nothing is")
    with wanted, answering("nothing is known"):
        raise full

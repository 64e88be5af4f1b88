from dataclasses import replace
from datetime import timedelta

import pytest

from tests.rollout.evidence import BEGAN, LAST, SETTINGS, evidence, last_epoch, single
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.rollout.evidence import ByArm, Coverage, FirstLabels, PairedCounts, Unseen
from ticket_sentiment.rollout.policy import decide

WORSE = PairedCounts(both_right=2400, only_champion=260, only_challenger=120, both_wrong=310)
SAME = PairedCounts(both_right=800, only_champion=50, only_challenger=50, both_wrong=100)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def said(decision) -> str:
    return " ".join(decision.reasons)


@pytest.mark.parametrize("step", range(LAST + 1))
def test_each_step_with_all_it_needs_goes_on(step):
    decision = decide(evidence(step), SETTINGS)
    ahead = SETTINGS.steps[step + 1].share if step < LAST else 1.0
    assert (decision.action, decision.share, decision.epoch) == ("advance", ahead, step + 1)
    assert decision.reasons
    assert ("becomes the champion" if step == LAST else f"{ahead:.0%} of the customers") in decision.next


def bad_arm(name: str, champion, challenger):
    return last_epoch(evidence(LAST), **{name: ByArm(champion, challenger)})


CROSSED = {
    "paired_quality": evidence(LAST, paired=WORSE),
    "split_quality": bad_arm("quality", single(1000, 150), single(1000, 260)),
    "first_answers": bad_arm("first_labels", FirstLabels(1000, 850), FirstLabels(1000, 700)),
    "errors": bad_arm("errors", single(4000, 20), single(4000, 120)),
    "slow": bad_arm("slow", single(4000, 40), single(4000, 240)),
}


@pytest.mark.parametrize("name", CROSSED)
@pytest.mark.parametrize("also", ["", "clock", "split", "hours", "labels", "silent", "over"])
def test_a_crossed_guardrail_rolls_back_whatever_else_is_so(name, also):
    found = CROSSED[name]
    split = last_epoch(found, exposures=ByArm(7000, 1000))
    found = {
        "clock": replace(found, at=BEGAN - DAY),
        "split": split,
        "hours": replace(found, at=found.step_since),
        "labels": replace(found, coverage=ByArm(Coverage(1000, 10), Coverage(1000, 10))),
        "silent": replace(found, missed_looks=1),
        "over": replace(found, at=BEGAN + 90 * DAY),
    }.get(also, found)
    decision = decide(found, SETTINGS)
    assert (decision.action, decision.share) == ("rollback", 0.0)
    states = {rail.name: rail.state for rail in decision.guardrails}
    assert [key for key, state in states.items() if state == "crossed"] == [name]
    assert decision.reasons == tuple(rail.sentence for rail in decision.guardrails if rail.name == name)
    assert "the challenger is worse" in said(decision)
    assert ("train a new one" in decision.next) is (name not in ("errors", "slow"))
    assert ("services' log" in decision.next) is (name == "errors")
    assert ("See why it is slow" in decision.next) is (name == "slow")


def test_in_shadow_only_pairs_decide():
    decision = decide(evidence(0, paired=WORSE), SETTINGS)
    assert decision.action == "rollback"
    assert {rail.name for rail in decision.guardrails if rail.estimate is not None} == {"paired_quality"}


BLOCKED = {
    "This step has lasted 5 hours of at least": evidence(1, at=evidence(1).step_since + 5 * HOUR),
    "tickets that both models scored have a label": evidence(
        1, paired=PairedCounts(10, 1, 1, 2), at=BEGAN + 8 * DAY
    ),
    "it may still be more than 2.0 points worse": evidence(0, paired=SAME),
    "The challenger answered 3 customers in this step": last_epoch(
        evidence(1), errors=ByArm(single(7600, 38), single(3, 0))
    ),
    "60% are needed": evidence(1, coverage=ByArm(Coverage(3000, 2500), Coverage(1000, 500))),
    "No audited ticket that the challenger answered": evidence(
        1, coverage=ByArm(Coverage(3000, 2500), Coverage())
    ),
    "No audited ticket that the champion answered": evidence(0, coverage=ByArm(Coverage(), Coverage())),
    "customers, 2,000 were to be expected: the split is wrong": last_epoch(
        evidence(2), exposures=ByArm(6200, 1800)
    ),
    "customers with a label, 200 were to be expected: the split is wrong": last_epoch(
        evidence(2), first_labels=ByArm(FirstLabels(720, 600), FirstLabels(80, 67))
    ),
    "labels are lost": last_epoch(evidence(2), unlabelled=ByArm(single(750, 90), single(250, 110))),
    "their sums are not there": last_epoch(evidence(1), unlabelled=ByArm(single(0, 0), single(0, 0))),
    "Nothing new was heard of the challenger since the last look": evidence(1, missed_looks=1),
    "Nobody was heard since the last look, for 8.0 hours by now": evidence(1, silent=8 * HOUR),
    "The clocks disagree": evidence(1, at=evidence(1).step_since - HOUR),
    "The challenger failed on 30 of the 1,030 tickets": evidence(0, unseen=Unseen(1000, 30)),
    "Failed answers: challenger": last_epoch(evidence(LAST), errors=ByArm(single(400, 2), single(400, 2))),
    "Answers over the time objective: challenger": last_epoch(
        evidence(LAST), slow=ByArm(single(400, 4), single(400, 4))
    ),
}


@pytest.mark.parametrize("reason", BLOCKED)
def test_what_is_missing_blocks_the_way_and_is_named(reason):
    found = BLOCKED[reason]
    if found.step > 1:  # only the newest epoch is there, or the ones before would suffice
        found = replace(found, epochs=found.epochs[-1:])
    decision = decide(found, SETTINGS)
    assert (decision.action, decision.share) == ("wait", SETTINGS.steps[found.step].share)
    assert reason in said(decision)
    assert decision.next


def test_nothing_speaks_against_it_only_where_all_that_was_seen_speaks_for_it():
    early = evidence(0, at=BEGAN + HOUR)
    assert decide(early, SETTINGS).nothing_against
    behind = PairedCounts(both_right=160, only_champion=31, only_challenger=12, both_wrong=7)
    against = [
        replace(early, paired=behind),
        replace(early, unseen=Unseen(600, 400)),
        replace(early, missed_looks=1),
        last_epoch(evidence(1, at=evidence(1).step_since), errors=ByArm(single(7600, 38), single(400, 4))),
    ]
    for found in against:
        decision = decide(found, SETTINGS)
        assert decision.action == "wait" and not decision.nothing_against


def test_the_last_step_still_needs_the_pairs():
    decision = decide(evidence(LAST, paired=SAME), SETTINGS)
    assert decision.action == "wait"
    assert "both models on the same ticket" in said(decision)
    assert decide(evidence(1, paired=SAME), SETTINGS).action == "advance"


def test_better_may_be_asked_for_not_merely_no_worse():
    strict = SETTINGS.model_copy(update={"require_improvement": True})
    near = PairedCounts(both_right=24000, only_champion=1000, only_challenger=1010, both_wrong=3100)
    assert decide(evidence(0, paired=near), SETTINGS).action == "advance"
    decision = decide(evidence(0, paired=near), strict)
    assert decision.action == "wait"
    assert "must be better" in said(decision)
    assert decide(evidence(0), strict).action == "advance"
    assert decide(evidence(LAST), strict).action == "advance"


def test_few_failures_on_unseen_tickets_block_nothing():
    assert decide(evidence(0, unseen=Unseen(10, 2)), SETTINGS).action == "advance"
    assert decide(evidence(0, unseen=Unseen(1000, 5)), SETTINGS).action == "advance"


def test_silence_waits_then_rolls_back():
    limit = SETTINGS.missing_looks
    assert decide(evidence(1, missed_looks=limit - 1), SETTINGS).action == "wait"
    decision = decide(evidence(1, missed_looks=limit), SETTINGS)
    assert (decision.action, decision.share) == ("rollback", 0.0)
    assert "Nothing was heard of the challenger" in said(decision)


def test_a_time_without_tickets_waits_and_ends_at_its_limit():
    limit = timedelta(hours=SETTINGS.max_silent_hours)
    missed = SETTINGS.missing_looks - 1
    assert decide(evidence(1, missed_looks=missed, silent=limit - HOUR), SETTINGS).action == "wait"
    decision = decide(evidence(1, silent=limit), SETTINGS)
    assert (decision.action, decision.share) == ("rollback", 0.0)
    assert decision.reasons == ("Nobody was heard for 72.0 hours, limit 72 hours.",)


def test_when_the_days_are_over_it_stops_and_says_what_was_missing():
    over = BEGAN + timedelta(days=SETTINGS.max_days)
    decision = decide(evidence(0, paired=SAME, at=over), SETTINGS)
    assert (decision.action, decision.share) == ("stop", 0.0)
    assert "champion stays" in decision.reasons[0]
    assert "may still be more than" in decision.reasons[1]
    assert "rollout.audit_share" in decision.next
    assert decide(evidence(0, paired=SAME, at=over - HOUR), SETTINGS).action == "wait"
    assert decide(evidence(1, at=over), SETTINGS).action == "stop", "steps are left"
    assert decide(evidence(LAST, at=over), SETTINGS).action == "advance", "nothing is missing"


def test_a_hotfix_has_its_own_steps_and_the_same_guardrails():
    quick = evidence(0, hotfix=True, at=BEGAN + 2 * HOUR)
    decision = decide(quick, SETTINGS)
    assert (decision.action, decision.share) == ("advance", SETTINGS.hotfix.steps[1].share)
    assert decide(replace(quick, hotfix=False), SETTINGS).action == "wait"
    assert decide(replace(quick, paired=WORSE), SETTINGS).action == "rollback"
    assert decide(replace(quick, paired=SAME, at=BEGAN + 22 * DAY), SETTINGS).action == "stop"


def test_a_step_that_the_settings_do_not_have_is_refused():
    with pytest.raises(TicketSentimentError, match=r"step: 3 is not one of the 3 steps.*rollout\.steps"):
        decide(evidence(LAST, hotfix=True), SETTINGS)


def test_it_is_a_pure_function():
    for step in range(LAST + 1):
        assert decide(evidence(step), SETTINGS) == decide(evidence(step), SETTINGS)

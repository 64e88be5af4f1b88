from dataclasses import replace

import pytest

from tests.rollout.evidence import LAST, SETTINGS, evidence, last_epoch, single
from ticket_sentiment.rollout.evidence import ByArm, CrossSums, FirstLabels, Overlap, PairedCounts
from ticket_sentiment.rollout.guardrails import GUARDRAILS, guardrails, points, split_checks


def rails(found):
    return {rail.name: rail for rail in guardrails(found, SETTINGS)}


def newest(found):
    return replace(found, epochs=found.epochs[-1:])


@pytest.mark.parametrize("count", range(0, 200, 20))
def test_a_guardrail_is_crossed_just_where_its_interval_leaves_zero_behind(count):
    """What a person sees on the page is what decides, in both directions."""
    found = newest(evidence(
        LAST,
        paired=PairedCounts(2000, 100, 100 - count // 2, 300),
    ))  # fmt: skip
    found = last_epoch(
        found,
        quality=ByArm(single(2000, 300), single(2000, 300 + count)),
        first_labels=ByArm(FirstLabels(2000, 1700), FirstLabels(2000, 1700 - count)),
        errors=ByArm(single(4000, 20), single(4000, 20 + count)),
        slow=ByArm(single(4000, 40), single(4000, 40 + count)),
    )
    for name, rail in rails(found).items():
        bad_end = -rail.high if rail.higher_is_better else rail.low
        good_end = -rail.low if rail.higher_is_better else rail.high
        assert (rail.state == "crossed") == (bad_end > 0), name
        assert (rail.state == "crossed") == (rail.e_value >= rail.threshold * (1 - 1e-9)), name
        if rail.state != "crossed":
            assert (rail.state == "clear") == (good_end < rail.margin), name
        assert rail.low < rail.estimate < rail.high
        assert rail.threshold == pytest.approx(len(GUARDRAILS) / SETTINGS.alpha)


def test_more_right_answers_are_better_and_more_failures_worse():
    found = newest(evidence(LAST))
    found = last_epoch(
        found,
        quality=ByArm(single(2000, 300), single(2000, 200)),
        first_labels=ByArm(FirstLabels(2000, 1700), FirstLabels(2000, 1800)),
        errors=ByArm(single(4000, 100), single(4000, 20)),
        slow=ByArm(single(4000, 200), single(4000, 40)),
    )
    for name, rail in rails(found).items():
        assert rail.improved, name
        assert rail.state == "clear"
        assert (rail.estimate > 0) == rail.higher_is_better
        assert rail.e_value < 1


def test_each_sum_is_taken_from_its_own_place():
    """One metric at a time is made bad, with the overlap of its own only."""
    base = evidence(2)
    plain = rails(base)
    for name, metric in (("split_quality", "quality"), ("errors", "errors"), ("slow", "slow")):
        overlap = Overlap(2, 3, "champion", "champion", **{metric: CrossSums(400, 400, 0, 0, 0)})
        changed = rails(replace(base, overlaps=(overlap,)))
        assert {key for key in plain if plain[key] != changed[key]} == {name}
    coverage = Overlap(2, 3, "champion", "champion", unlabelled=CrossSums(400, 400, 0, 0, 0))
    assert rails(replace(base, overlaps=(coverage,))) == plain
    checks = split_checks(replace(base, overlaps=(coverage,)), SETTINGS)
    assert [check.name for check in checks] == ["exposures", "labelled", "coverage"]
    assert not any(check.wrong for check in checks)


@pytest.mark.parametrize("unlabelled", [(250, 380), (250, 130)])
def test_labels_lost_in_either_arm_are_seen(unlabelled):
    champion, challenger = unlabelled
    found = last_epoch(evidence(LAST), unlabelled=ByArm(single(1000, champion), single(1000, challenger)))
    wrong = [check for check in split_checks(found, SETTINGS) if check.wrong]
    assert [check.name for check in wrong] == ["coverage"]
    assert "labels are lost" in wrong[0].sentence


def test_in_shadow_the_ramp_says_that_it_knows_nothing():
    found = rails(evidence(0))
    for name in GUARDRAILS[1:]:
        rail = found[name]
        assert (rail.estimate, rail.low, rail.high, rail.e_value, rail.state) == (None, None, None, 1, "open")
        assert "nothing to compare yet" in rail.sentence
    assert all(check.p == 1 for check in split_checks(evidence(0), SETTINGS))
    assert all("yet" in check.sentence for check in split_checks(evidence(0), SETTINGS))


def test_sentences_have_the_figures():
    rail = rails(evidence(0))["paired_quality"]
    assert "challenger +3.0 points (+1." in rail.sentence
    assert "on 3,000 labelled tickets: at most 2.0 points worse" in rail.sentence
    errors = rails(last_epoch(newest(evidence(LAST)), errors=ByArm(single(15, 1), single(15, 1))))["errors"]
    assert "too few customers to say more" in errors.sentence


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.012, "+1.2"), (0.0012, "+0.12"), (-0.05, "−5.0"), (0.0, "+0.0"), (-1e-6, "+0.0"), (0.005, "+0.5")],
)
def test_points(value, text):
    assert points(value) == f"{text} points"

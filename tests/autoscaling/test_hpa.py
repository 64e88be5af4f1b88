"""From what metrics ask for to how many replicas there are."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ticket_sentiment.autoscaling.hpa import Autoscaler
from ticket_sentiment.autoscaling.policy import Behavior, Metric, Policy

METRICS = (Metric("in_flight", 16.0, 60.0), Metric("cpu", 0.7))


def policy(minimum=1, maximum=100, **behavior) -> Policy:
    """With the API's default behavior, or another one as a manifest has it."""
    return Policy("p", minimum, maximum, METRICS, Behavior.model_validate(behavior).filled())


def rules(*some, window=0, select="Max") -> dict:
    """A direction: rules of type, value and period."""
    return {
        "stabilizationWindowSeconds": window,
        "selectPolicy": select,
        "policies": [{"type": kind, "value": value, "periodSeconds": period} for kind, value, period in some],
    }


def follow(under: Policy, start: int, wanted, every=15.0) -> list[int]:
    """Replicas after each look, one metric asking for `wanted`."""
    scaler, current, seen = Autoscaler(under), start, []
    for look, count in enumerate(wanted):
        current = scaler.sync(look * every, current, [count])
        seen.append(current)
    return seen


@pytest.mark.parametrize(("maximum", "expected"), [(100, 24), (20, 20)])
def test_seven_times_more_pods_a_minute_make_24_of_three(maximum, expected):
    """TestUpscaleCap, TestUpscaleCapGreaterThanMaxReplicas: the metric asks for many more."""
    under = policy(3, maximum, scaleUp=rules(("Percent", 700, 60)))
    assert follow(under, 3, [180]) == [expected]


def test_the_larger_of_four_pods_and_ten_percent_goes_in_a_minute():
    """The documentation's example: 80, 72, 64 pods; from 40 on four at a time."""
    under = policy(10, scaleDown=rules(("Pods", 4, 60), ("Percent", 10, 60)))
    assert follow(under, 80, [10] * 3, 61.0) == [72, 64, 57]
    assert follow(under, 39, [10] * 3, 61.0) == [35, 31, 27]


def test_the_defaults_double_or_add_four_every_15_seconds_and_wait_300_s_to_go_down():
    assert follow(policy(), 1, [100] * 6) == [5, 10, 20, 40, 80, 100]
    down = follow(policy(), 10, [10, *[2] * 21])
    assert down[:20] == [10] * 20 and down[21] == 2  # 300 s after the last look that asked for ten


def test_a_period_counts_what_it_has_added_and_taken_before():
    under = policy(scaleUp=rules(("Pods", 4, 60)), scaleDown=rules(("Percent", 100, 15)))
    assert follow(under, 2, [50, 50, 50, 50, 50]) == [6, 6, 6, 6, 10]  # from 60 s on the first four are old
    assert follow(under, 2, [6, 2, 50]) == [6, 2, 6]  # three gone again: the period began with two


def test_the_smallest_change_or_none_where_the_policy_says_so():
    both = (("Pods", 4, 60), ("Percent", 100, 60))
    assert follow(policy(scaleUp=rules(*both, select="Min")), 10, [50]) == [14]
    assert follow(policy(scaleUp=rules(*both, select="Max")), 10, [50]) == [20]
    assert follow(policy(scaleUp=rules(*both, select="Disabled")), 10, [50]) == [10]
    assert follow(policy(scaleDown=rules(*both, select="Min")), 10, [1]) == [6]
    assert follow(policy(scaleDown=rules(*both, select="Disabled")), 10, [1]) == [10]


def test_a_window_for_up_takes_the_lowest_and_one_for_down_the_highest():
    up = policy(scaleUp=rules(("Percent", 900, 15), window=60))
    assert follow(up, 2, [8, 8, 8, 8, 8]) == [
        2,
        2,
        2,
        2,
        8,
    ]  # the 2 it began with is 60 s old at the fifth look
    down = policy(scaleDown=rules(("Percent", 100, 15), window=60))
    assert follow(down, 9, [3, 7, 3, 5, 3, 3]) == [9, 9, 9, 9, 7, 5]


def test_outside_its_limits_it_comes_back_at_once_whatever_is_asked():
    assert Autoscaler(policy(3, 20)).sync(0, 1, [None]) == 3
    assert Autoscaler(policy(3, 20)).sync(0, 40, [40]) == 20


def test_the_most_that_is_asked_for_wins_and_a_missing_metric_never_takes_away():
    scaler = Autoscaler(policy(scaleDown=rules(("Percent", 100, 15))))
    assert scaler.sync(0, 5, [4, 8]) == 8
    assert scaler.sync(15, 8, [4, None]) == 8
    assert scaler.sync(30, 8, [None, None]) == 8
    assert scaler.sync(45, 8, [9, None]) == 9
    assert scaler.sync(60, 9, [4, 3]) == 4


counts = st.integers(0, 60)
asked = st.lists(st.tuples(counts | st.none(), counts | st.none()), min_size=1, max_size=40)
shipped_like = policy(
    3,
    20,
    scaleUp=rules(("Percent", 100, 30), ("Pods", 4, 30)),
    scaleDown=rules(("Percent", 25, 60), window=300),
)


@settings(max_examples=60, deadline=None)
@given(asked, st.integers(3, 20))
def test_it_stays_in_its_limits_and_takes_nothing_away_while_a_metric_is_missing(looks, start):
    scaler, current = Autoscaler(shipped_like), start
    for look, proposals in enumerate(looks):
        after = scaler.sync(15.0 * look, current, proposals)
        assert 3 <= after <= 20
        assert after >= current or None not in proposals
        current = after


@settings(max_examples=60, deadline=None)
@given(st.lists(counts, min_size=1, max_size=40), st.integers(3, 20))
def test_it_goes_down_to_no_less_than_any_look_of_the_window_asked_for(wanted, start):
    current = start
    scaler = Autoscaler(shipped_like)
    for look, count in enumerate(wanted):
        after = scaler.sync(15.0 * look, current, [count])
        if after < current:
            assert after >= min(20, max(wanted[max(0, look - 19) : look + 1]))
        current = after


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(counts, counts), min_size=1, max_size=30))
def test_who_is_asked_for_more_never_has_less(pairs):
    less = [min(pair) for pair in pairs]
    more = [max(pair) for pair in pairs]
    free = policy(scaleUp=rules(("Percent", 10_000, 15)), scaleDown=rules(("Percent", 100, 15), window=60))
    assert all(a <= b for a, b in zip(follow(free, 1, less), follow(free, 1, more), strict=True))

"""What KEDA tells the autoscaler while a trigger fails."""

import pytest

from ticket_sentiment.autoscaling.keda import Trigger
from ticket_sentiment.autoscaling.policy import Fallback
from ticket_sentiment.autoscaling.replicas import Tolerances, average_value


def fallback(behavior="static", threshold=3, replicas=6) -> Fallback:
    return Fallback(failureThreshold=threshold, replicas=replicas, behavior=behavior)


def test_a_reading_passes_and_only_more_failures_than_the_threshold_bring_the_fallback():
    trigger = Trigger(16.0, fallback())
    assert trigger.value(40.0, 3) == 40.0
    assert [trigger.value(None, 3) for _ in range(4)] == [None, None, None, 96.0]
    assert trigger.value(0.0, 3) == 0.0  # nothing in flight is a reading
    assert trigger.value(None, 3) is None  # and the count begins anew


def test_without_a_fallback_a_failing_trigger_stays_missing():
    trigger = Trigger(16.0, None)
    assert [trigger.value(None, 3) for _ in range(10)] == [None] * 10


@pytest.mark.parametrize(
    ("behavior", "of_three", "of_nine"),
    [("static", 6, 6), ("currentReplicas", 3, 9), ("currentReplicasIfHigher", 6, 9),
     ("currentReplicasIfLower", 3, 6)],
)  # fmt: skip
def test_the_autoscaler_makes_just_the_fallbacks_replicas_of_it(behavior, of_three, of_nine):
    for current, expected in ((3, of_three), (9, of_nine)):
        value = Trigger(16.0, fallback(behavior, 0)).value(None, current)
        assert value is not None
        assert average_value(value, 16.0, current, Tolerances(0.1, 0.1)) == expected

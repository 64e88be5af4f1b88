"""What a metric asks for, by the worked examples of kubernetes' own tests (replica_calculator_test.go)."""

import pytest

from ticket_sentiment.autoscaling.replicas import Pod, Tolerances, average_value, utilisation

TEN_PERCENT = Tolerances(0.1, 0.1)
OFF = None  # no sample


def pods(levels, states=(), requests=()) -> list[Pod]:
    """Pods by the thousandths of a core that they use; each asks for one core unless it says so."""
    states = [*states, *["ready"] * (len(levels) - len(states))]
    requests = [*requests, *[1.0] * (len(levels) - len(requests))]
    return [
        Pod(request, None if level is None else level / 1000, state)
        for level, state, request in zip(levels, states, requests, strict=True)
    ]


@pytest.mark.parametrize(
    ("name", "current", "some", "target", "expected"),
    [
        ("ScaleUp", 3, pods([300, 500, 700]), 0.30, 5),
        ("ScaleUpUnreadyLessScale", 3, pods([300, 500, 700], ["unready"]), 0.30, 4),
        ("ScaleUpUnreadyNoScale", 3, pods([400, 500, 700], ["ready", "unready", "unready"]), 0.30, 3),
        ("ScaleUpIgnoresFailedPods", 2, pods([500, 700, OFF, OFF], ["ready"] * 2 + ["ignored"] * 2), 0.30, 4),
        ("ScaleDown", 5, pods([100, 300, 500, 250, 250]), 0.50, 3),
        ("ScaleDownIncludeUnreadyPods", 5, pods([100, 300, 500, 250, 250], ["ready"] * 3 + ["unready"] * 2),
         0.50, 2),
        ("ScaleDownExcludeUnscheduledPods", 5, pods([100] + [OFF] * 4, ["ready"] + ["unready"] * 4), 0.50, 1),
        ("ScaleDownIgnoresDeletionPods", 5, pods([100, 300, 500, 250, 250, OFF, OFF],
         ["ready"] * 5 + ["ignored"] * 2), 0.50, 3),
        ("Tolerance", 3, pods([1010, 1030, 1020], requests=[0.9, 1.0, 1.1]), 1.00, 3),
        ("MissingMetrics", 4, pods([400, 95, OFF, OFF]), 1.00, 3),
        ("MissingMetricsNoChangeEq", 2, pods([1000, OFF]), 1.00, 2),
        ("MissingMetricsNoChangeGt", 2, pods([1900, OFF]), 1.00, 2),
        ("MissingMetricsNoChangeLt", 2, pods([600, OFF]), 1.00, 2),
        ("MissingMetricsUnreadyChange", 3, pods([100, 450, OFF], ["unready"]), 0.50, 3),
        ("MissingMetricsUnreadyScaleUp", 3, pods([100, 2000, OFF], ["unready"]), 0.50, 4),
        ("MissingMetricsUnreadyScaleDown", 4, pods([100, 100, 100, OFF], ["unready"]), 0.50, 3),
        ("DuringRollingUpdateWithMaxSurge", 2, pods([100, 100, OFF]), 0.50, 2),
    ],
)  # fmt: skip
def test_a_resource_asks_for_what_kubernetes_says(name, current, some, target, expected):
    assert utilisation(some, target, current, TEN_PERCENT) == expected, name


def test_the_usage_is_cut_off_to_whole_percent():
    """77.9 % of the request are 77, just ten percent above a target of 70."""
    assert utilisation(pods([779] * 10), 0.70, 10, TEN_PERCENT) == 10
    assert utilisation(pods([780] * 10), 0.70, 10, TEN_PERCENT) == 12


@pytest.mark.parametrize("some", [[], pods([OFF, OFF]), pods([500], ["unready"]), pods([500], ["ignored"])])
def test_without_a_sample_of_a_ready_pod_a_resource_is_missing(some):
    assert utilisation(some, 0.5, 3, TEN_PERCENT) is None


@pytest.mark.parametrize(
    ("name", "total", "target", "replicas", "expected"),
    [
        ("ScaleUpPerPodCMExternal", 8600, 2150, 3, 4),
        ("ScaleDownPerPodCMExternal", 8600, 2867, 5, 3),
        ("TolerancePerPodCMExternal", 8600, 2900, 3, 3),
        ("half of the target, of the documentation", 50, 100, 4, 1),
        ("just ten percent above", 110, 10, 10, 10),
        ("more than that", 111, 10, 10, 12),
        ("nothing in flight", 0, 16, 3, 0),
    ],
)
def test_an_external_average_asks_for_what_kubernetes_says(name, total, target, replicas, expected):
    assert average_value(total, target, replicas, TEN_PERCENT) == expected, name


def test_each_direction_has_its_own_tolerance():
    eager_up = Tolerances(down=0.3, up=0.0)
    assert average_value(164, 16, 10, eager_up) == 11
    assert average_value(120, 16, 10, eager_up) == 10
    assert average_value(110, 16, 10, eager_up) == 7

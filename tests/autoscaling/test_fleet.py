"""Pods and nodes: what starts when, what goes first, and what an interruption costs under which budget."""

import pytest

from ticket_sentiment.autoscaling.fleet import Fleet
from ticket_sentiment.autoscaling.surroundings import Surroundings

NODE, POD, STOP, IDLE = 60.0, 20.0, 11.0, 120.0


def around(unavailable: int | float = 0.25) -> Surroundings:
    return Surroundings(NODE, POD, STOP, IDLE, 15.0, 0.6, unavailable)


def run(fleet: Fleet, first: int, last: int) -> list[int]:
    """Serving pods in each second."""
    seen = []
    for second in range(first, last):
        fleet.advance(second)
        seen.append(fleet.serving)
    return seen


def test_a_pod_comes_after_its_node_and_its_start_and_sooner_where_a_node_is_free():
    fleet = Fleet(around(), 2)
    run(fleet, 0, 10)
    fleet.scale(10, 3)
    assert run(fleet, 10, 100)[-20:] == [2] * 10 + [3] * 10  # at 10 + 60 + 20
    fleet.scale(100, 2)
    assert fleet.serving == 2 and len(fleet.pods) == 3
    run(fleet, 100, 150)
    assert len(fleet.pods) == 2 and fleet.nodes == 3
    fleet.scale(150, 3)  # on the node that is still there
    assert run(fleet, 150, 180)[-12:] == [2] * 2 + [3] * 10


def test_an_empty_node_is_paid_until_it_is_taken_away():
    fleet = Fleet(around(), 3)
    fleet.scale(0, 2)
    run(fleet, 0, int(STOP + IDLE))
    assert fleet.nodes == 3
    run(fleet, int(STOP + IDLE), int(STOP + IDLE) + 2)
    assert fleet.nodes == 2


def test_pods_that_are_not_ready_go_first_then_the_youngest():
    fleet = Fleet(around(), 2)
    fleet.scale(0, 3)
    fleet.advance(1)
    fleet.scale(1, 2)
    assert fleet.serving == 2 and [pod.number for pod in fleet.present] == [0, 1]
    fleet.scale(2, 1)
    assert [pod.number for pod in fleet.present] == [0]


@pytest.mark.parametrize(
    ("unavailable", "fewest", "killed"),
    [(1, 8, 2), (0.25, 7, 0), (0.5, 5, 0)],
)
def test_half_of_ten_pods_are_interrupted(unavailable, fewest, killed):
    """One at a time, two of five are still there when their nodes go; half at once, five answer alone."""
    fleet = Fleet(around(unavailable), 10)
    run(fleet, 0, 10)
    fleet.interrupt(10, 0.5)
    seen = run(fleet, 10, 600)
    assert (min(seen), fleet.killed) == (fewest, killed)
    assert seen[-1] == 10 and fleet.nodes == 10 and len(fleet.pods) == 10 and fleet.unnoticed == 0


def test_a_pod_whose_node_went_gets_requests_until_somebody_notices():
    fleet = Fleet(around(0), 4)  # a budget that lets nobody go
    fleet.interrupt(0, 0.5)
    run(fleet, 0, 121)
    assert (fleet.serving, fleet.unnoticed, fleet.killed) == (2, 2, 2)
    run(fleet, 121, 161)
    assert (fleet.serving, fleet.unnoticed) == (2, 0)
    assert run(fleet, 161, 200)[-1] == 4  # on the nodes that Karpenter had started at the notice


@pytest.mark.parametrize(
    ("unavailable", "replicas", "healthy", "expected"),
    [(1, 10, 10, 1), (1, 10, 9, 0), (0.25, 3, 3, 1), (0.25, 5, 5, 2), (0.25, 12, 12, 3), (0.25, 12, 8, 0)],
)
def test_a_share_of_a_budget_is_rounded_up(unavailable, replicas, healthy, expected):
    assert around(unavailable).evictable(replicas, healthy) == expected

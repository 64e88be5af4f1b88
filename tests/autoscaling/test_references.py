"""What policies are held against, worked out by hand."""

import numpy as np
import pytest

from ticket_sentiment.autoscaling.queue import worker
from ticket_sentiment.autoscaling.references import clairvoyant, fixed, missed_with
from ticket_sentiment.costs.speed import Work

TABLE = worker(Work(np.array([10.0]), np.array([1.0])), 200.0, 15)  # 100 requests a second


def test_a_pod_is_paid_from_its_start_and_no_longer_than_it_is_needed():
    calm, busy = [50] * 600, [150] * 300
    day = np.array(calm + busy + calm)
    known = clairvoyant(day, TABLE, 1, (1, 5), 0.001, 60.0)
    assert set(known.serving) == {1, 2}
    assert known.replica_seconds == 1500 + 300 + 60  # the second pod: its five minutes, and its start
    assert known.missed / known.requests < 0.001


def test_it_keeps_the_fewest_and_cannot_have_more_than_the_most():
    quiet, flood = np.full(300, 1), np.full(300, 5000)
    assert set(clairvoyant(quiet, TABLE, 1, (3, 5), 0.001, 60.0).serving) == {3}
    drowned = clairvoyant(flood, TABLE, 1, (3, 5), 0.001, 60.0)
    assert set(drowned.serving) == {5} and drowned.missed / drowned.requests == pytest.approx(0.875, abs=0.01)


def test_a_fleet_that_never_changes_misses_what_its_pods_miss():
    day = np.full(300, 150)
    enough, short = fixed(day, TABLE, 1, 2), fixed(day, TABLE, 1, 1)
    assert enough.replica_seconds == 600 and enough.missed / enough.requests < 0.001
    assert short.missed / short.requests == pytest.approx(1 / 3, abs=0.01)
    assert short.missed == pytest.approx(missed_with(day, 1, TABLE, 1).sum())
    assert 1 - short.share_missed == pytest.approx(2 / 3, abs=0.01)
    assert sum(short.missed_by_minute) == pytest.approx(short.missed)

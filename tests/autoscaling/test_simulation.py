"""Days under a policy, small ones by hand and the shipped policy's own."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from ticket_sentiment.autoscaling.policy import Fallback, Policy
from ticket_sentiment.autoscaling.simulation import Day, blind, scale_downs, simulate
from ticket_sentiment.autoscaling.traffic import Scenario
from ticket_sentiment.autoscaling.trial import Setting

PLAIN = Scenario("plain")
HOUR = 3600


def day(
    setting: Setting, rate, scenario: Scenario = PLAIN, policy: Policy | None = None, pods: int = 3
) -> Day:
    """Hours of steady traffic, in pods' worth of work a second."""
    sent = np.concatenate([np.full(int(HOUR * hours), round(load * 1000)) for hours, load in rate])
    policy = policy or setting.policies[0]
    return simulate(policy, scenario, sent, setting.worker, setting.workers, setting.around, 7, pods)


def test_where_nothing_changes_the_hours_are_those_of_its_pods(setting: Setting):
    still = day(setting, [(2, 2.0)])
    assert still.changes == [] and still.replica_seconds == still.node_seconds == 3 * 2 * HOUR
    assert still.missed / still.requests < 1e-6 and set(still.serving) == {3}


def test_it_grows_by_its_rules_and_shrinks_a_quarter_a_minute_after_five_quiet_minutes(setting: Setting):
    grown = day(setting, [(0.5, 2.0), (0.5, 8.0), (1, 2.0)])
    ups = [change for change in grown.changes if change[2] > change[1]]
    assert ups[0][1] == 3 and all(after <= max(2 * before, before + 4) for _, before, after in ups)
    assert 10 <= max(grown.serving) <= 20
    downs = [change for change in grown.changes if change[2] < change[1] and change[0] >= HOUR]
    assert downs[0][0] >= HOUR + 300 - 15 and grown.serving[-1] == 3
    assert all(after >= before * 0.75 - 1 for _, before, after in downs)
    assert all(later[0] - first[0] >= 60 for first, later in pairwise(downs))


def test_the_objective_is_missed_only_until_the_pods_are_there(setting: Setting):
    grown = day(setting, [(0.5, 2.0), (0.5, 8.0)])
    late = [minute for minute, missed in enumerate(grown.missed_by_minute) if missed > 1]
    assert late and set(late) <= set(range(30, 36))
    assert sum(grown.missed_by_minute) == pytest.approx(grown.missed)


def away(first: float, last: float, metrics: bool) -> Scenario:
    spans = ((int(first * HOUR), int(last * HOUR)),)
    return Scenario("away", prometheus_away=spans, metrics_away=spans if metrics else ())


@pytest.mark.parametrize("metrics", [False, True])
def test_lost_metrics_take_no_pod_away_though_the_load_falls(setting: Setting, metrics: bool):
    falling = [(0.5, 8.0), (1, 1.0), (0.5, 1.0)]
    scenario = away(0.5, 1.5, metrics)
    lost = day(setting, falling, scenario, pods=12)
    assert scale_downs(lost, scenario.prometheus_away) == 0
    assert lost.serving[80] >= 12 and lost.serving[-1] == 3  # once they are back they go
    seen = day(setting, falling, pods=12)
    assert scale_downs(seen, scenario.prometheus_away) > 0  # as the load itself would have had it


def test_a_fallback_of_a_fixed_number_takes_pods_away_and_the_shipped_one_does_not(setting: Setting):
    """The trap that `currentReplicasIfHigher` is for, where no other trigger holds the pods."""
    shipped = setting.policies[0]
    alone = replace(shipped, metrics=shipped.metrics[:1])
    static = replace(alone, fallback=Fallback(failureThreshold=3, replicas=6))
    scenario = away(0.05, 0.9, False)
    kept = day(setting, [(1, 8.0)], scenario, alone, 12)
    shrunk = day(setting, [(1, 8.0)], scenario, static, 12)
    assert scale_downs(kept, scenario.prometheus_away) == 0 and kept.serving[50] >= 12
    assert scale_downs(shrunk, scenario.prometheus_away) > 0 and shrunk.serving[50] == 6
    assert shrunk.missed > 100 * kept.missed


def test_without_metrics_the_processor_alone_still_adds_pods(setting: Setting):
    rising = day(setting, [(0.5, 2.0), (1, 8.0)], away(0.4, 1.5, False))
    assert max(rising.serving) >= 10
    blind = day(setting, [(0.5, 2.0), (1, 8.0)], away(0.4, 1.5, True))
    assert max(blind.serving) == 6  # the fallback's, and no more


def test_half_of_the_pods_unseen_halves_what_is_in_flight_and_the_processor_holds_the_rest(setting: Setting):
    spans = ((HOUR // 4, HOUR),)
    shipped = setting.policies[0]
    half = day(setting, [(1, 5.0)], Scenario("half", half_scraped=spans), pods=8)
    assert min(half.serving) >= 7
    alone = replace(shipped, metrics=shipped.metrics[:1])
    deceived = day(setting, [(1, 5.5)], Scenario("half", half_scraped=spans), alone, 6)
    seen = day(setting, [(1, 5.5)], PLAIN, alone, 6)
    assert deceived.missed > 2 * seen.missed


@pytest.mark.parametrize(("unavailable", "lost"), [(1, True), (0.25, False)])
def test_an_interruption_of_half_of_many_pods_loses_requests_only_under_a_budget_of_one(
    setting: Setting, unavailable, lost
):
    around = replace(setting.around, unavailable=unavailable)
    scenario = Scenario("notice", notice=HOUR // 4)
    found = day(replace(setting, around=around), [(0.5, 8.0)], scenario, pods=12)
    assert (found.lost > 0) is lost and (found.killed > 0) is lost


def test_equal_seeds_give_equal_days(setting: Setting):
    first, again = (day(setting, [(0.2, 6.0)]) for _ in range(2))
    assert first == again


def test_a_policy_is_blind_only_while_a_metric_of_its_own_is_missing(setting: Setting):
    keda = setting.policies[0]
    hpa = replace(keda, metrics=keda.metrics[1:])
    prometheus, everything = away(1, 2, False), away(1, 2, True)
    assert blind(prometheus, keda) == ((HOUR, 2 * HOUR),) and blind(prometheus, hpa) == ()
    assert blind(everything, hpa) == ((HOUR, 2 * HOUR),)
    assert blind(Scenario("half", half_scraped=((1, 2),)), keda) == ()

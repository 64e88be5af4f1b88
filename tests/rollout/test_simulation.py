"""A few hundred rollouts; the 2,000 of each kind are in benchmarks/rollout."""

from dataclasses import replace
from math import sqrt

import numpy as np
import pytest

from tests.rollout.evidence import SETTINGS
from tests.support.params import params_of_tests
from ticket_sentiment import cli
from ticket_sentiment.rollout.policy import decide
from ticket_sentiment.rollout.scenario import Scenario, Traffic
from ticket_sentiment.rollout.simulation import Outcome, simulate, summarise, table
from ticket_sentiment.rollout.world import World

OBJECTIVE = params_of_tests().serve.objective_ms
BUSY = Traffic(tickets_per_day=4000.0, looks_per_day=1)  # quicker to simulate: fewer looks until the end


def summary(scenario: Scenario, runs: int, settings=SETTINGS):
    return summarise(scenario, [simulate(scenario, BUSY, settings, OBJECTIVE, seed) for seed in range(runs)])


@pytest.mark.parametrize(
    "scenario",
    [
        Scenario("5 points worse", gain=-0.05),
        Scenario("2 % more errors", more_errors=0.02),
        Scenario("50 % slower", slower=1.5),
    ],
    ids=lambda scenario: scenario.name,
)
def test_a_bad_challenger_is_rolled_back(scenario):
    found = summary(scenario, 60)
    assert found.rolled_back >= 0.95
    assert found.promoted == found.false_promotion == 0
    assert found.false_rollback is None
    assert found.days < SETTINGS.max_days


def test_a_good_challenger_is_promoted_and_not_rolled_back():
    found = summary(Scenario("2 points better", gain=0.02), 60)
    assert found.promoted >= 0.8
    assert found.rolled_back <= 0.05 + 3 * sqrt(0.05 * 0.95 / 60)
    assert found.labels > SETTINGS.steps[-1].min_labels
    assert found.days >= sum(step.min_hours for step in SETTINGS.steps) / 24


def test_an_equal_challenger_is_not_rolled_back_and_not_called_better():
    strict = SETTINGS.model_copy(update={"require_improvement": True, "max_days": 10.0})
    found = summary(Scenario("equal"), 100, strict)
    limit = SETTINGS.alpha + 3 * sqrt(SETTINGS.alpha * (1 - SETTINGS.alpha) / 100)
    assert found.promoted <= limit
    assert found.rolled_back <= limit
    assert found.stopped > 0.5


def test_lost_labels_hold_it_back():
    outcomes = [
        simulate(Scenario("l", lost_labels=0.3), BUSY, SETTINGS, OBJECTIVE, seed) for seed in range(15)
    ]
    assert {outcome.ending for outcome in outcomes} == {"stopped"}


def test_a_hotfix_is_decided_sooner():
    better = Scenario("better", gain=0.04)
    slow, quick = (
        np.median([simulate(better, BUSY, SETTINGS, OBJECTIVE, seed, hotfix).days for seed in range(15)])
        for hotfix in (False, True)
    )
    assert quick < slow


def test_the_same_seed_is_the_same_rollout():
    first, again, other = (simulate(Scenario("e"), BUSY, SETTINGS, OBJECTIVE, seed) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_the_world_counts_what_it_made():
    """Every total of the evidence, found twice: over customers and over tickets."""
    traffic = replace(BUSY, label_share=1.0, label_hours=0.001)
    settings = SETTINGS.model_copy(update={"maturity_hours": 0.0, "audit_share": 1.0, "pair_hours": 1e-9})
    scenario = Scenario("e", errors=0.0, gain=-0.03)
    world = World(scenario, traffic, settings, OBJECTIVE, np.random.default_rng(2))
    world.step()
    before = world.tickets
    world.begin_step(1, 0.3)
    for _ in range(3):
        world.step()
    world.begin_step(2, 0.6)
    world.step()
    found = world.evidence(hotfix=False)
    served = [sums for item in found.epochs for sums in item.errors]
    assert sum(sums.n for sums in served) == world.tickets - before
    assert sum(sums.y for sums in served) == 0
    late = 100  # tickets of the last seconds, whose labels have not come
    assert world.tickets - late < found.paired.labels <= world.tickets
    wrong = sum(sums.y for item in found.epochs for sums in item.quality)
    judged = sum(sums.n for item in found.epochs for sums in item.quality)
    assert wrong / judged == pytest.approx(1 - 0.785, abs=0.03)
    gain = (found.paired.only_challenger - found.paired.only_champion) / found.paired.labels
    assert gain == pytest.approx(-0.03, abs=0.015)
    firsts = [labels for item in found.epochs for labels in item.first_labels]
    assert sum(labels.units for labels in firsts) <= traffic.customers
    assert sum(units for item in found.epochs for units in item.exposures) <= traffic.customers
    assert found.epochs[0].first_labels.champion.units > found.epochs[1].first_labels.champion.units
    moved = {(item.earlier_arm, item.later_arm): item.errors.units for item in found.overlaps}
    assert moved[("champion", "champion")] > 0
    assert moved[("champion", "challenger")] > 0, "the ramp moves customers to the challenger"
    assert ("challenger", "champion") not in moved, "and none back"
    assert decide(found, settings).epoch == world.epoch


def test_the_table_marks_mistakes():
    outcomes = [Outcome("promoted", 8.0, 1600, 900, ()), Outcome("rolled back", 4.0, 800, 500, ("errors",))]
    good, bad = (
        list(table([summarise(scenario, outcomes)]))[-1]
        for scenario in (Scenario("g"), Scenario("b", gain=-0.1))
    )
    assert good == "| g | 50.0% | **50.0%** | 0.0% | 6.0 | 1,200 | 700 |"
    assert bad == "| b | **50.0%** | 50.0% | 0.0% | 6.0 | 1,200 | 700 |"


def test_the_command_prints_the_table(in_repository, capsys):
    options = ["--runs", "1", "--tickets-per-day", "300", "--looks-per-day", "1", "--label-share", "0.5"]
    assert cli.main(["simulate", *options]) == 0
    printed = capsys.readouterr().out
    assert "300 tickets a day of 2,000 customers, 1 looks a day; a label for 50% of the audited" in printed
    assert printed.count("\n| ") == 2 + 8


@pytest.mark.parametrize(
    "options",
    [
        ["--runs", "0"],
        ["--tickets-per-day", "-1"],
        ["--tickets-per-day", "nan"],
        ["--customers", "1"],
        ["--label-share", "1.5"],
        ["--label-hours", "0"],
        ["--looks-per-day", "0"],
    ],
    ids=" ".join,
)
def test_an_option_out_of_range_is_named(in_repository, capsys, options):
    assert cli.main(["simulate", *options]) == 2
    assert f"{options[0]}: expected" in capsys.readouterr().err

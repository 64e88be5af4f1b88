"""Against closed forms, an older library, and chance itself."""

from itertools import product

import numpy as np
import pytest
import ville
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import betainc, betaln
from statsmodels.stats.contingency_tables import mcnemar

from ticket_sentiment.rollout import betting
from ticket_sentiment.rollout.betting import first_labels, log_capital_at, lower_bound, paired, upper_bound
from ticket_sentiment.rollout.evidence import ByArm, FirstLabels, PairedCounts

counts = st.integers(0, 400)


def pairs(champion: int, challenger: int, same: int = 0) -> betting.Outcomes:
    return paired(PairedCounts(same, champion, challenger, 0))


def worse(champion: int, challenger: int, same: int = 0) -> float:
    """Log-capital against "the challenger is right as often"."""
    return log_capital_at(pairs(champion, challenger, same).mirrored, 0.0)


def mcnemar_with_beta_mixture(champion: int, challenger: int) -> float:
    """Log of the anytime-valid McNemar test's e-value: P(challenger right) uniform below a half."""
    return float(
        np.log(2) + betaln(challenger + 1, champion + 1)
        + np.log(betainc(challenger + 1, champion + 1, 0.5)) + (champion + challenger) * np.log(2)
    )  # fmt: skip


@pytest.mark.parametrize(("champion", "challenger"), [(3, 1), (25, 3), (40, 10), (60, 40), (600, 500)])
def test_at_zero_it_is_the_anytime_valid_mcnemar_test(monkeypatch, champion, challenger):
    """With stakes spread evenly, as the mixture that has a closed form; ours favour small differences."""
    ours = worse(champion, challenger)
    closed = mcnemar_with_beta_mixture(champion, challenger)
    assert ours == pytest.approx(closed, abs=1.2)
    monkeypatch.setattr(betting, "STAKES", (np.arange(20_000) + 0.5) / 20_000)
    assert worse(champion, challenger) == pytest.approx(closed, abs=1e-4)


@given(counts, counts, counts)
def test_tickets_on_which_the_models_agree_tell_nothing_about_who_is_better(champion, challenger, same):
    assert worse(champion, challenger, same) == pytest.approx(worse(champion, challenger), abs=1e-9)


@given(counts, counts)
def test_it_never_claims_more_than_the_fixed_test_of_statsmodels(champion, challenger):
    """A test that holds at every look cannot be surer than the exact one that holds at one."""
    exact = mcnemar([[0, champion], [challenger, 0]], exact=True).pvalue
    assert exp_p(worse(champion, challenger)) >= exact / 2 * (1 - 1e-9)


def exp_p(log_capital: float) -> float:
    return min(1.0, float(np.exp(-log_capital)))


def test_capital_is_that_of_a_gambler_ticket_by_ticket():
    outcomes = [1, -1, 0, 0, 1, -1, -1, 0, 1, 1]
    for mean in (-0.3, -0.01, 0.0, 0.2):
        stakes = betting.STAKES / (mean + 1)
        capital = np.mean([np.prod([1 + stake * (x - mean) for x in outcomes]) for stake in stakes])
        assert log_capital_at(pairs(3, 4, 3), mean) == pytest.approx(np.log(capital))


def test_no_order_and_no_stake_makes_it_grow_under_the_hypothesis():
    """The expected capital after all sequences of four tickets is one, at the hypothesis' edge."""
    shares = {1: 0.2, 0: 0.55, -1: 0.25}
    total = 0.0
    for tickets in product(shares, repeat=4):
        likelihood = np.prod([shares[ticket] for ticket in tickets])
        found = pairs(tickets.count(-1), tickets.count(1), tickets.count(0))
        total += likelihood * np.exp(log_capital_at(found, -0.05))
    assert total == pytest.approx(1.0)


def test_the_same_of_weighted_first_labels_in_two_epochs():
    """Expected capital over all outcomes of one unit in each epoch: one, where the arms are equal."""
    total, right = 0.0, 0.7
    cells = [(arm, ok) for arm in (0, 1) for ok in (0, 1)]
    for first, second in product(cells, cells):
        likelihood, epochs = 1.0, []
        for share, (arm, ok) in ((0.05, first), (0.25, second)):
            likelihood *= (share if arm else 1 - share) * (right if ok else 1 - right)
            label, none = FirstLabels(1, ok), FirstLabels()
            epochs.append((share, ByArm(none, label) if arm else ByArm(label, none)))
        total += likelihood * np.exp(log_capital_at(first_labels(epochs).mirrored, 0.0))
    assert total == pytest.approx(1.0)


def test_first_labels_estimate_the_difference_whatever_the_shares():
    """Equal in each epoch, but the epochs differ: raw pooled shares would call the challenger worse."""
    epochs = [
        (0.05, ByArm(FirstLabels(9500, 8550), FirstLabels(500, 450))),  # an easy week: 90 %
        (0.50, ByArm(FirstLabels(5000, 3500), FirstLabels(5000, 3500))),  # a hard one: 70 %
    ]
    raw = (450 + 3500) / 5500 - (8550 + 3500) / 14500
    assert raw < -0.1
    assert first_labels(epochs).mean == pytest.approx(0.0, abs=1e-12)


@given(counts, counts, counts, st.sampled_from([0.05, 0.01]))
def test_bounds_are_where_the_capital_reaches_its_target(champion, challenger, same, alpha):
    found = pairs(champion, challenger, same)
    low, high = lower_bound(found, alpha), upper_bound(found, alpha)
    assert -1 <= low <= high <= 1
    if low > -1:
        assert log_capital_at(found, low) >= -np.log(alpha) - 1e-9
        assert log_capital_at(found, low + 3e-6) < -np.log(alpha)
    mirrored = pairs(challenger, champion, same)
    assert low == pytest.approx(-upper_bound(mirrored, alpha))
    if champion + challenger + same:
        assert low <= found.mean <= high


def test_more_evidence_narrows_it_and_a_better_challenger_raises_it():
    widths = [
        upper_bound(pairs(5 * k, 5 * k, 90 * k), 0.05) - lower_bound(pairs(5 * k, 5 * k, 90 * k), 0.05)
        for k in (1, 4, 16, 64)
    ]
    assert widths == sorted(widths, reverse=True)
    lows = [lower_bound(pairs(50, gains, 900), 0.05) for gains in range(20, 120, 10)]
    assert lows == sorted(lows)


def test_the_interval_is_near_that_of_ville(seed=3):
    """Its sequence chooses stakes from the outcomes before; ours are fixed, so not equal but close."""
    random = np.random.default_rng(seed)
    tickets = random.choice([-1, 0, 1], p=[0.05, 0.88, 0.07], size=4000)
    theirs = ville.BettingCS(bounds=(-1, 1), alpha=0.1, intersect=False).fit(tickets).interval()
    found = pairs(int((tickets == -1).sum()), int((tickets == 1).sum()), int((tickets == 0).sum()))
    ours = lower_bound(found, 0.05), upper_bound(found, 0.05)
    assert ours[1] - ours[0] < 1.15 * (theirs[1] - theirs[0])
    assert ours == pytest.approx(theirs, abs=0.006)


def test_nothing_seen_is_nothing_known():
    assert worse(0, 0) == 0.0
    assert (lower_bound(pairs(0, 0), 0.05), upper_bound(pairs(0, 0), 0.05)) == (-1.0, 1.0)
    assert first_labels([]).mean is None


def test_false_alarms_stay_below_alpha_with_a_look_at_every_ticket():
    """600 models that are equal, 800 disagreements each: at most 5 % + 3 standard errors ever reach 20."""
    random = np.random.default_rng(11)
    gains = random.random((600, 800)) < 0.5
    grows = np.log1p(betting.STAKES)[:, None]
    falls = np.log1p(-betting.STAKES)[:, None]
    alarms = 0
    for run in gains:
        won = np.cumsum(run)
        logs = grows * (np.arange(1, 801) - won) + falls * won
        capital = np.logaddexp.reduce(logs, axis=0) - np.log(len(betting.STAKES))
        assert capital[-1] == pytest.approx(worse(800 - int(won[-1]), int(won[-1])))
        alarms += capital.max() >= np.log(20)
    assert alarms / 600 <= 0.05 + 3 * np.sqrt(0.05 * 0.95 / 600)
    assert alarms > 0, "a test that never alarms would be useless"

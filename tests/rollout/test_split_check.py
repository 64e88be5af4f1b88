import math

import numpy as np
import pytest
from scipy.stats import binom, dirichlet_multinomial

from ticket_sentiment.rollout.evidence import ByArm
from ticket_sentiment.rollout.split_check import CONCENTRATIONS, log_bayes_factor, split_p


@pytest.mark.parametrize("share", [0.05, 0.25, 0.5])
@pytest.mark.parametrize("counts", [(0, 0), (1, 0), (0, 3), (950, 50), (700, 400), (90_000, 10_000)])
def test_it_is_the_ratio_of_the_two_likelihoods_of_scipy(share, counts):
    champion, challenger = counts
    total, logs = champion + challenger, []
    for concentration in CONCENTRATIONS:
        prior = [concentration * share, concentration * (1 - share)]
        expected = dirichlet_multinomial.logpmf([challenger, champion], prior, total)
        expected -= binom.logpmf(challenger, total, share)
        assert log_bayes_factor(champion, challenger, share, concentration) == pytest.approx(
            expected, abs=1e-6
        )
        logs.append(expected)
    p = min(1.0, np.exp(np.log(len(logs)) - np.logaddexp(*logs)))
    assert split_p([(share, ByArm(*counts))]) == pytest.approx(p, rel=1e-5)


def test_epochs_count_by_their_own_shares():
    """Pooled, 30 % of these customers were challenged; each epoch is as it should be."""
    right = [(0.05, ByArm(9500, 500)), (0.5, ByArm(5000, 5000))]
    assert split_p(right) == 1.0
    lost = [(0.05, ByArm(9500, 300)), (0.5, ByArm(5000, 5000))]
    assert split_p(lost) < 1e-6


def test_nothing_seen_is_no_alarm():
    assert split_p([]) == 1.0
    assert split_p([(0.05, ByArm(0, 0))]) == 1.0


def test_an_arm_that_nobody_is_seen_in_is_found_at_once():
    assert split_p([(0.25, ByArm(60, 0))]) < 0.001
    assert split_p([(0.25, ByArm(10**8, 0))]) == 0.0


def test_a_fifth_lost_is_found_among_some_thousand_customers():
    random = np.random.default_rng(3)
    kept = random.binomial(5000, 0.25 * 0.8 / 0.95, 300)
    found = [split_p([(0.25, ByArm(5000 - int(k), int(k)))]) < 0.001 for k in kept]
    assert np.mean(found) > 0.9


def test_false_alarms_stay_below_alpha_with_many_looks():
    """1,500 right splits, a look at each fifty customers: at 1 %, at most 1 % + 3 standard errors."""
    random, alpha = np.random.default_rng(4), 0.01
    seen = np.cumsum(random.random((1500, 4000)) < 0.25, axis=1)[:, 49::50]
    looks = range(50, 4001, 50)
    alarms = sum(
        any(split_p([(0.25, ByArm(n - k, k))]) <= alpha for n, k in zip(looks, run, strict=True))
        for run in seen.tolist()
    )
    assert alarms / 1500 <= alpha + 3 * math.sqrt(alpha * (1 - alpha) / 1500)

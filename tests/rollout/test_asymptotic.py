"""Against a regression with clustered errors, an older library, a plain sum over customers, and chance."""

import math

import numpy as np
import pytest
import statsmodels.api as sm
from ville import normal_mixture

from tests.support.sums import sums_of_units
from ticket_sentiment.rollout.asymptotic import (
    MIN_UNITS,
    Difference,
    difference,
    log_e_value,
    lower_bound,
    mixing_precision,
    upper_bound,
)
from ticket_sentiment.rollout.evidence import ByArm, UnitSums

SHARES = {1: 0.1, 2: 0.3, 3: 0.5}


def ramp(random, customers=400, hardship=True, effect=0.0):
    """Rows of `sums_of_units`: customers who come back in each epoch, and stay or move to the challenger."""
    buckets = random.random(customers)
    hard = random.beta(0.3, 1.7, customers) if hardship else np.full(customers, 0.15)
    rows = []
    for epoch, share in SHARES.items():
        for number in range(customers):
            n = int(random.poisson(2.0))
            arm = "challenger" if buckets[number] < share else "champion"
            y = int(random.binomial(n, min(hard[number] + effect * (arm == "challenger"), 1)))
            rows.append((str(number), epoch, arm, n, y))
    return rows


def found_in(rows, overlaps=True) -> Difference:
    cells, pairs = sums_of_units(rows)
    numbers = sorted({row[1] for row in rows})
    epochs = [
        ByArm(*(cells.get((number, arm), UnitSums()) for arm in ("champion", "challenger")))
        for number in numbers
    ]

    def key(cell):
        return numbers.index(cell[0]), cell[1] == "challenger"

    return difference(epochs, {(key(a), key(b)): s for (a, b), s in pairs.items()} if overlaps else {})


def test_one_epoch_is_a_regression_with_clustered_errors():
    """Each arm's share as an intercept, errors clustered by customer, statsmodels' small-sample factor."""
    rows = [row for row in ramp(np.random.default_rng(1)) if row[1] == 3]
    shares, variances = {}, {}
    for arm in ("champion", "challenger"):
        outcomes, groups = [], []
        for unit, _, which, n, y in rows:
            if which == arm:
                outcomes += [1.0] * y + [0.0] * (n - y)
                groups += [int(unit)] * n
        fitted = sm.OLS(np.array(outcomes), np.ones(len(outcomes))).fit(
            cov_type="cluster", cov_kwds={"groups": np.array(groups)}
        )
        shares[arm], variances[arm] = fitted.params[0], fitted.cov_params()[0, 0]
    found = found_in(rows)
    assert found.estimate == pytest.approx(shares["challenger"] - shares["champion"])
    assert found.variance == pytest.approx(sum(variances.values()), rel=2e-3)  # (n - 1) / (n - 1)


def test_a_ramp_is_the_sum_over_customers_of_their_squared_residuals():
    rows = ramp(np.random.default_rng(2))
    cells, _ = sums_of_units(rows)
    weights = {
        epoch: cells[epoch, "champion"].n * cells[epoch, "challenger"].n
        / (cells[epoch, "champion"].n + cells[epoch, "challenger"].n)
        for epoch in SHARES
    }  # fmt: skip
    total = sum(weights.values())
    residuals: dict[str, float] = {}
    estimate = 0.0
    for unit, epoch, arm, n, y in rows:
        cell = cells[epoch, arm]
        sign = 1 if arm == "challenger" else -1
        slope = sign * weights[epoch] / (total * cell.n)
        residuals[unit] = residuals.get(unit, 0.0) + slope * (y - n * cell.y / cell.n)
        estimate += slope * y
    found = found_in(rows)
    assert found.estimate == pytest.approx(estimate)
    # Ours has the small-sample factor u / (u - 1) on each cell.
    assert found.variance == pytest.approx(sum(r**2 for r in residuals.values()), rel=0.02)
    assert found.variance > 1.1 * found_in(rows, overlaps=False).variance, "the same customers come back"


def test_the_spread_of_many_ramps_is_the_variance_it_says():
    random = np.random.default_rng(3)
    results = [found_in(ramp(random, customers=250)) for _ in range(250)]
    spread = np.var([found.estimate for found in results])
    assert np.mean([found.variance for found in results]) == pytest.approx(spread, rel=0.3)


def test_epochs_are_never_pooled_raw():
    easy = ByArm(single(9500, 950), single(500, 50))
    hard = ByArm(single(5000, 1500), single(5000, 1500))
    raw = (50 + 1500) / 5500 - (950 + 1500) / 14500
    assert raw > 0.1
    assert difference([easy, hard], {}).estimate == pytest.approx(0.0)


def single(n: int, y: int) -> UnitSums:
    return UnitSums(n, n, y, n, y, y)


def sums_of(n, y) -> UnitSums:
    return UnitSums(*map(int, ((n > 0).sum(), n.sum(), y.sum(), n @ n, n @ y, y @ y)))


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.0005])
@pytest.mark.parametrize("standard_error", [0.002, 0.01, 0.2])
def test_the_bound_is_that_of_ville(alpha, standard_error):
    found = Difference(0.03, standard_error**2, ByArm(1, 1))
    rho = mixing_precision(0.01, alpha)
    radius = float(normal_mixture(found.information, alpha, rho, one_sided=True)) / found.information
    assert lower_bound(found, alpha, rho) == pytest.approx(0.03 - radius)
    assert upper_bound(found, alpha, rho) == pytest.approx(0.03 + radius)
    assert log_e_value(found, lower_bound(found, alpha, rho), rho) == pytest.approx(-math.log(alpha))


def test_it_is_tightest_where_it_is_tuned_for():
    for alpha in (0.05, 0.01):
        wanted = 0.01

        def radius(tuned, alpha=alpha, wanted=wanted):
            rho = mixing_precision(tuned, alpha)
            return -lower_bound(Difference(0.0, wanted**2, ByArm(1, 1)), alpha, rho)

        best = min(radius(tuned) for tuned in np.geomspace(0.001, 0.1, 60))
        assert radius(wanted) < 1.01 * best
        assert radius(0.05) > 1.05 * best


def test_the_two_sided_form_is_equation_9_of_the_paper():
    """With v = N / sigma**2 and rho**2 = 1 / (rho * sigma**2), as the module says; ville's is the oracle."""
    n, sigma, rho, alpha = 800, 0.4, 37.0, 0.05
    v, r2 = n / sigma**2, 1 / (rho * sigma**2)
    paper = sigma * math.sqrt(2 * (n * r2 + 1) / (n**2 * r2) * math.log(math.sqrt(n * r2 + 1) / alpha))
    assert float(normal_mixture(v, alpha, rho)) / v == pytest.approx(paper)


def test_too_few_customers_or_one_arm_only_say_nothing():
    few = MIN_UNITS - 1
    crowd = UnitSums(units=1, n=5000, y=5000, nn=5000**2, ny=5000**2, yy=5000**2)
    for arm in (single(few, few), crowd):
        found = difference([ByArm(single(1000, 10), arm)], {})
        assert found.estimate == pytest.approx(0.99)
        assert (found.information, lower_bound(found, 0.05, 1.0), log_e_value(found, 0.0, 1.0)) == (
            0,
            None,
            0,
        )
    nobody = difference([ByArm(single(1000, 10), UnitSums())], {})
    assert (nobody.estimate, nobody.information, upper_bound(nobody, 0.05, 1.0)) == (None, 0.0, None)
    assert difference([], {}).estimate is None


def test_a_customer_who_sends_nearly_all_and_changes_the_arm_is_no_crowd():
    """Each arm has its twenty in one of the epochs, and no epoch has them in both."""
    many = sums_of(np.full(40, 2.0), np.ones(40))
    one = sums_of(np.array([5000.0] + [2.0] * 39), np.array([5000.0] + [1.0] * 39))
    found = difference([ByArm(one, many), ByArm(many, one)], {})
    assert found.information == 0
    assert difference([ByArm(one, many), ByArm(many, many)], {}).information > 0


def test_the_first_customer_of_a_step_ends_no_rollout_and_counts_with_the_others():
    def difference_with(customers: int) -> Difference:
        """A step without a failure, and one in which a customer of the challenger sends 40 that fail."""
        failing = sums_of(
            np.array([40.0] + [2.0] * (customers - 1)), np.array([40.0] + [0.0] * (customers - 1))
        )
        one = ByArm(sums_of(np.full(950, 2.0), np.zeros(950)), sums_of(np.full(50, 2.0), np.zeros(50)))
        return difference([one, ByArm(sums_of(np.full(300, 2.0), np.zeros(300)), failing)], {})

    first, later = difference_with(1), difference_with(2000)
    assert first.estimate == 0 and first.requests == ByArm(1900, 100)
    assert log_e_value(first, 0.0, mixing_precision(0.01, 0.01)) < 0
    assert later.estimate > 0 and later.requests.challenger == 100 + 40 + 2 * 1999


def test_one_customer_with_many_tickets_hides_nothing_that_was_seen():
    """An epoch that counts must not stop to, or a guardrail that was crossed would be clear again."""
    rho = mixing_precision(0.005, 0.01)
    before = ByArm(sums_of(np.full(950, 10.0), np.zeros(950)), sums_of(np.full(50, 10.0), np.zeros(50)))
    failing = np.arange(600) % 20 == 0
    worse = sums_of(np.full(600, 10.0), 10.0 * failing)
    for heavy in (10.0, 2000.0):
        champion = sums_of(np.array([heavy] + [10.0] * 599), np.zeros(600))
        found = difference([before, ByArm(champion, worse)], {})
        assert found.estimate > 0.01
        assert log_e_value(found, 0.0, rho) > math.log(100)


def test_no_failure_so_far_is_not_none_for_ever():
    found = difference([ByArm(single(300, 0), single(300, 0))], {})
    rho = mixing_precision(0.005, 0.05)
    assert found.estimate == 0
    assert upper_bound(found, 0.05, rho) > 0.005, "three hundred without a failure do not prove half a point"
    many = difference([ByArm(single(30_000, 0), single(30_000, 0))], {})
    assert upper_bound(many, 0.05, rho) < 0.005


def test_false_alarms_stay_below_alpha_with_many_looks():
    """Equal arms of clustered customers, forty looks each: at most 5 % + 3 standard errors alarm."""
    random, runs, customers = np.random.default_rng(5), 400, 300
    rho, alarms = mixing_precision(0.02, 0.05), 0
    for _ in range(runs):
        rates = np.exp(random.standard_normal(customers))
        hard = random.beta(1, 6, customers)
        arm = random.random(customers) < 0.3
        n, y = np.zeros(customers, dtype=int), np.zeros(customers, dtype=int)
        for _ in range(40):
            more = random.poisson(rates / 4)
            n, y = n + more, y + random.binomial(more, hard)
            sums = [sums_of(n[cell], y[cell]) for cell in (~arm, arm)]
            if log_e_value(difference([ByArm(*sums)], {}), 0.0, rho) >= -math.log(0.05):
                alarms += 1
                break
    assert alarms / runs <= 0.05 + 3 * math.sqrt(0.05 * 0.95 / runs)

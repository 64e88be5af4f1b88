import numpy as np
import pytest
from scipy.stats import binomtest

from tests.support.stub_models import bag_of_words, dislikes, probabilities
from ticket_sentiment.behaviour.cases import plan
from ticket_sentiment.behaviour.check import check, rate, rise
from ticket_sentiment.behaviour.specification import SUITE, read_suite


@pytest.fixture(scope="module")
def suite():
    return plan(read_suite(SUITE / "absent.yaml"), 20, 7)


def failing(suite, model) -> dict[str, float]:
    """Failure rate by test."""
    scored = probabilities(model, suite.texts)
    return {planned.test.name: check(planned, scored, 0.1).failed.mean() for planned in suite.tests}


def test_a_model_that_is_blind_for_negation_is_caught_by_the_negation_tests(suite):
    found = failing(suite, bag_of_words)
    for name in ("praise-of-a-product", "complaint-about-a-product", "liking", "questions-about-facts"):
        assert found[name] == 0.0
    for name in ("negated-praise", "negated-complaint", "negated-complaint-about-people"):
        assert found[name] == 1.0


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("Fatima|Mohammed|Aisha|Omar", {"first-names-by-origin"}),
        ("she|her", {"pronouns-as-subject", "pronouns-as-object"}),
        ("Muslim", {"religions"}),
        ("blind|deaf|autistic|wheelchair", {"disabilities"}),
    ],
)
def test_a_model_that_reacts_to_who_it_is_about_is_caught_by_the_fairness_tests(suite, word, names):
    before, after = failing(suite, bag_of_words), failing(suite, dislikes(word))
    fairness = {planned.test.name for planned in suite.tests if planned.test.kind == "fairness"}
    assert {name for name in fairness if after[name] > before[name]} == names
    planned = next(planned for planned in suite.tests if planned.test.name in names)
    gaps = [
        check(planned, probabilities(model, suite.texts), 0.1).gap for model in (bag_of_words, dislikes(word))
    ]
    assert gaps[0] == 0.0 and gaps[1] > 0.3


def test_a_model_that_gives_way_to_form_is_caught_by_invariance_and_robustness(suite):
    def shouted(text):
        return "negative" if text.isupper() else "positive" if "web form" in text else bag_of_words(text)

    before, after = failing(suite, bag_of_words), failing(suite, shouted)
    assert {name for name in after if after[name] > before[name]} == {"all-caps", "a-footer-behind"}


def test_a_model_that_holds_praise_against_one_is_caught_by_the_directional_tests(suite):
    found = failing(suite, lambda text: "negative" if "best" in text or "!" in text else "positive")
    assert found["praise-behind-praise"] > 0.3 and found["blame-behind-praise"] == 0.0


def test_the_worst_case_is_the_surest_mistake(suite):
    planned = suite.tests[0]
    scored = np.tile([0.1, 0.1, 0.8], (len(suite.texts), 1))
    scored[planned.rows[3, 0]] = [0.97, 0.02, 0.01]
    scored[planned.rows[5, 0]] = [0.4, 0.3, 0.3]
    checked = check(planned, scored, 0.1)
    assert list(checked.failed.nonzero()[0]) == [3, 5] and checked.badness.argmax() == 3


@pytest.mark.parametrize(("failures", "cases"), [(0, 20), (1, 110), (55, 110), (110, 110)])
def test_the_interval_is_wilson_s(failures, cases):
    expected = binomtest(failures, cases).proportion_ci(method="wilson")
    found = rate(failures, cases)
    assert (found["low"], found["high"]) == pytest.approx((expected.low, expected.high))
    assert found["value"] == failures / cases


def test_the_rise_is_of_the_same_cases():
    first, second = np.arange(100) < 30, np.arange(100) < 10
    found = rise(first, second)
    assert found["value"] == pytest.approx(0.2) and 0.1 < found["low"] < 0.2 < found["high"] < 0.3
    assert rise(second, first)["value"] == pytest.approx(-0.2)
    none = rise(first, first)
    assert none["value"] == 0 and none["low"] == pytest.approx(-none["high"]) and none["high"] < 0.03
    disjoint = rise(first, np.arange(100) >= 70)  # as many cases, others: less sure
    assert disjoint["value"] == 0 and disjoint["high"] > 0.1

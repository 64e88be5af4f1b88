import numpy as np
import pytest
from sklearn.metrics import (
    accuracy_score,
    brier_score_loss,
    confusion_matrix,
    f1_score,
    precision_recall_fscore_support,
)

from ticket_sentiment.gates import metrics
from ticket_sentiment.labels import LABELS


def drawn(rows: int = 600, seed: int = 0, skill: float = 0.7) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    actual = generator.choice(3, rows, p=[0.5, 0.2, 0.3])
    guess = generator.integers(3, size=rows)
    return actual, np.where(generator.random(rows) < skill, actual, guess)


@pytest.mark.parametrize("seed", range(5))
def test_counts_agree_with_scikit_learn(seed):
    actual, predicted = drawn(seed=seed)
    confusion = metrics.confusion_matrix(actual, predicted)
    assert confusion.tolist() == confusion_matrix(actual, predicted, labels=[0, 1, 2]).tolist()
    assert metrics.macro_f1(confusion) == pytest.approx(f1_score(actual, predicted, average="macro"))
    assert metrics.accuracy(confusion) == pytest.approx(accuracy_score(actual, predicted))
    expected = precision_recall_fscore_support(actual, predicted, labels=[0, 1, 2])
    report = metrics.class_report(confusion, LABELS)
    for position, name in enumerate(("precision", "recall", "f1", "rows")):
        assert [report[label][name] for label in LABELS] == pytest.approx(list(expected[position]))


@pytest.mark.parametrize(
    ("actual", "predicted"),
    [([0, 0, 2], [0, 2, 2]), ([0, 0, 0], [0, 0, 0]), ([1, 1], [0, 0]), ([0, 1], [2, 1])],
)
def test_absent_classes_are_treated_as_scikit_learn_treats_them(actual, predicted):
    confusion = metrics.confusion_matrix(np.array(actual), np.array(predicted))
    expected = f1_score(actual, predicted, average="macro", zero_division=0)
    assert metrics.macro_f1(confusion) == pytest.approx(expected)


def test_no_rows_are_no_number_and_what_cannot_be_divided_is_null():
    empty = np.zeros((3, 3), dtype=int)
    assert np.isnan(metrics.macro_f1(empty)) and np.isnan(metrics.accuracy(empty))
    assert metrics.class_report(empty, LABELS)["neutral"] == {
        "precision": None,
        "recall": None,
        "f1": None,
        "rows": 0,
    }
    assert metrics.Interval(float("nan"), 0.1, 0.2).as_json() == {"value": None, "low": 0.1, "high": 0.2}


def test_leading_axes_are_resamples():
    stacked = np.stack([metrics.confusion_matrix(*drawn(seed=seed)) for seed in range(4)])
    assert metrics.macro_f1(stacked) == pytest.approx([float(metrics.macro_f1(one)) for one in stacked])
    assert metrics.accuracy(stacked) == pytest.approx([float(metrics.accuracy(one)) for one in stacked])


def probabilities(rows: int = 5000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities, and labels drawn from them: perfectly calibrated."""
    generator = np.random.default_rng(seed)
    p = generator.dirichlet([0.7, 0.7, 0.7], rows)
    return p, (generator.random((rows, 1)) > p.cumsum(axis=1)).sum(axis=1)


def test_brier_agrees_with_scikit_learn_and_has_its_limits():
    p, actual = probabilities()
    assert metrics.brier(p, actual) == pytest.approx(brier_score_loss(actual, p, labels=[0, 1, 2]))
    truth = np.eye(3)[actual]
    assert metrics.brier(truth, actual) == 0
    assert metrics.brier(np.roll(truth, 1, axis=1), actual) == 2


def test_calibration_error_by_hand():
    p = np.array([[0.9, 0.1, 0.0]] * 10 + [[0.2, 0.6, 0.2]] * 10)
    actual = np.array([0] * 7 + [1] * 3 + [1] * 6 + [0] * 4)  # right 7 of 10 at 0.9, 6 of 10 at 0.6
    assert metrics.expected_calibration_error(p, actual) == pytest.approx(0.5 * 0.2)
    table = metrics.reliability_table(p, actual)
    assert [row["rows"] for row in table] == [10, 10]
    assert [row["accuracy"] for row in table] == pytest.approx([0.6, 0.7])


def test_calibration_error_is_small_for_honest_and_large_for_boastful_probabilities():
    p, actual = probabilities()
    assert metrics.expected_calibration_error(p, actual) < 0.02
    boastful = p**4 / (p**4).sum(axis=1, keepdims=True)
    assert metrics.expected_calibration_error(boastful, actual) > 0.1
    assert np.isnan(metrics.expected_calibration_error(np.zeros((0, 3)), np.zeros(0, dtype=int)))


@pytest.mark.parametrize(("rows", "boast", "most", "least"), [(300, 0, 0.12, 0), (300, 0.12, 1, 0.8)])
def test_what_few_rows_do_by_chance_is_told_from_a_model_that_boasts(rows, boast, most, least):
    above = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        stated = generator.uniform(0.5, 1.0, rows)
        wrong = generator.random(rows) > stated - boast
        probabilities = np.column_stack([stated, 1 - stated])
        error = metrics.expected_calibration_error(probabilities, wrong.astype(int))
        above += error > metrics.calibration_error_by_chance(probabilities, 200, 0)
    assert least <= above / 100 <= most


def test_a_confidence_on_an_edge_is_in_the_bin_below_and_one_is_in_the_last():
    table = metrics.reliability_table(
        np.array([[1.0, 0, 0], [0.8, 0.2, 0], [0.75, 0.25, 0]]), np.array([0, 0, 0]), 5
    )
    assert [row["rows"] for row in table] == [2, 1]


def test_clusters_are_customers_and_a_row_without_one_stands_alone():
    codes = metrics.cluster_codes(["a", None, "b", "a", float("nan"), None], 6)
    assert codes.tolist() == [0, 1, 2, 0, 3, 4]


def interval(actual, predicted, clusters, samples=400, seed=0):
    drawn_confusions = metrics.bootstrap_confusions(actual, {"m": predicted}, clusters, samples, seed)["m"]
    value = metrics.accuracy(metrics.confusion_matrix(actual, predicted))
    return metrics.percentile_interval(value, metrics.accuracy(drawn_confusions))


def test_resamples_keep_the_number_of_rows_and_repeat_with_the_seed():
    actual, predicted = drawn(50)
    clusters = np.arange(50)
    first = metrics.bootstrap_confusions(actual, {"m": predicted}, clusters, 100, 3)["m"]
    again = metrics.bootstrap_confusions(actual, {"m": predicted}, clusters, 100, 3)["m"]
    other = metrics.bootstrap_confusions(actual, {"m": predicted}, clusters, 100, 4)["m"]
    assert (first.sum(axis=(1, 2)) == 50).all()
    assert (first == again).all() and not (first == other).all()


def test_chunks_do_not_change_the_draws(monkeypatch):
    actual, predicted = drawn(50)
    whole = metrics.bootstrap_confusions(actual, {"m": predicted}, np.arange(50), 100, 3)["m"]
    monkeypatch.setattr(metrics, "_CHUNK_CELLS", 50 * 7)
    assert (metrics.bootstrap_confusions(actual, {"m": predicted}, np.arange(50), 100, 3)["m"] == whole).all()


def test_the_interval_covers_the_truth_about_as_often_as_it_says():
    hits = 0
    for seed in range(200):
        actual, predicted = drawn(300, seed=seed)
        found = interval(actual, predicted, np.arange(300), seed=seed)
        hits += found.low <= 0.7 + 0.3 / 3 <= found.high
    assert 0.90 <= hits / 200 <= 0.99


def test_tickets_of_one_customer_widen_the_interval():
    actual, predicted = drawn(200)
    rows = np.repeat(np.arange(200), 4)  # each customer sends the same ticket four times
    single = interval(actual[rows], predicted[rows], np.arange(800))
    clustered = interval(actual[rows], predicted[rows], rows)
    assert clustered.high - clustered.low == pytest.approx(2 * (single.high - single.low), rel=0.25)


def test_differences_on_the_same_resamples_are_tighter_than_on_different_ones():
    actual, predicted = drawn(1000)
    nearly = predicted.copy()
    nearly[:20] = actual[:20]
    paired = metrics.bootstrap_confusions(actual, {"a": predicted, "b": nearly}, np.arange(1000), 400, 0)
    apart = metrics.bootstrap_confusions(actual, {"b": nearly}, np.arange(1000), 400, 1)["b"]
    spread = np.std(metrics.macro_f1(paired["b"]) - metrics.macro_f1(paired["a"]))
    assert spread < 0.3 * np.std(metrics.macro_f1(apart) - metrics.macro_f1(paired["a"]))
    assert (metrics.accuracy(paired["b"]) >= metrics.accuracy(paired["a"])).all()


def test_of_one_customer_alone_nothing_is_known_and_of_few_little():
    actual, predicted = drawn(200)

    def clustered(clusters):
        drawn_confusions = metrics.bootstrap_confusions(actual, {"m": predicted}, clusters, 400, 0)["m"]
        value = metrics.accuracy(metrics.confusion_matrix(actual, predicted))
        found = metrics.clustered_interval(value, metrics.accuracy(drawn_confusions), clusters.max() + 1)
        return found, interval(actual, predicted, clusters)

    alone, narrow = clustered(np.zeros(200, dtype=int))
    assert narrow.low == narrow.high and (alone.low, alone.high) == (0, 1)
    few, narrow = clustered(np.arange(200) % 4)
    assert few.high - few.low == pytest.approx(metrics.few_clusters(4) * (narrow.high - narrow.low))
    many, narrow = clustered(np.arange(200))
    assert many.high - many.low == pytest.approx(narrow.high - narrow.low, rel=0.01)


def test_an_interval_without_finite_values_says_so():
    assert np.isnan(metrics.percentile_interval(0.5, np.full(10, np.nan)).low)


def test_risk_falls_with_coverage_where_confidence_means_something():
    probabilities = np.array([[0.9, 0.1], [0.8, 0.2], [0.8, 0.2], [0.6, 0.4]])
    actual = np.array([0, 0, 1, 1])
    confidence, coverage, risk = metrics.risk_coverage(probabilities, actual)
    assert confidence.tolist() == [0.9, 0.8, 0.6]
    assert coverage.tolist() == [0.25, 0.75, 1.0]
    assert risk.tolist() == pytest.approx([0, 1 / 3, 0.5])
    found = metrics.abstention(probabilities, actual, below=0.7)
    assert found == pytest.approx(
        {"below": 0.7, "coverage": 0.75, "risk": 1 / 3, "risk_of_all": 0.5, "aurc": 0.5 / 3 + 0.25 * 0.5}
    )
    nothing = metrics.abstention(probabilities, actual, below=0.95)
    assert (nothing["coverage"], nothing["risk"]) == (0.0, None)

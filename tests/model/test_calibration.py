import numpy as np
import pytest
from scipy.special import softmax

from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.calibration import HIGHEST, LOWEST, fit_temperature, negative_log_likelihood


def sampled(rows: int = 20_000, scale: float = 1.0, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Logits, and labels drawn from their softmax: calibrated; then the logits are multiplied by `scale`."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(0, 2, (rows, 3))
    noise = generator.gumbel(size=logits.shape)  # argmax of logits + Gumbel noise is a draw from the softmax
    return logits * scale, (logits + noise).argmax(axis=1)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_it_finds_the_temperature_that_the_logits_were_made_with(scale):
    assert fit_temperature(*sampled(scale=scale)) == pytest.approx(scale, rel=0.05)


@pytest.mark.parametrize("scale", [0.25, 1.0, 3.0])
def test_from_what_a_calibrated_model_says_it_is_found_in_few_rows(scale):
    logits, _ = sampled(rows=20)
    assert fit_temperature(logits * scale, softmax(logits, axis=1)) == pytest.approx(scale, rel=1e-3)


def test_no_other_temperature_is_likelier():
    logits, labels = sampled(rows=500, scale=2.0)
    best = fit_temperature(logits, labels)
    loss = negative_log_likelihood(logits, labels, best)
    grid = [negative_log_likelihood(logits, labels, t) for t in np.geomspace(LOWEST, HIGHEST, 400)]
    assert loss <= min(grid) + 1e-9


def test_shifted_and_huge_logits_do_not_overflow():
    logits, labels = sampled(rows=1000)
    expected = fit_temperature(logits, labels)
    assert fit_temperature(logits + 1e6, labels) == pytest.approx(expected, rel=1e-3)
    assert LOWEST <= fit_temperature(logits * 1e4, labels) <= HIGHEST


def test_a_flawless_model_gets_the_lowest_temperature_and_a_useless_one_the_highest():
    labels = np.array([0, 1, 2] * 50)
    right = np.eye(3)[labels]
    assert fit_temperature(right, labels) == pytest.approx(LOWEST, rel=1e-3)
    assert fit_temperature(-right, labels) == pytest.approx(HIGHEST, rel=1e-3)


def test_single_precision_and_one_row_work():
    assert LOWEST <= fit_temperature(np.array([[0.2, 0.1, 0.0]], dtype=np.float32), np.array([1])) <= HIGHEST


@pytest.mark.parametrize(
    ("logits", "labels", "named"),
    [
        (np.zeros((0, 3)), np.zeros(0, dtype=int), "split.json"),
        (np.zeros((2, 3)), np.array([0]), "same number of rows"),
        (np.zeros((2, 3)), np.zeros((2, 2)), "same number of rows"),
        (np.array([[np.nan, 0, 0]]), np.array([0]), "diverged"),
        (np.array([[np.inf, 0, 0]]), np.array([0]), "diverged"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(logits, labels, named):
    with pytest.raises(TicketSentimentError, match=named):
        fit_temperature(logits, labels)

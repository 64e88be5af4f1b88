import pytest

from tests.support.frontier import frontier_point
from ticket_sentiment.errors import TicketSentimentError
from ticket_sentiment.model.frontier import allowed, inside, read_frontier, write_frontier
from ticket_sentiment.params import Budget


def budget(max_loss=0.01, max_mb=None, max_ms=None):
    return Budget(max_loss=max_loss, margin=0.002, max_mb=max_mb, max_ms=max_ms, tries=2)


def names(points, limits):
    return [point.name for point in allowed(points, limits, "package:base")]


def test_the_cheapest_inside_the_budget_comes_first():
    points = [
        frontier_point(name="middle", ms=1.0),
        frontier_point(name="lossy", ms=0.2, tune_loss=0.02),
        frontier_point(name="fast", ms=0.5, tune_loss=0.008),
    ]
    assert names(points, budget()) == ["fast", "middle"]
    assert names(points, budget(max_loss=0.03)) == ["lossy", "fast", "middle"]


@pytest.mark.parametrize(
    ("change", "limits"),
    [
        ({"tune_loss": 0.0101}, {}),
        ({"tune_loss": 0.0081}, {}),
        ({"mb": 10.1}, {"max_mb": 10.0}),
        ({"ms": 1.1}, {"max_ms": 1.0}),
        ({"base_model": "package:other"}, {}),
        ({"kind": "dense_int8"}, {}),
        ({"kind": "upper_layers_dropped"}, {}),
        ({"kind": "trained_from_scratch"}, {}),
    ],
)
def test_every_limit_shuts_a_point_out(change, limits):
    assert names([frontier_point()], budget(**limits)) == ["2x2x32-e8"]
    assert names([frontier_point(**change)], budget(**limits)) == []


def test_the_holdout_has_no_say():
    assert names([frontier_point(loss=0.5, loss_high=0.9)], budget()) == ["2x2x32-e8"]


def test_a_latency_that_was_not_measured_this_month_is_passed_over():
    assert inside(budget(max_ms=0.1), 0.0, 1.0)
    assert not inside(budget(max_ms=0.1), 0.0, 1.0, ms=0.2)


def test_what_is_written_is_read_again_the_fastest_first(tmp_path):
    path = tmp_path / "frontier.csv"
    points = [frontier_point(name="b", ms=2.0), frontier_point(name="a", ms=1.0, loss_low=-0.003)]
    write_frontier(points, path)
    assert read_frontier(path) == points[::-1]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("0.004", "many", "line 2: tune_loss"),
        ("compressed", "squeezed", "line 2: kind"),
        ("tune_loss", "tuned_loss", "line 2: tune_loss: Field required"),
    ],
)
def test_a_broken_row_is_named(tmp_path, old, new, message):
    path = tmp_path / "frontier.csv"
    write_frontier([frontier_point()], path)
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(TicketSentimentError, match=message):
        read_frontier(path)

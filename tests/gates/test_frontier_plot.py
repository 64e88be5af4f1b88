import xml.etree.ElementTree as ElementTree
from itertools import combinations

import pytest

from tests.support.frontier import measured_frontier
from ticket_sentiment.gates.frontier_plot import Dot, Scales, _overlap, frontier_plot, label_places
from ticket_sentiment.gates.frontier_section import dot

HOSTILE = '<script>alert("x")</script>&'
DOTS = [dot(place, point, "4x8x768-e96") for place, point in enumerate(measured_frontier(), start=1)]


def one(**changes) -> Dot:
    fields = {
        "label": "1",
        "speedup": 5.0,
        "loss": 0.01,
        "low": 0.005,
        "high": 0.015,
        "mb": 9.0,
        "tone": "main",
    }
    return Dot(**fields | changes)


def drawn(*dots: Dot, budget: float = 0.01) -> ElementTree.Element:
    return ElementTree.fromstring(frontier_plot(dots, budget, HOSTILE))  # refuses what is not well formed


def circles(plot: ElementTree.Element, kind: str = "dot") -> list[ElementTree.Element]:
    return [circle for circle in plot.iter("circle") if kind in circle.get("class").split()]


def intervals(plot: ElementTree.Element) -> list[ElementTree.Element]:
    return [line for line in plot.iter("line") if "interval" in line.get("class")]


def test_faster_is_further_right_and_less_lost_further_down():
    slow, fast = circles(drawn(one(speedup=2.0, loss=0.02), one(speedup=4.0, loss=0.0)))
    assert float(slow.get("cx")) < float(fast.get("cx"))
    assert float(slow.get("cy")) < float(fast.get("cy"))


def test_twice_as_fast_is_everywhere_the_same_distance():
    x = [float(circle.get("cx")) for circle in circles(drawn(*(one(speedup=2.0**n) for n in range(3))))]
    assert x[1] - x[0] == pytest.approx(x[2] - x[1], abs=0.2)


def test_the_area_follows_the_megabytes():
    assert one(mb=36.0).radius == 2 * one(mb=9.0).radius
    assert one(mb=0.01).radius == 2.5  # still to be seen


def test_an_interval_goes_through_its_dot_and_one_seed_has_none():
    (line,) = intervals(drawn(one()))
    (circle,) = circles(drawn(one()))
    assert float(line.get("y2")) < float(circle.get("cy")) < float(line.get("y1"))
    assert not [
        line for line in drawn(one(low=None, high=None)).iter("line") if "interval" in line.get("class")
    ]


def test_the_ring_is_around_the_marked_dot():
    plot = drawn(one(), one(speedup=9.0, ringed=True))
    (ring,) = circles(plot, "ring")
    assert ring.get("cx") == circles(plot)[1].get("cx")


def test_what_lies_far_above_is_at_the_edge_with_its_number():
    plot = drawn(one(), one(label="2", loss=0.121, tone="other", low=0.11, high=0.13))
    assert "2 ↑12" in [text.text for text in plot.iter("text")]
    assert all(0 <= float(circle.get("cy")) <= 380 for circle in circles(plot))


def test_what_is_better_than_the_dense_model_lies_inside_the_plot():
    better, best = circles(drawn(one(loss=-0.001, tone="other"), one(loss=-0.012, tone="other")))
    bottom = max(float(text.get("y")) for text in drawn(one()).iter("text") if text.get("class") == "tick")
    assert float(better.get("cy")) < float(best.get("cy")) < bottom - 15


@pytest.mark.parametrize("budget", [0.0, 0.002, 0.01, 0.2])
def test_the_budget_lies_inside_the_plot(budget):
    plot = drawn(*DOTS, budget=budget)
    (line,) = [line for line in plot.iter("line") if line.get("class") == "line"]
    assert 0 < float(line.get("y1")) < 380
    assert len({text.text for text in plot.iter("text") if text.get("class") == "tick"}) >= 8


def test_labels_do_not_overlap_each_other_nor_other_dots():
    scales = Scales.around(DOTS, 0.01)
    boxes = label_places(DOTS, [dot.label for dot in DOTS], scales)
    assert not [pair for pair in combinations(boxes, 2) if _overlap(*pair) > 0]
    for box, own in zip(boxes, DOTS, strict=True):
        for other in DOTS:
            x, y = scales.x(other.speedup), scales.y(other.loss)
            r = 0.7 * other.radius  # the square in the circle
            assert other is own or _overlap(box, (x - r, y - r, x + r, y + r)) == 0


def test_words_are_escaped():
    plot = frontier_plot([one(label=HOSTILE)], 0.01, HOSTILE)
    assert "<script" not in plot
    assert ElementTree.fromstring(plot).get("aria-label") == HOSTILE


def test_one_dot_alone_and_equal_dots_can_be_drawn():
    assert len(circles(drawn(one(loss=0.0, low=None, high=None)))) == 1
    assert len(circles(drawn(*[one()] * 9))) == 9

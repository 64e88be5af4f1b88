import xml.etree.ElementTree as ElementTree
from datetime import timedelta

import pytest

from tests.support.desk import BEGIN
from ticket_sentiment.promotion.band_plot import (
    HEIGHT,
    LEFT,
    MAX_POINTS,
    TOP,
    WIDTH,
    Mark,
    band_plot,
    thinned,
)
from ticket_sentiment.promotion.progress import Seen


def seen(hours: float, estimate: float | None, low: float | None, high: float | None) -> Seen:
    return Seen(BEGIN + timedelta(hours=hours), estimate, low, high, "open", "")


def parsed(looks, higher_is_better=True, marks=()) -> ElementTree.Element:
    return ElementTree.fromstring(band_plot(looks, 0.02, higher_is_better, BEGIN, marks, "what it shows"))


def corners(root: ElementTree.Element, kind: str) -> list[tuple[float, float]]:
    (found,) = [one for one in root.iter() if one.get("class") == kind]
    return [tuple(map(float, pair.split(","))) for pair in found.get("points").split()]


def height_of(root: ElementTree.Element, kind: str) -> float:
    (line,) = [one for one in root.iter("line") if one.get("class") == kind]
    return float(line.get("y1"))


def test_a_band_below_zero_is_drawn_below_the_line_and_one_above_the_margin_above():
    looks = [seen(12, -0.03, -0.05, -0.01), seen(24, -0.03, -0.04, -0.02)]
    root = parsed(looks)
    assert all(y > height_of(root, "zero") for _, y in corners(root, "area"))
    better = parsed([seen(12, 0.0, -0.01, 0.01), seen(24, 0.0, -0.005, 0.005)])
    assert all(y < height_of(better, "line") for _, y in corners(better, "area"))


def test_fewer_failures_are_drawn_as_better():
    looks = [seen(12, 0.03, 0.01, 0.05), seen(24, 0.03, 0.02, 0.04)]
    more_right, more_failed = parsed(looks), parsed(looks, higher_is_better=False)
    zero = height_of(more_right, "zero")
    assert all(y < zero for _, y in corners(more_right, "estimate"))
    assert all(y > zero for _, y in corners(more_failed, "estimate"))


def test_a_bound_that_is_not_known_reaches_the_edge_and_nothing_leaves_the_field():
    root = parsed([seen(12, 0.0, None, None), seen(24, 0.9, -0.9, None), seen(36, 0.0, -0.02, 0.02)])
    area = corners(root, "area")
    assert area[0][1] == TOP and area[-1][1] == max(y for _, y in area)
    for x, y in [*area, *corners(root, "estimate")]:
        assert LEFT <= x <= WIDTH and TOP <= y <= HEIGHT


def test_a_look_that_compared_nothing_is_left_out():
    root = parsed([seen(12, None, None, None), seen(24, 0.0, -0.1, 0.1), seen(36, 0.0, -0.1, 0.1)])
    assert len(corners(root, "estimate")) == 2
    assert "nothing to compare yet" in "".join(parsed([seen(12, None, None, None)]).itertext())


@pytest.mark.parametrize("hours", [0.0, 1e-9, 24.0])
def test_one_look_is_drawn(hours):
    assert len(corners(parsed([seen(hours, 0.0, -0.1, 0.1)]), "estimate")) == 1


def test_of_many_looks_some_are_drawn_the_first_and_the_last_among_them():
    looks = [seen(number, 0.0, -0.1, 0.1) for number in range(4000)]
    some = thinned(looks)
    assert len(some) == MAX_POINTS and some[0] is looks[0] and some[-1] is looks[-1]
    assert thinned(looks[:5]) == looks[:5]


def test_words_are_escaped_and_labels_do_not_lie_on_each_other():
    marks = [Mark(BEGIN + timedelta(hours=hours), "<b>") for hours in (1, 1.1, 20)]
    root = parsed([seen(24, 0.0, -0.1, 0.1)], marks=marks)
    assert ["".join(text.itertext()) for text in root.iter("text")].count("<b>") == 2
    assert root.get("aria-label") == "what it shows" and root.get("role") == "img"

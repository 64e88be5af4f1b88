import xml.etree.ElementTree as ElementTree

import pytest

from ticket_sentiment.pages.figures import Axis, Row, coverage_plot, reliability_plot, rows_plot

HOSTILE = '<script>alert("x")</script>&'


def parsed(plot: str) -> ElementTree.Element:
    return ElementTree.fromstring(plot)  # refuses what is not well formed


def test_values_are_placed_in_percent_and_cut_off_at_the_ends():
    axis = Axis(0.5, 1.0)
    assert [axis.percent(value) for value in (0.5, 0.75, 1.0, 7.0, -7.0)] == [2, 50, 98, 98, 2]


def test_a_dot_lies_in_its_interval_and_a_bar_begins_at_the_start():
    rows = [Row("dot", 0.5, "0.5", 0.25, 0.75), Row("bar", 0.5, "0.5")]
    root = parsed(rows_plot(rows, Axis(0, 1, [(0, "none"), (1, "all")], 0.3), "what it shows"))
    ranges = [line for line in root.iter("line") if "range" in line.get("class")]
    assert [(line.get("x1"), line.get("x2")) for line in ranges] == [("26.0%", "74.0%"), ("2.0%", "50.0%")]
    assert [circle.get("cx") for circle in root.iter("circle")] == ["50.0%"]
    assert root.get("aria-label") == "what it shows"
    assert [text.text for text in root.iter("text")] == ["none", "all"]
    assert len([line for line in root.iter("line") if line.get("class") == "line"]) == len(rows)


def test_words_are_escaped():
    plot = rows_plot([Row(HOSTILE, 1, HOSTILE)], Axis(0, 1, [(0, HOSTILE)]), HOSTILE)
    assert "<script" not in plot + reliability_plot([(0.5, 0.5, 1)], HOSTILE)
    assert parsed(plot).find(".//b").text == HOSTILE


@pytest.mark.parametrize("points", [[], [(0.9, 0.8, 100), (0.5, 0.5, 1)]])
def test_the_reliability_plot_has_a_dot_for_each_bin(points):
    root = parsed(reliability_plot(points, "confidence"))
    assert len(list(root.iter("circle"))) == len(points)
    assert root.get("role") == "img"


def test_the_coverage_plot_rises_to_the_right_and_marks_the_threshold():
    root = parsed(coverage_plot([(0.1, 0.02), (0.5, 0.1), (1.0, 0.26)], (0.98, 0.25), ""))
    (curve,) = root.iter("polyline")
    places = [tuple(map(float, pair.split(","))) for pair in curve.attrib["points"].split()]
    assert places == sorted(places) and [y for _, y in places] == sorted((y for _, y in places), reverse=True)
    (dot,) = root.iter("circle")
    assert places[1][0] < float(dot.attrib["cx"]) < places[2][0]
    assert places[2][1] < float(dot.attrib["cy"]) < places[1][1]


def test_the_reliability_plot_is_not_upside_down():
    high, low = parsed(reliability_plot([(0.5, 0.9, 1), (0.5, 0.1, 1)], "")).iter("circle")
    assert float(high.get("cy")) < float(low.get("cy"))

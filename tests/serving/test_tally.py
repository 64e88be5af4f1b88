"""Tallies against what they stand for: prometheus_client's own counters and histograms."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Histogram

from ticket_sentiment.serving.tally import BulkHistogram, CounterTally, HistogramTally

EDGES = (0.1, 0.5, 1.0)
VALUES = st.one_of(st.sampled_from([0.0, *EDGES]), st.floats(0, 3, width=16))


def page(registry: CollectorRegistry) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for metric in registry.collect()
        for sample in metric.samples
        if not sample.name.endswith("_created")
    }


@given(st.lists(st.tuples(st.sampled_from("ab"), VALUES, st.booleans()), max_size=40))
def test_what_is_written_is_what_would_have_been_observed(events: list[tuple[str, float, bool]]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    bulk = BulkHistogram("seconds", "x", ["arm"], registry=ours, buckets=EDGES)
    histogram = HistogramTally(bulk, EDGES)
    counter = CounterTally(Counter("answers", "x", ["arm"], registry=ours))
    plain = Histogram("seconds", "x", ["arm"], registry=theirs, buckets=EDGES)
    counted = Counter("answers", "x", ["arm"], registry=theirs)
    for arm, value, write in events:
        histogram.observe(value, arm)
        counter.inc(arm)
        plain.labels(arm).observe(value)
        counted.labels(arm).inc()
        if write:
            histogram.write()
            counter.write()
    histogram.write()
    counter.write()
    found, expected = page(ours), page(theirs)
    assert found.keys() == expected.keys()
    assert all(abs(found[key] - expected[key]) < 1e-9 for key in found)


def test_a_series_is_there_before_anything_is_counted() -> None:
    registry = CollectorRegistry()
    tally = CounterTally(Counter("answers", "x", ["arm"], registry=registry))
    tally.create("champion")
    assert registry.get_sample_value("answers_total", {"arm": "champion"}) == 0


def test_what_could_not_be_written_is_written_later(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> None:
        raise OSError("the disk is full")

    registry = CollectorRegistry()
    tally = CounterTally(Counter("answers", "x", ["arm"], registry=registry))
    tally.inc("champion")
    with monkeypatch.context() as full, pytest.raises(OSError, match="full"):
        full.setattr(tally, "_child", fail)
        tally.write()
    tally.write()
    assert registry.get_sample_value("answers_total", {"arm": "champion"}) == 1

"""Counters and histograms for which a request pays an addition, written out now and then.

prometheus_client's own take a lock, ask for the process and write to a shared file with each call, and a
request makes seven. For one thread: the event loop's.
"""

from bisect import bisect_left
from collections.abc import Sequence
from functools import cache

from prometheus_client import Counter, Histogram


class CounterTally:
    """A counter with labels."""

    def __init__(self, counter: Counter) -> None:
        self._child = cache(counter.labels)
        self._counts: dict[tuple[str, ...], int] = {}

    def inc(self, *labels: str) -> None:
        """One more."""
        self._counts[labels] = self._counts.get(labels, 0) + 1

    def create(self, *labels: str) -> None:
        """From now on there is a series, at zero unless something was counted."""
        self._child(*labels)

    def write(self) -> None:
        """Into the counter."""
        for labels in list(self._counts):
            self._child(*labels).inc(self._counts[labels])
            del self._counts[labels]  # not before: a write may fail, and the next one then has it


class BulkHistogram(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, total: float, counts: Sequence[int]) -> None:
        """Add observations.

        Args:
            total: their sum.
            counts: how many fell into each bucket and not into the one before; the last is that of infinity.
        """
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)


class _Observed:
    __slots__ = ("counts", "total")

    def __init__(self, buckets: int) -> None:
        self.total, self.counts = 0.0, [0] * buckets


class HistogramTally:
    """A histogram with labels."""

    def __init__(self, histogram: BulkHistogram, edges: Sequence[float]) -> None:
        """Prepare.

        Args:
            histogram: whose children are written to.
            edges: its upper bounds, without infinity.
        """
        self._child, self._edges = cache(histogram.labels), edges
        self._observed: dict[tuple[str, ...], _Observed] = {}

    def observe(self, value: float, *labels: str) -> None:
        """One more."""
        observed = self._observed.get(labels)
        if observed is None:
            observed = self._observed[labels] = _Observed(len(self._edges) + 1)
        observed.total += value
        observed.counts[bisect_left(self._edges, value)] += 1

    def write(self) -> None:
        """Into the histogram."""
        for labels in list(self._observed):
            self._child(*labels).add(self._observed[labels].total, self._observed[labels].counts)
            del self._observed[labels]

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ticket_sentiment.events.types import EventStoreUnavailable
from ticket_sentiment.events.writer import BATCH, BackgroundWriter


class Sink:
    """Stands in for the database: can be held up, be away, or refuse items."""

    def __init__(self) -> None:
        self.stored: list[int] = []
        self.calls = 0
        self.away = False
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, items) -> int:
        self.calls += 1
        assert self.gate.wait(20)
        if self.away:
            raise EventStoreUnavailable("away")
        good = [item for item in items if item >= 0]
        self.stored += good
        return len(good)


@pytest.fixture
def sink():
    return Sink()


@pytest.fixture
def make(sink):
    made = []

    def run(capacity: int = 1000, **sizes) -> BackgroundWriter:
        made.append(BackgroundWriter(sink, capacity, **sizes))
        return made[-1]

    yield run
    sink.gate.set()
    for writer in made:
        writer.close(1)


def wait_until(condition) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_items_are_stored_in_batches_and_in_order(make, sink):
    writer = make(5000)
    assert all(writer.put(number) for number in range(1300))
    assert writer.flush(10)
    assert sink.stored == list(range(1300))
    assert sink.calls <= 1300 / BATCH + 3
    assert (writer.written, writer.dropped, writer.queued) == (1300, 0, 0)


def test_a_full_queue_drops_the_new_ones_and_counts_them(make, sink):
    sink.gate.clear()
    writer = make(10)
    assert [writer.put(number) for number in range(15)] == [True] * 10 + [False] * 5
    assert (writer.dropped, writer.queued) == (5, 10)
    wait_until(lambda: sink.calls == 1)
    assert not writer.put(99), "those being written take up room, too"
    sink.gate.set()
    assert writer.flush(10)
    assert sink.stored == list(range(10))
    assert (writer.written, writer.dropped, writer.queued) == (10, 6, 0)
    assert writer.put(100)


def test_the_bound_and_the_counts_hold_for_many_threads(make, sink):
    sink.gate.clear()
    writer = make(500)
    with ThreadPoolExecutor(8) as pool:
        taken = list(pool.map(writer.put, range(4000)))
    assert sum(taken) == 500 == writer.queued
    assert writer.dropped == 3500
    sink.gate.set()
    assert writer.flush(10)
    assert len(set(sink.stored)) == 500 == writer.written


def test_while_the_database_is_away_items_wait_and_are_stored_when_it_is_back(make, sink):
    sink.away = True
    writer = make(3)
    assert [writer.put(number) for number in range(5)] == [True, True, True, False, False]
    assert not writer.flush(0.5)
    assert sink.calls > 0
    assert (writer.written, writer.dropped, writer.queued) == (0, 2, 3)
    sink.away = False
    assert writer.flush(10)
    assert sink.stored == [0, 1, 2]
    assert (writer.written, writer.dropped, writer.queued) == (3, 2, 0)


def test_the_database_is_not_hammered_while_it_is_away(make, sink):
    sink.away = True
    make().put(1)
    time.sleep(1.2)
    assert 1 <= sink.calls <= 5


def test_what_cannot_be_stored_is_counted_and_the_thread_lives_on(make, sink):
    writer = make()
    for item in (1, -1, 2):
        writer.put(item)
    assert writer.flush(10)
    assert (sink.stored, writer.written, writer.dropped) == ([1, 2], 2, 1)
    writer.put("a mistake, which no comparison survives")
    assert writer.flush(10)
    assert writer.dropped == 2
    writer.put(3)
    assert writer.flush(10)
    assert sink.stored == [1, 2, 3]


def test_an_unknown_error_is_logged_without_its_message(make, sink, caplog):
    writer = make()
    writer.put("canary")
    assert writer.flush(10)
    assert "TypeError" in caplog.text and "canary" not in caplog.text


def test_flush_waits_only_for_what_was_there(make, sink):
    writer = make()
    assert writer.flush(0.5), "nothing is nothing to wait for"
    sink.gate.clear()
    writer.put(1)
    start = time.monotonic()
    assert not writer.flush(0.2)
    assert time.monotonic() - start < 2


def test_closing_stores_what_waits_and_takes_nothing_more(make, sink):
    writer = make()
    for number in range(700):
        writer.put(number)
    assert writer.close(10)
    assert len(sink.stored) == 700
    assert not writer.put(1)
    assert writer.dropped == 1
    assert not writer._thread.is_alive()


def test_closing_while_the_database_is_away_counts_what_is_lost(make, sink):
    sink.away = True
    writer = make()
    for number in range(7):
        writer.put(number)
    start = time.monotonic()
    assert not writer.close(0.5)
    assert time.monotonic() - start < 3
    assert (writer.dropped, writer.queued, writer.written) == (7, 0, 0)


def test_closing_during_a_write_that_hangs_counts_nothing_twice(make, sink):
    sink.gate.clear()
    writer = make()
    for number in range(BATCH + 5):
        writer.put(number)
    wait_until(lambda: sink.calls == 1)
    assert not writer.close(0.2)
    assert writer.dropped == BATCH + 5
    sink.gate.set()
    writer._thread.join(5)
    assert (writer.written, writer.dropped) == (BATCH, 5)


def test_what_waits_is_bounded_by_its_size_too(make, sink):
    writer = make(1000, size=lambda item: item, most=100)
    sink.away = True
    assert [writer.put(40) for _ in range(5)] == [True, True, True, False, False]
    time.sleep(0.3)  # tried and taken back meanwhile
    assert not writer.put(1)
    assert (writer.queued, writer.dropped) == (3, 3)
    sink.away = False
    assert writer.flush(10)
    assert sink.stored == [40] * 3
    assert all(writer.put(30) for _ in range(4))
    assert writer.flush(10)

"""Labels that wait go to the event database together, and none harms another."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ticket_sentiment.events.store import EventStore
from ticket_sentiment.events.types import EventStoreUnavailable, Feedback, FeedbackConflict, FeedbackResult
from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.feedback import FeedbackQueue

AT = datetime(2026, 3, 1, tzinfo=UTC)


def label(ticket: str, label: str = "neutral") -> Feedback:
    return Feedback(AT, ticket, "agent", "1", label)


class Disk:
    """A real store that begins its first commit when `go_on` is set, and counts."""

    def __init__(self, path: Path) -> None:
        self.store = EventStore(f"sqlite:///{path}/events.db", 10, store_text=False)
        self.go_on, self.begun = threading.Event(), threading.Event()
        self.commits: list[int] = []

    def feedback_together(self, events: Sequence[Feedback]) -> list[FeedbackResult]:
        self.commits.append(len(events))
        self.begun.set()
        self.go_on.wait(10)
        return self.store.feedback_together(events)


def play(test: Callable[[FeedbackQueue], Awaitable[None]], disk: Disk, places: int = 64) -> None:
    async def main() -> None:
        queue = FeedbackQueue(disk, places)
        try:
            await asyncio.wait_for(test(queue), 20)
        finally:
            disk.go_on.set()
            queue.close()

    try:
        asyncio.run(main())
    finally:
        disk.store.close(5)


async def begin(disk: Disk) -> None:
    await asyncio.to_thread(disk.begun.wait, 10)


def test_a_burst_during_one_commit_is_the_next(tmp_path: Path) -> None:
    disk = Disk(tmp_path)

    async def test(queue: FeedbackQueue) -> None:
        first = queue.put(label("0"))
        await begin(disk)
        others = [queue.put(label(str(number))) for number in range(1, 41)]
        disk.go_on.set()
        stored = await asyncio.gather(first, *others)
        assert stored == [FeedbackResult(True, "neutral")] * 41
        assert disk.commits == [1, 40]

    play(test, disk)


def test_one_that_the_database_refuses_harms_no_other(tmp_path: Path) -> None:
    disk = Disk(tmp_path)

    async def test(queue: FeedbackQueue) -> None:
        first = queue.put(label("7"))
        await begin(disk)
        others = [queue.put(label(str(number), "positive")) for number in range(20)]
        disk.go_on.set()
        await first
        found = await asyncio.gather(*others, return_exceptions=True)
        assert isinstance(found.pop(7), FeedbackConflict)
        assert found == [FeedbackResult(True, "positive")] * 19

    play(test, disk)
    again = EventStore(f"sqlite:///{tmp_path}/events.db", 10, store_text=False)
    assert not any(
        again.feedback(label(str(number), "positive")).created for number in range(20) if number != 7
    )
    again.close(5)


def test_what_nobody_waits_for_any_more_is_not_stored_and_keeps_its_place_until_then(tmp_path: Path) -> None:
    disk = Disk(tmp_path)

    async def test(queue: FeedbackQueue) -> None:
        first = queue.put(label("0"))
        await begin(disk)
        second = queue.put(label("1"))
        second.cancel()
        await asyncio.sleep(0)
        with pytest.raises(ApiError):
            queue.put(label("2"))
        disk.go_on.set()
        await first

    play(test, disk, places=2)
    assert disk.commits == [1]


def test_all_that_wait_hear_of_a_database_that_is_away_and_the_next_is_tried(tmp_path: Path) -> None:
    disk = Disk(tmp_path)
    away = True
    stored = disk.feedback_together

    def feedback_together(events: Sequence[Feedback]) -> list[FeedbackResult]:
        if not away:
            return stored(events)
        disk.begun.set()
        disk.go_on.wait(10)
        raise EventStoreUnavailable("away")

    disk.feedback_together = feedback_together  # type: ignore[method-assign]

    async def test(queue: FeedbackQueue) -> None:
        nonlocal away
        first = queue.put(label("0"))
        await begin(disk)
        others = [queue.put(label(str(number))) for number in range(1, 5)]
        disk.go_on.set()
        found = await asyncio.gather(first, *others, return_exceptions=True)
        assert [type(error) for error in found] == [EventStoreUnavailable] * 5
        away = False
        assert (await queue.put(label("9"))).created

    play(test, disk, places=5)

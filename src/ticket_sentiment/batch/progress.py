"""How far a job is, and how long it will still take."""

import time
from collections.abc import Callable

EVERY_SECONDS = 10.0


def duration(seconds: float) -> str:
    """E.g. `1 h 05 min`, `2 min 10 s`, `9 s`."""
    whole = max(0, round(seconds))
    if whole >= 3600:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 60} min {whole % 60:02d} s" if whole >= 60 else f"{whole} s"


class Progress:
    """Says so every ten seconds.

    Args:
        total: tickets of the whole job, about: a CSV file's lines are counted, and a ticket may hold some.
        tell: takes a line.
        clock: seconds that only grow.
    """

    def __init__(
        self, total: int, tell: Callable[[str], None], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._total, self._tell, self._clock = total, tell, clock
        self._began = self._told = clock()
        self._here = self._before = 0

    def found(self, rows: int) -> None:
        """Rows that an earlier run has done."""
        self._before += rows

    def done(self, rows: int) -> None:
        """Rows of this run."""
        self._here += rows
        now = self._clock()
        if now - self._told >= EVERY_SECONDS:
            self._told = now
            self._tell(self.line())

    @property
    def scored(self) -> int:
        """Rows of this run."""
        return self._here

    @property
    def rows(self) -> int:
        """Of this run and those before."""
        return self._here + self._before

    @property
    def rate(self) -> float:
        """Tickets a second of this run."""
        return self._here / max(self._clock() - self._began, 1e-9)

    def share(self) -> str:
        """E.g. `12,000 of 100,000 tickets (12 %)`."""
        total = max(self._total, self.rows, 1)
        return f"{self.rows:,} of {total:,} tickets ({100 * self.rows // total} %)"

    def line(self) -> str:
        """The same with `1,310/s, 1 min 07 s left`."""
        left = duration(max(0, self._total - self.rows) / self.rate) if self._here else "unknown time"
        return f"{self.share()}, {self.rate:,.0f}/s, {left} left"

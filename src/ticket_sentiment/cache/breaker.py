"""A circuit breaker: what has failed is left alone for a while, then tried once."""

import time
from collections.abc import Callable


class CircuitBreaker:
    """Closed while calls succeed, open after some failures in a row; after a pause one may try (half-open).

    Used from one event loop: ask `allow` before a call, then say `succeeded`, `failed` or, where the call was
    given up without an outcome, `abandoned`.
    """

    def __init__(
        self, failures: int = 3, pause_s: float = 5.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Start closed.

        Args:
            failures: in a row that open it.
            pause_s: seconds that it then stays open; again after each failed try.
            clock: seconds, never going back.
        """
        self._limit, self._pause, self._clock = failures, pause_s, clock
        self._failed = 0
        self._until = 0.0
        self._trying = False

    @property
    def open(self) -> bool:
        """Whether calls are refused at present or one is being tried."""
        return self._failed >= self._limit

    def allow(self) -> bool:
        """Whether a call may be made now."""
        if self._failed < self._limit:
            return True
        if self._trying or self._clock() < self._until:
            return False
        self._trying = True
        return True

    def succeeded(self) -> None:
        """The call did what it should: close."""
        self._failed, self._trying = 0, False

    def failed(self) -> None:
        """The call failed or took too long."""
        self._failed += 1
        self._trying = False
        if self._failed >= self._limit:
            self._until = self._clock() + self._pause

    def abandoned(self) -> None:
        """The caller went away during the call: nothing was learnt, another may try."""
        self._trying = False

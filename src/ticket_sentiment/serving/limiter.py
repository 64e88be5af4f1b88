"""Rate limits that all workers keep together: a token bucket for each key, in memory that they share."""

import fcntl
import mmap
import struct
import time
from pathlib import Path

from ticket_sentiment.serving.errors import ApiError
from ticket_sentiment.serving.room import reserve

_SLOT = struct.Struct("d")


class RateLimiter:
    """A token bucket for each key.

    Kept as one number, the time at which the bucket would be full again (the generic cell rate algorithm,
    ITU-T I.371, which equals a token bucket). All workers map the same file, so the rate is exact however
    the kernel spreads the connections over them.
    """

    def __init__(self, path: Path, keys: int, rate: float, burst: int) -> None:
        """Open or make the shared file.

        Args:
            path: of the file; a new one is all zeros: every bucket full.
            keys: how many.
            rate: tokens a second.
            burst: tokens in a full bucket.

        Raises:
            TicketSentimentError: there is no room for the file.
        """
        reserve(path, keys * _SLOT.size)
        self._interval, self._burst = 1 / rate, burst
        self._file = path.open("a+b")
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self._file.truncate(keys * _SLOT.size)
        fcntl.flock(self._file, fcntl.LOCK_UN)
        self._slots = mmap.mmap(self._file.fileno(), keys * _SLOT.size)

    def take(self, key: int, tokens: int = 1, paid: int = 0) -> int:
        """Take tokens out of a key's bucket.

        Args:
            key: whose bucket.
            tokens: to take now; with `paid` no more than a bucket holds, as section `serve` sees to.
            paid: what the same request has taken before.

        Returns:
            What the request has taken in all.

        Raises:
            ApiError: 429, with the time after which there are enough for the whole request, which will pay
                anew. Nothing was taken then.
        """
        now = time.monotonic()
        fcntl.flock(self._file, fcntl.LOCK_EX)  # held for about a microsecond; the kernel frees it on a death
        try:
            (full_at,) = _SLOT.unpack_from(self._slots, key * _SLOT.size)
            full_at = max(full_at, now) + tokens * self._interval
            wait = full_at - now - self._burst * self._interval
            if wait <= 1e-9:
                _SLOT.pack_into(self._slots, key * _SLOT.size, full_at)
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)
        if wait > 1e-9:
            raise ApiError("rate_limited", retry_after=wait + paid * self._interval)
        return paid + tokens

"""Predictions that need no model: equal keys under one bundle share an answer, computed once.

In process (least recently used out first, by age too), and by Redis where a URL is configured. Errors are
never cached. Two things are left out on purpose: early refresh of what is about to expire and jitter of the
ages, because concurrent misses share one computation and that takes about a millisecond.
"""

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cachetools import TTLCache

from ticket_sentiment.cache.answer import Answer
from ticket_sentiment.params import Cache

if TYPE_CHECKING:
    from ticket_sentiment.cache.shared import SharedAnswers


@dataclass(slots=True)
class CacheCounts:
    """Since the start of the process. Every call that ends with an answer is one of the first three.

    Attributes:
        hits: answers from this process's memory or from Redis.
        misses: answers that were computed.
        shared: answers of another call that was computing the same.
    """

    hits: int = 0
    misses: int = 0
    shared: int = 0


class _Flight:
    """A computation under way, and those who wait for it."""

    __slots__ = ("answer", "done")

    def __init__(self) -> None:
        self.answer: Answer | None = None
        self.done = asyncio.Event()


class PredictionCache:
    """Answers by bundle digest and key. For one event loop; not for threads."""

    def __init__(self, entries: int, ttl_s: float, shared: "SharedAnswers | None" = None) -> None:
        """An empty cache.

        Args:
            entries: kept in this process; 0 switches the cache off, the shared one and the sharing of
                computations too.
            ttl_s: seconds that an answer lives.
            shared: Redis, where there is one.
        """
        self.counts = CacheCounts()
        self._entries = entries
        self._shared = shared if entries else None
        self._local: TTLCache[tuple[str, str], Answer] = TTLCache(max(entries, 1), ttl_s)
        self._flights: dict[tuple[str, str, bool], _Flight] = {}

    @classmethod
    def open(cls, settings: Cache, environ: Mapping[str, str] = os.environ) -> "PredictionCache":
        """The cache of params.yaml's `cache`; Redis is used where the variable of `redis_url_env` is set.

        Raises:
            TicketSentimentError: that variable holds no Redis URL.
        """
        url = environ.get(settings.redis_url_env)
        shared = None
        if url and settings.entries:
            from ticket_sentiment.cache.shared import SharedAnswers  # brings redis, a fifth of a second

            timeout = settings.redis_timeout_ms / 1000
            shared = SharedAnswers(url, settings.redis_url_env, settings.ttl_s, timeout)
        return cls(settings.entries, settings.ttl_s, shared)

    @property
    def errors(self) -> int:
        """Failures of Redis since the start: each made a request slower, none made it fail."""
        return self._shared.errors if self._shared else 0

    @property
    def shared_available(self) -> bool | None:
        """Whether Redis is being asked; None where none is configured."""
        return self._shared.available if self._shared else None

    @property
    def enabled(self) -> bool:
        """Whether a text may be answered without a model."""
        return self._entries > 0

    @property
    def may_wait(self) -> bool:
        """Whether a look-up may wait: for Redis, or for another call that computes."""
        return self._shared is not None or bool(self._flights)

    async def look_up(self, key: str, digest: str) -> Answer | None:
        """The cached answer, for one who would compute elsewhere; it waits for no other call and shares none.

        An answer from another bundle must not be kept under this one's digest, so there is no `store`.
        """
        name = (digest, key)
        answer = self._local.get(name) if self._entries else None
        if answer is None and self._shared:
            answer = await self._shared.get(*name)
            if answer is not None:
                self._local[name] = answer
        self.counts.hits += answer is not None
        return answer

    async def get_or_compute(
        self, key: str, digest: str, compute: Callable[[], Awaitable[Answer]], urgent: bool = False
    ) -> tuple[Answer, bool]:
        """The cached answer, or that of `compute`, which runs once however many ask at the same time.

        One who is urgent shares no computation of one who is not, which may wait in a queue that he passes.
        When the one who computes fails or is cancelled, its error is its own: one of those who wait computes
        next, with its own `compute` and under its own deadline.

        Args:
            key: of `cache.key.cache_key`.
            digest: of the bundle that answers.
            compute: asks the model.
            urgent: whether its `compute` goes before that of others.

        Returns:
            The answer, and whether it was another's: from the cache, or computed for another call.

        Raises:
            Exception: whatever this call's own `compute` raises; it is not cached.
        """
        if not self._entries:
            self.counts.misses += 1
            return await compute(), False
        name = (digest, key)
        while True:
            answer = self._local.get(name)
            if answer is not None:
                self.counts.hits += 1
                return answer, True
            flight = self._flights.get((*name, True))
            if flight is None and not urgent:
                flight = self._flights.get((*name, False))
            if flight is None:
                return await self._lead(name, compute, urgent)
            await flight.done.wait()
            if flight.answer is not None:
                self.counts.shared += 1
                return flight.answer, True

    async def _lead(
        self, name: tuple[str, str], compute: Callable[[], Awaitable[Answer]], urgent: bool
    ) -> tuple[Answer, bool]:
        flight = self._flights[*name, urgent] = _Flight()
        try:
            remote = await self._shared.get(*name) if self._shared else None
            if remote is not None:
                self.counts.hits += 1
            answer = remote or await compute()
            if remote is None:
                self.counts.misses += 1
            flight.answer = self._local[name] = answer
        finally:
            del self._flights[*name, urgent]
            flight.done.set()
        if self._shared and remote is None:
            self._shared.store(*name, answer)
        return answer, remote is not None

    async def close(self) -> None:
        """Disconnect from Redis; call it on the loop that used the cache."""
        if self._shared:
            await self._shared.close()

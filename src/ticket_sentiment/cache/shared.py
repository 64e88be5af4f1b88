"""Answers shared between processes by Redis: an extra that may be away, never a need."""

import asyncio
import logging

import redis.asyncio
from redis.exceptions import RedisError

from ticket_sentiment.cache.answer import Answer, decode, encode
from ticket_sentiment.cache.breaker import CircuitBreaker
from ticket_sentiment.errors import TicketSentimentError

logger = logging.getLogger(__name__)

_PREFIX = "ticket-sentiment:1"  # the number is of the values' form
_LOOK_UPS = _STORES = 16  # under way at once; beyond, Redis is not asked, and an answer not shared


class SharedAnswers:
    """Answers in Redis, looked up and stored within `timeout_s` or not at all. For one event loop."""

    def __init__(self, url: str, variable: str, ttl_s: float, timeout_s: float) -> None:
        """Prepare the client; it connects at the first call.

        Args:
            url: redis://, rediss:// or unix://; it may hold a password and is never repeated.
            variable: of the environment that held the URL, for messages.
            ttl_s: seconds that an answer lives.
            timeout_s: seconds for one look-up or store, connecting included.

        Raises:
            TicketSentimentError: the URL is none.
        """
        self.errors = 0
        self._ttl_ms, self._timeout = max(1, round(ttl_s * 1000)), timeout_s
        self._breaker = CircuitBreaker()
        self._look_ups = 0
        self._stores: set[asyncio.Task[None]] = set()
        try:
            self._client = redis.asyncio.Redis.from_url(
                url,
                socket_connect_timeout=timeout_s,
                socket_timeout=timeout_s,
                max_connections=_LOOK_UPS + _STORES + 1,
                retry=None,
            )
        except (ValueError, TypeError):
            raise TicketSentimentError(
                f"{variable} holds no Redis URL: expected redis://:password@host:6379/0"
            ) from None

    @property
    def available(self) -> bool:
        """Whether Redis is being asked; False while the circuit breaker is open."""
        return not self._breaker.open

    async def get(self, digest: str, key: str) -> Answer | None:
        """The answer of a bundle to a key; None when there is none, or Redis is away or slow."""
        if self._look_ups >= _LOOK_UPS or not self._breaker.allow():
            return None
        name = f"{_PREFIX}:{digest}:{key}"
        self._look_ups += 1
        outcome = self._breaker.abandoned
        try:
            async with asyncio.timeout(self._timeout):
                raw = await self._client.get(name)
            outcome = self._breaker.succeeded
            return decode(raw, name) if raw is not None else None
        except ValueError:  # another's value, or a reply that was not meant for this look-up
            self._count("a value that is no answer")
            return None
        except (RedisError, OSError, TimeoutError) as error:
            outcome = self._breaker.failed
            self._count(type(error).__name__)
            return None
        finally:
            self._look_ups -= 1
            outcome()

    def store(self, digest: str, key: str, answer: Answer) -> None:
        """Share an answer in the background; given up where Redis is away or too many are under way."""
        if self._breaker.open or len(self._stores) >= _STORES:
            return
        task = asyncio.get_running_loop().create_task(self._store(f"{_PREFIX}:{digest}:{key}", answer))
        self._stores.add(task)
        task.add_done_callback(self._stores.discard)

    async def close(self) -> None:
        """Give up the stores that are under way, and disconnect."""
        for task in self._stores:
            task.cancel()
        await asyncio.gather(*self._stores, return_exceptions=True)
        await self._client.aclose()

    async def _store(self, name: str, answer: Answer) -> None:
        try:
            async with asyncio.timeout(self._timeout):
                await self._client.set(name, encode(answer, name), px=self._ttl_ms)
        except (RedisError, OSError, TimeoutError, ValueError) as error:
            if not isinstance(error, ValueError):
                self._breaker.failed()
            self._count(type(error).__name__)

    def _count(self, what: str) -> None:
        self.errors += 1
        if self.errors & (self.errors - 1) == 0:  # the 1st, 2nd, 4th ...: an outage does not fill the log
            logger.warning("the shared cache failed (%s), %d times since the start", what, self.errors)

"""Requests a minute with `limits`: in this process's memory, or in Redis for all processes that serve."""

from __future__ import annotations

import logging
import threading
import time

from limits import RateLimitItemPerMinute
from limits.errors import StorageError
from limits.storage import MemoryStorage, RedisStorage
from limits.strategies import MovingWindowRateLimiter
from redis import ConnectionPool
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

REST_S = 10.0
"""How long the store is not asked after it failed: requests must not wait for its timeouts one after another."""
TIMEOUT_S = 0.5
MINUTE_S = 60.0
_SCHEMES = {
    "redis": "redis",
    "rediss": "rediss",
    "valkey": "redis",
    "valkeys": "rediss",
    "unix": "unix",
    "redis+unix": "unix",
    "redis+socket": "unix",
    "valkey+unix": "unix",
}
"""What a broker's URL may begin with, and what the client calls that."""


class MovingWindow:
    """Implements `ports.RateLimiter`. What is out of order is told once in the log, and once when it is back."""

    def __init__(self, broker_url: str | None) -> None:
        """Count in the broker's Redis or Valkey; without one, or with a broker of another kind, in this process."""
        self._limiter = MovingWindowRateLimiter(_storage(broker_url))
        self._lock = threading.Lock()
        self._resting_until = 0.0
        self._failing = False

    def take(self, tenant: str, per_minute: int) -> float | None:
        if per_minute <= 0:
            return MINUTE_S
        if time.monotonic() < self._resting_until:
            return None
        try:
            wait_s = self._wait_s(RateLimitItemPerMinute(per_minute), tenant)
        except StorageError as error:
            self._failed(error.storage_error)
            return None
        self._answers()
        return wait_s

    def _wait_s(self, limit: RateLimitItemPerMinute, tenant: str) -> float | None:
        if self._limiter.hit(limit, tenant):
            return None
        return max(0.0, self._limiter.get_window_stats(limit, tenant).reset_time - time.time())

    def _failed(self, error: Exception) -> None:
        with self._lock:
            self._resting_until = time.monotonic() + REST_S
            if not self._failing:
                logger.warning("requests a minute are not limited: the broker does not answer (%s)", error)
            self._failing = True

    def _answers(self) -> None:
        if not self._failing:
            return
        with self._lock:
            self._failing = False
        logger.warning("requests a minute are limited again: the broker answers")


def _storage(broker_url: str | None) -> MemoryStorage | RedisStorage:
    scheme, _, place = (broker_url or "").partition("://")
    if scheme not in _SCHEMES:
        return MemoryStorage()
    url = f"{_SCHEMES[scheme]}://{place.replace('virtual_host=', 'db=')}"
    pool = ConnectionPool.from_url(
        url, socket_timeout=TIMEOUT_S, socket_connect_timeout=TIMEOUT_S, retry=Retry(NoBackoff(), 0)
    )
    return RedisStorage(url, connection_pool=pool, key_prefix="holotype:rates", wrap_exceptions=True)

"""How many requests came in the last minute: the library `limits`, on Graft's own connections to Redis.

It counts in windows of a minute and weighs the one before by how much of it still lies within the last minute ("sliding
window counter"): two numbers for each project, whatever the rate, and Redis's clock alone. docs/limits.md has what the
other ways cost.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from limits import RateLimitItemPerMinute
from limits.storage import RedisStorage
from limits.strategies import SlidingWindowCounterRateLimiter

from shared import keys
from shared.database import Database

WINDOW_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Limit:
    """So many requests in any minute. `name` says of whom: it is what clients are told."""

    name: str
    a_minute: int


@dataclass(frozen=True, slots=True)
class Standing:
    """What is left of a limit, and after how many seconds there is more (0 while there is some)."""

    left: int
    more_in_seconds: float


class Rates:
    """Counters of requests in Redis. Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._storage = _Storage(database)
        self._window = SlidingWindowCounterRateLimiter(self._storage)

    def take(self, limit: Limit, who: str, count: int) -> bool:
        """Count so many requests of somebody, or none of them if they are too many. Raises Temporary."""
        return self._window.hit(_item(limit), limit.name, who, cost=count)

    def standing(self, limit: Limit, who: str) -> Standing:
        """Raises Temporary."""
        key = _item(limit).key_for(limit.name, who)
        before, before_ends, now, now_ends = self._storage.get_sliding_window(key, WINDOW_SECONDS)
        left = limit.a_minute - now - math.floor(before * before_ends / WINDOW_SECONDS)
        if left > 0:
            return Standing(left, 0.0)
        if now >= limit.a_minute or not before:
            return Standing(0, now_ends % WINDOW_SECONDS)
        # The window before counts for less from moment to moment, until one request fits in.
        fits = (limit.a_minute - now) * WINDOW_SECONDS / before
        return Standing(0, max(before_ends - fits, 0.0))


def _item(limit: Limit) -> RateLimitItemPerMinute:
    return RateLimitItemPerMinute(limit.a_minute, namespace="")


class _Storage(RedisStorage):
    """With our client, whose errors are ours."""

    def __init__(self, database: Database) -> None:
        super().__init__("redis://", connection_pool=database.connection_pool, key_prefix=keys.RATES)
        self.storage = database
        self.initialize_storage("")

"""What was asked of each model version, by hour and by day, in Redis: counts only, never a value.

A bucket is a hash: `requests`, `rows`, `unwatched` (rows), `p` (predictions in each bin), and for each watched column
`c<place>` (cells in each bin of the baseline's) and `u<place>` (texts that training never saw). Hours are kept for two
days and days for 31; with `MAX_COLUMNS` columns that is less than a megabyte a version, however much is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal
from uuid import uuid4

from shared import keys
from shared.database import Database

HOURS: Final = 48
DAYS: Final = 31
_HOUR_SECONDS, _DAY_SECONDS = 3_600, 86_400

Counts = Mapping[str, list[int]]
"""Numbers by field."""
Unit = Literal["h", "d"]


class AskedStore:
    """Safe to share between threads and processes."""

    def __init__(self, database: Database) -> None:
        self._redis = database
        self._observe = database.script("observe")

    def add(self, project: str, name: str, version: int, counts: Counts) -> None:
        """Add these numbers to the present hour and day."""
        fields = [part for field, found in counts.items() for part in (field, ",".join(map(str, found)))]
        hour, day = (keys.asked(project, name, version, unit, "%d") for unit in ("h", "d"))
        lives = ((HOURS + 1) * _HOUR_SECONDS, (DAYS + 1) * _DAY_SECONDS)
        self._observe(keys=[keys.asked_marker(uuid4().hex)], args=[hour, day, *lives, *fields])

    def read(
        self, project: str, name: str, version: int, unit: Unit, length: int
    ) -> tuple[dict[str, list[int]], int]:
        """The sums of the last `length` hours or days, the present one included; and when they begin, in seconds
        since 1970."""
        seconds = _HOUR_SECONDS if unit == "h" else _DAY_SECONDS
        latest = int(self._redis.time()[0]) // seconds
        numbers = range(latest - length + 1, latest + 1)
        with self._redis.pipeline() as pipe:
            for number in numbers:
                pipe.hgetall(keys.asked(project, name, version, unit, number))
            buckets = pipe.execute()
        sums: dict[str, list[int]] = {}
        for bucket in buckets:
            for field, text in bucket.items():
                found = [int(number) for number in text.split(",")]
                held = sums.setdefault(field, [0] * len(found))
                sums[field] = [a + b for a, b in zip(held, found, strict=True)]
        return sums, numbers[0] * seconds

"""Signs of life: which workers there are, and since when each was last heard of."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

from shared import keys
from shared.database import Database

ALIVE_MS = 15_000
"""Who has been heard of within that time is thought to work."""


@dataclass(frozen=True, slots=True)
class WorkerStatus:
    """What a worker says of itself with every round of upkeep."""

    name: str
    concurrency: int
    running: int
    stalled: bool = False
    seen_ms: int = 0


class WorkerStore:
    """The workers' last signs of life, in one hash."""

    def __init__(self, database: Database) -> None:
        self._redis = database

    def seen(self, status: WorkerStatus) -> None:
        """Note that the worker is alive now."""
        stamped = {**asdict(status), "seen_ms": self._now_ms()}
        self._redis.hset(keys.WORKERS, status.name, json.dumps(stamped))

    def gone(self, name: str) -> None:
        self._redis.hdel(keys.WORKERS, name)

    def alive(self, within_seconds: float) -> list[WorkerStatus]:
        """Workers heard of within that time; those silent for an hour are forgotten."""
        now = self._now_ms()
        found = [WorkerStatus(**json.loads(value)) for value in self._redis.hvals(keys.WORKERS)]
        for status in found:
            if now - status.seen_ms > 3_600_000:
                self.gone(status.name)
        return [status for status in found if now - status.seen_ms <= within_seconds * 1000]

    def _now_ms(self) -> int:
        seconds, microseconds = self._redis.time()
        return int(seconds) * 1000 + int(microseconds) // 1000

"""Where a queued job stands in line, and when it may start.

The place is that in an order which workers keep but for one thing: all of a higher priority first, within a queue the
projects take turns, within a project it is first come, first served. In truth some of a lower priority go in between
(docs/limits.md), so that one of `low` starts earlier than told while many of `high` wait. Who comes later with a higher
priority, or from a project that has none in line, goes first nevertheless, and a batch that is split lines up its
shards one by one.

The start is an estimate: the jobs ahead, each as long as such jobs took lately, put one after the other onto the places
of the workers that were heard of lately, as they become free. What it needs is read once a second for all jobs.
"""

from __future__ import annotations

import heapq
import json
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean

from shared import keys, queue
from shared.contracts.base import from_ms
from shared.contracts.jobs import QueuePlace
from shared.database import Database
from shared.workers import ALIVE_MS

_MOST_RUNNING = 200
_SAMPLE = 10
_MOST_SIMULATED = 500
_FRESH_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What the workers have to do at one moment. Durations are milliseconds."""

    now_ms: int
    places: int
    durations: Mapping[str, float]
    running: Sequence[tuple[str, float]]
    """(type, time since its attempt began)"""
    waiting: Sequence[Sequence[str]]
    """Types of some jobs that wait, of each queue."""

    def start_ms(self, ahead: Sequence[int]) -> float | None:
        """When the next job can start after so many of each queue; None if that cannot be known."""
        free = self._places_free_after()
        if free is None:
            return None
        takes = [self._mean(types) for types in self.waiting[: len(ahead)]]
        if any(count and duration is None for count, duration in zip(ahead, takes, strict=True)):
            return None
        simulated = 0
        for count, duration in zip(ahead, takes, strict=True):
            for _ in range(min(count, _MOST_SIMULATED - simulated)):
                heapq.heapreplace(free, free[0] + (duration or 0.0))
            rest = max(0, count - (_MOST_SIMULATED - simulated))
            simulated = min(_MOST_SIMULATED, simulated + count)
            free = [moment + rest * (duration or 0.0) / len(free) for moment in free]
        return self.now_ms + free[0]

    def missed(self, ahead: Sequence[int]) -> bool:
        """Whether jobs wait where none did at that moment, so that nothing is known about them."""
        return any(count and not types for count, types in zip(ahead, self.waiting, strict=False))

    def _places_free_after(self) -> list[float] | None:
        """Of each place of a worker, as a heap."""
        if not self.places:
            return None
        lefts = []
        for kind, since in self.running[: self.places]:
            mean = self._duration(kind)
            if mean is None:
                return None
            lefts.append(max(mean - since, 0.1 * mean))  # it takes longer than most: it may end at any time
        free = lefts + [0.0] * (self.places - len(lefts))
        heapq.heapify(free)
        return free

    def _mean(self, types: Sequence[str]) -> float | None:
        known = [found for kind in types if (found := self._duration(kind)) is not None]
        return fmean(known) if known else self._duration("")

    def _duration(self, kind: str) -> float | None:
        """Of that type; of a type that nobody knows (a shard, or none has ended yet) the mean of all."""
        if kind in self.durations:
            return self.durations[kind]
        return fmean(self.durations.values()) if self.durations else None


class QueuePlaces:
    """The lines in front of the workers. Safe to share between threads."""

    def __init__(self, database: Database, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._load = database.script("queue_load")
        self._lock = threading.Lock()
        self._known: tuple[float, Load] | None = None

    def place(self, ahead: Sequence[int]) -> QueuePlace:
        """Of a job that has so many ahead of it."""
        start = self.load(ahead).start_ms(ahead)
        return QueuePlace(
            position=sum(ahead) + 1,
            ahead=sum(ahead),
            estimated_start_at=None if start is None else from_ms(round(start)),
        )

    def load(self, ahead: Sequence[int] = ()) -> Load:
        """As it was a second ago at most, and not from before there were jobs in the queues that have some."""
        with self._lock:
            if (
                self._known is None
                or self._clock() - self._known[0] >= _FRESH_SECONDS
                or self._known[1].missed(ahead)
            ):
                self._known = self._clock(), self._read()
            return self._known[1]

    def _read(self) -> Load:
        now, workers, durations, running, *waiting = self._load(
            keys=[
                keys.LEASES,
                keys.WORKERS,
                keys.DURATIONS,
                *(keys.ready(name) for name in queue.PRIORITIES),
            ],
            args=[
                _MOST_RUNNING,
                _SAMPLE,
                keys.job("%s", "%s"),
                keys.ready_of("%s", "%s"),
                *queue.PRIORITIES,
            ],
        )
        heard = [json.loads(worker) for worker in workers]
        return Load(
            now_ms=now,
            places=sum(one["concurrency"] for one in heard if now - one["seen_ms"] <= ALIVE_MS),
            durations={kind: float(ms) for kind, ms in _pairs(durations)},
            running=[(kind, float(ms)) for kind, ms in _pairs(running)],
            waiting=waiting,
        )


def _pairs(flat: Sequence[str]) -> list[tuple[str, str]]:
    return list(zip(flat[::2], flat[1::2], strict=True))
